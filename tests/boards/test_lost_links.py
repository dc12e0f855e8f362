"""A board without its broker: it runs, tries ever more rarely, and goes on where it was when the way is there again.

    PAWL_BY_HAND=1 pytest tests/boards/test_lost_links.py    # also a killed bridge and an unplugged line

Those two are left out by default: a board notices after 30 s that bytes were lost.
"""

import asyncio
import itertools
import re

import applications
import pytest
from cables import BridgeProcess, Cable
from power import Power
from warp import quicken, slow_down

from pawl import codes

NAME = "bench-1"
# Several blocks in one sector, several windows of them.
_IMAGE_BYTES = 190_000
_ABSENT_S = 900


def _waits(lines):
    """Return how much of the board's time lay between its attempts to connect, in seconds."""
    now, attempts = 0, []
    for line in lines:
        if match := re.match(r"uptime (\d+)", line):
            now = int(match[1])
        elif line.startswith(f"pawl: link {codes.REASON_LINK_LOST} no bridge answers"):
            attempts.append(now)
    return [after - before for before, after in itertools.pairwise(attempts)]


@pytest.mark.emulators("qemu")
def test_a_broker_that_is_absent_for_long(play, workshop):
    """15 minutes of the board's time without a bridge: no watchdog, growing pauses; then it checks in and updates."""

    async def walk(rig):
        power = await Power.of(rig, NAME, rig.release(workshop.image(applications.TICKS), 1))
        quicken(power.board)
        await power.on_alone()
        await power.printed(f"uptime {_ABSENT_S}")
        waits = _waits(power.lines_now())
        assert len(waits) >= 5 and waits[-1] > 4 * waits[0], f"pauses don't grow: {waits}"
        assert rig.boots(NAME) == ["row 7 slot A"] and "firmware: watchdog" not in power.lines
        await power.cut()
        slow_down(power.board)

        await power.on_alone()
        await power.printed("state IDLE")
        await power.assign(rig.release(workshop.steady(2), 2))
        await rig.start_bridge()
        assert (await power.settled()).state == "succeeded"
        await power.end_on(power.wanted)

    play(walk)


def _progress(lines):
    found = (re.match(r"pawl: blocks (\d+)/", line) for line in lines)
    return [int(match[1]) for match in found if match]


def _require_nothing_twice(power, losses):
    """Without a power cut nothing that was written is fetched again, however often the link is lost."""
    lost = [line for line in power.lines if line.startswith("pawl: link ")]
    assert len(lost) >= losses, f"the link was never lost: {power.tail()}"
    progress = _progress(power.lines)
    assert progress == sorted(progress), f"blocks were fetched again: {progress}"


def _once(board, pattern, action):
    """Do something at the first line of a pattern, at once; return what tells that it was done."""
    is_done = asyncio.Event()
    loop = asyncio.get_running_loop()

    def look(line):
        if not look.is_over and re.search(pattern, line.text):
            look.is_over = True
            action()
            loop.call_soon_threadsafe(is_done.set)

    look.is_over = False
    board.console.on_line(look)
    return is_done


def test_the_broker_restarts_in_mid_download(play, workshop):
    """The download goes on at the block where it was."""

    async def walk(rig):
        power = await Power.of(rig, NAME, rig.release(workshop.steady(1), 1))
        is_down = _once(power.board, r"blocks 16/", rig.site.broker.stop)
        await power.on()
        await power.assign(rig.release(workshop.steady(2, _IMAGE_BYTES), 2))
        await is_down.wait()
        await power.printed("pawl: link ")
        await asyncio.to_thread(rig.site.broker.start)
        assert (await power.settled()).state == "succeeded"
        _require_nothing_twice(power, 1)
        await power.end_on(power.wanted)

    play(walk)


@pytest.mark.by_hand
def test_the_bridge_is_killed_and_the_line_unplugged_in_mid_download(play, workshop):
    """Nobody tells the board that its bytes are lost; it notices, and goes on at the block where it was."""

    async def walk(rig):
        power = await Power.of(rig, NAME, rig.release(workshop.steady(1), 1))
        async with Cable(power.board) as cable:
            bridge = BridgeProcess(cable.line, rig.site.ports.devices)
            is_killed = _once(power.board, r"blocks 8/", bridge.kill)
            is_unplugged = _once(power.board, r"blocks 32/", lambda: setattr(cable, "is_plugged", False))
            bridge.start()
            try:
                await asyncio.to_thread(power.board.power_on)
                await power.assign(rig.release(workshop.steady(2, _IMAGE_BYTES), 2))
                await is_killed.wait()
                bridge.start()
                await is_unplugged.wait()
                await asyncio.sleep(1)
                cable.is_plugged = True
                assert (await power.settled()).state == "succeeded"
            finally:
                bridge.kill()
        _require_nothing_twice(power, 2)
        await power.end_on(power.wanted)

    play(walk)
