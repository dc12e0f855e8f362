"""A release whose application is broken: three trials, then what ran before; the server hears why, the ratchet stays.

    PAWL_BY_HAND=1 pytest tests/boards/test_reverts.py       # also a trial that never checks in

The firmware's watchdog is asked to bite after a few seconds, not after 30: the parameters page may only shorten it.
"""

import asyncio

import applications
import pytest
from power import Power
from warp import quicken, slow_down

from pawl import codes

WATCHDOG_S = 6
_FACTORY = 5
_BITES = "firmware: watchdog"
# name: (application, what the console of each trial says, whether the watchdog ends it)
_BROKEN = {
    "import": (applications.CRASHES_AT_IMPORT, "at import", False),
    "main": (applications.CRASHES, "in main", False),
    "returns": (applications.RETURNS, "main\\(\\) returned", True),
    "hangs": (applications.HANGS, "row 5 slot B", True),
}
_TRIALS = ["row 5 slot B"] * 3


async def _revert(power, raw, says):
    """Bring a broken release to a board, and see it revert."""
    running = power.wanted
    await power.on()
    await power.assign(raw)
    settled = await power.settled()
    assert (settled.state, settled.reason) == ("failed", codes.REASON_TRIALS)
    await power.printed("row 7 slot A")
    boots = power.rig.boots(power.name)
    assert boots[-4:] == [*_TRIALS, "row 7 slot A"], boots
    await power.printed(says)
    await power.end_on(running)
    failed = power.judge.status(await _flash_of(power), codes.RUNNING_B)
    assert (failed.state, failed.reason) == (codes.SLOT_FAILED, codes.REASON_TRIALS)
    assert power.ratchet == _FACTORY


async def _flash_of(power):
    await power.printed("state IDLE")
    await power.cut()
    return power.board.read_flash()


def test_broken_applications_revert(play, workshop):
    """Four boards at once: raises at import, raises in main, returns, never lets go; the watchdog ends the last two."""

    async def walk(rig):
        factory = rig.release(workshop.steady(1), _FACTORY)
        boards = {name: await Power.of(rig, name, factory, watchdog_s=WATCHDOG_S) for name in _BROKEN}
        await rig.start_bridge()

        async def one(name):
            main, says, _ = _BROKEN[name]
            await _revert(boards[name], rig.release(workshop.image(main), _FACTORY + 1), says)

        await asyncio.gather(*(one(name) for name in _BROKEN))
        for name, (_, _, is_bitten) in _BROKEN.items():
            bites = boards[name].lines.count(_BITES)
            assert bites == (3 if is_bitten else 0), f"{name}: {bites} times bitten"
        await _require_ratchet_stays(boards["import"], rig.release(workshop.steady(2), _FACTORY - 1))

    play(walk)


async def _require_ratchet_stays(power, older):
    """Power cycles and resets don't lower it, and what is older is refused afterwards."""
    running = power.judge.decision(power.board.read_flash())
    for _ in range(2):
        await power.on()
        await power.printed("state IDLE")
        await asyncio.to_thread(power.board.reset)
        await power.printed("state IDLE")
        await power.cut()
        assert power.judge.decision(power.board.read_flash()) == running
    await power.on()
    await power.assign(older)
    settled = await power.settled()
    assert (settled.state, settled.reason) == ("failed", codes.REASON_SEQUENCE_LOW)
    assert (await power.rig.site.server.device(power.name)).ratchet.sequence == _FACTORY


@pytest.mark.by_hand
@pytest.mark.emulators("qemu")
def test_a_trial_that_never_checks_in_reverts(play, workshop):
    """Three times 120 s of the board's time without a bridge, then the old release; the server hears it afterwards."""

    async def walk(rig):
        power = await Power.of(rig, "bench-1", rig.release(workshop.steady(1), _FACTORY))
        running = power.wanted
        await power.assign(rig.release(workshop.steady(2), _FACTORY + 1))
        await power.on()
        await power.cut_at("state REBOOT|row 5")
        quicken(power.board)
        await power.on_alone()
        await power.cut_at("not healthy and checked in within its time", times=3)
        assert len([line for line in power.lines_now() if "row 5 slot B" in line]) == 3, power.tail()
        assert _BITES not in power.lines
        slow_down(power.board)
        await power.on()
        settled = await power.settled()
        assert (settled.state, settled.reason) == ("failed", codes.REASON_TRIALS)
        await power.end_on(running)

    play(walk)
