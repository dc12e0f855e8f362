"""Power off at each state of an update: what is switched on again ends on the new release, and what flash holds boots."""

import re

from power import Power

from pawl import codes
from pawl_boards import maps

NAME = "bench-1"
# More than the largest sector of a board's flash: a cut loses the blocks of the sector it hit, and no other one.
_LARGE_BYTES = 270_000
_LARGE_BLOCKS = 64
_BLOCK_BYTES = 4096


def _progress(lines):
    """Return (blocks that the slot has, blocks of the image) of each line that tells them."""
    found = (re.match(r"pawl: blocks (\d+)/(\d+)", line) for line in lines)
    return [(int(match[1]), int(match[2])) for match in found if match]


async def _cut_in_download(power):
    """Cut in the first sector, in the second one, and once all is there."""
    await power.cut_at("state DOWNLOAD")
    await power.on()
    await power.cut_at(r"blocks 16/")
    await power.on()
    await power.cut_at(rf"blocks {_LARGE_BLOCKS}/")
    sector = max(1, maps.load(power.board.name).ERASE_BYTES // _BLOCK_BYTES)
    held = _progress(power.lines_now())[0][0]
    assert 16 // sector * sector <= held < _LARGE_BLOCKS, f"whole sectors are gone on with: {held}"
    assert held % sector == 0, f"a sector that was begun before the cut isn't gone on with: {held}"
    await power.on()
    await power.cut_at("state INSTALL")
    held = _progress(power.lines_now())[0][0]
    assert held >= _LARGE_BLOCKS, f"blocks of a whole sector were fetched again: {held}"
    assert held % sector == 0, f"as above: {held}"
    await power.on()


async def _cut_in_trial(power, slot):
    """Cut right before the reset, at the boot of the trial, and while it is verified: so two of three trials are gone."""
    await power.cut_at("state REBOOT|row 5")
    blocks = _progress(power.lines_now())
    assert all(done == total for done, total in blocks), f"the whole image was there: {blocks}"
    for moment in ("row 5", "state VERIFY"):
        if power.judge.status(power.board.read_flash(), slot).trials < 2:
            await power.on()
            await power.cut_at(moment)
    await power.on()


def test_power_off_in_each_state(play, workshop):
    """Cut in DOWNLOAD, INSTALL, REBOOT, at the boot of the trial, in VERIFY, CONFIRM, CLEANUP and FAILURE."""

    async def walk(rig):
        one, other = (workshop.steady(version, _LARGE_BYTES) for version in (1, 2))
        power = await Power.of(rig, NAME, factory := rig.release(one, 1))
        await power.assign(rig.release(other, 2))
        await power.on()
        await _cut_in_download(power)
        await _cut_in_trial(power, codes.RUNNING_B)
        assert (await power.settled()).state == "succeeded"
        await power.end_on(power.wanted)

        await power.assign(rig.release(one, 3))
        await power.cut_at("state CONFIRM")
        await power.on()
        await power.cut_at("state CLEANUP")
        await power.on()
        assert (await power.settled()).state == "succeeded"
        await power.end_on(newest := power.wanted)

        await power.assign(factory)
        await power.cut_at("state FAILURE")
        await power.on()
        settled = await power.settled()
        assert (settled.state, settled.reason) == ("failed", codes.REASON_SEQUENCE_LOW)
        await power.end_on(newest)
        # CLEANUP writes nothing and is over within the same piece of console output.
        missing = {"DOWNLOAD", "INSTALL", "CONFIRM", "FAILURE"} - set(power.cuts)
        assert not missing, f"no cut hit {missing}: {power.cuts}"

    play(walk)
