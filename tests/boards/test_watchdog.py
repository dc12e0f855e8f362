"""The watchdog of the firmware: the parameters page shortens it, and never lengthens it."""

import asyncio
import re

import applications
import pytest
from power import Power
from warp import quicken

_BITES = "firmware: watchdog"
_LAYOUT_S = 30
_SHORT_S = 8


def _uptimes(lines):
    return [int(match[1]) for match in (re.match(r"uptime (\d+)", line) for line in lines) if match]


@pytest.mark.emulators("qemu")
def test_the_watchdog_can_only_be_shortened(play, workshop):
    """An application that is unwell from its start is reset once the time is over, whatever the page asks for."""

    async def walk(rig):
        factory = rig.release(workshop.image(applications.TICKS_UNWELL), 1)

        async def one(asked_s, bites_s):
            power = await Power.of(rig, f"asked-{asked_s}", factory, watchdog_s=asked_s)
            quicken(power.board)
            await power.on_alone()
            await power.cut_at(_BITES)
            uptimes = _uptimes(power.lines)
            assert bites_s - 2 <= uptimes[-1] - uptimes[0] <= bites_s + 1, power.tail()

        await asyncio.gather(one(_SHORT_S, _SHORT_S), one(3600, _LAYOUT_S))

    play(walk)
