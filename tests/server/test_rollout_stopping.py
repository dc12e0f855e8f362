"""A rollout that was stopped offers nothing from that moment on, though the engine hasn't come to its devices yet."""

import pytest
from rollout_bench import run

from pawl import codes
from pawl_server.domain.fleet import AssignmentState


async def _actions(harness):
    """Return what each offer that waits for the broker asks for, by device."""
    async with harness.store.reading() as transaction:
        queued = await transaction.unsent()
    return {one.message.device: harness.fleet.opened_offer(one.message.payload).action for one in queued}


@pytest.mark.parametrize("command", ["pause", "cancel", "roll-back"])
def test_who_says_hello_after_the_command_is_told_to_hold(tmp_path, command):
    """Also to one that repeats its hello; what the engine does then is the same as ever."""

    async def scenario(harness):
        await harness.create(harness.plan(recovery=harness.recovery.digest))
        await harness.seen()
        await harness.rollouts.command("spring", command)
        for _ in range(2):
            await harness.hello("bench-1")
            assert (await harness.offer("bench-1")).action == codes.OFFER_HOLD
        expected = {"pause": "held", "cancel": "withdrawn", "roll-back": "withdrawn"}[command]
        assert (await harness.seen())[1] == " ".join([expected] * 5)

    run(tmp_path, scenario)


@pytest.mark.parametrize("command", ["pause", "cancel", "roll-back"])
def test_an_offer_that_waits_for_the_broker_is_taken_back(tmp_path, command):
    """A broker that was away gets none of them when it comes back."""

    async def scenario(harness):
        await harness.create(harness.plan(recovery=harness.recovery.digest))
        await harness.seen()
        await harness.succeed("bench-1")
        assert set((await _actions(harness)).values()) == {codes.OFFER_INSTALL, codes.OFFER_NONE}
        await harness.rollouts.command("spring", command)
        assert await _actions(harness) == {"bench-1": codes.OFFER_NONE}

    run(tmp_path, scenario)


def test_a_recovery_goes_on_until_it_is_cancelled_itself(tmp_path):
    """Rolling back stops the release, not the way back."""

    async def scenario(harness):
        await harness.create(harness.plan(recovery=harness.recovery.digest))
        await harness.seen()
        await harness.succeed("bench-1")
        await harness.rollouts.command("spring", "roll-back")
        await harness.seen()
        await harness.hello("bench-1")
        assert (await harness.offer("bench-1")).digest == harness.recovery.digest
        await harness.rollouts.command("spring", "cancel")
        assert "bench-1" not in await _actions(harness)
        await harness.hello("bench-1")
        assert (await harness.offer("bench-1")).action == codes.OFFER_HOLD

    run(tmp_path, scenario)


def test_a_resume_asks_again_who_was_told_to_hold(tmp_path):
    """Though no pass of the engine came in between."""

    async def scenario(harness):
        await harness.create(harness.plan())
        await harness.seen()
        await harness.rollouts.command("spring", "pause")
        await harness.hello("bench-1")
        assert (await harness.assignment("bench-1")).state is AssignmentState.HELD
        await harness.rollouts.command("spring", "resume")
        assert (await harness.seen())[1] == "open open open open open"
        assert (await harness.offer("bench-1")).action == codes.OFFER_INSTALL

    run(tmp_path, scenario)
