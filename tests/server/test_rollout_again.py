"""A release that goes out a second time: what an earlier rollout of it did must not reach into the later one."""

import pytest
from rollout_bench import BY_NAME, everybody, run

from pawl import codes


@pytest.mark.parametrize("end", ["cancel", "roll-back"])
def test_a_rollout_that_stopped_takes_nothing_back_from_the_next_one(tmp_path, end):
    """Neither from a device that had succeeded there, nor from one that failed, nor one that was on its way."""

    async def scenario(harness):
        await harness.create(harness.plan(everybody(failure_count=9), recovery=harness.recovery.digest))
        await harness.seen()
        if end == "cancel":
            await harness.succeed("bench-1")
        await harness.fail("bench-2")
        await harness.rollouts.command("spring", end)
        await harness.seen()
        await harness.create(harness.plan(everybody(failure_count=9)), "summer")
        for _ in range(2):
            assert await harness.seen("summer") == ("running", "open open open open open")
        for name in BY_NAME:
            assert (await harness.offer(name)).action == codes.OFFER_INSTALL
            await harness.succeed(name)
        assert await harness.seen("summer") == ("done", "succeeded succeeded succeeded succeeded succeeded")
        assert "recovering" not in (await harness.seen("spring"))[1]

    run(tmp_path, scenario)


def test_a_failure_counts_once_for_a_device_that_was_in_two_rollouts(tmp_path):
    """For the rollout that asked last; the one that is done stays as it was."""

    async def scenario(harness):
        await harness.create(harness.plan())
        await harness.seen()
        for name in BY_NAME:
            await harness.succeed(name)
        assert (await harness.seen())[0] == "done"
        await harness.create(harness.plan(everybody(failure_count=9)), "summer")
        await harness.seen("summer")
        await harness.fail("bench-1")
        assert (await harness.seen("summer"))[1] == "failed open open open open"
        assert (await harness.device("bench-1")).failures == 1

    run(tmp_path, scenario)
