"""Flash that went bad while the board was off: the other slot runs, or the recovery agent; both are repaired from the broker."""

from power import Power

from pawl import boot, codes
from pawl_server.events import ReportReceived

NAME = "bench-1"


def _decided(power):
    decision = power.judge.decision(power.board.read_flash())
    return decision.action, decision.slot, decision.reason


async def _repair(power, raw):
    """Ask for the release again; it is installed, although it is what the ratchet names."""
    await power.assign(raw)
    assert (await power.settled()).state == "succeeded"
    await power.end_on(power.wanted)


def test_damaged_slots_fall_back_and_are_repaired(play, workshop):
    """A byte of the confirmed image flips: the former release runs; bytes of both: the agent alone; each time it is repaired."""

    async def walk(rig):
        power = await Power.of(rig, NAME, rig.release(workshop.steady(1, 20_000), 1))
        await power.on()
        await power.assign(raw := rig.release(workshop.steady(2, 20_000), 2))
        assert (await power.settled()).state == "succeeded"
        await power.end_on(power.wanted)

        await power.cut()
        power.flip_byte("image_b")
        assert _decided(power) == (boot.BOOT, codes.RUNNING_A, codes.REASON_FALLBACK)
        await power.on()
        await power.printed("row 7 slot A")
        await power.printed("application 1 runs")
        await rig.until(lambda event: isinstance(event, ReportReceived) and event.reason == "fallback")
        await _repair(power, raw)

        await power.cut()
        power.flip_byte("image_a")
        power.flip_byte("image_b")
        assert _decided(power) == (boot.RECOVER, None, codes.REASON_OK)
        await power.on()
        await power.printed("row 8 slot -")
        await _repair(power, raw)
        assert power.ratchet == 2
        assert "application 2 runs" in power.lines_now() or await power.printed("application 2 runs")

    play(walk)
