"""A device that confirmed a release and boots another one later: that is no success any more, and is told."""

import pytest
from rollout_bench import Phase, PhaseKind, everybody, run

from pawl import codes

CANARY = Phase(kind=PhaseKind.GROUP, group="canary", soak_s=3600)
OTHER = b"o" * 32


async def _fall_back(harness, name):
    """Report a boot of another release than the confirmed one."""
    confirmed = {"digest": harness.release.digest, "subject": OTHER}
    await harness.report(name, codes.EVENT_STARTED, **confirmed, reason=codes.REASON_FALLBACK)


def test_a_fallback_in_the_soak_time_stops_the_rollout(tmp_path):
    """The next phase never begins; a later boot of the release mends it."""

    async def scenario(harness):
        await harness.create(harness.plan(CANARY, everybody()))
        await harness.seen()
        for name in ("bench-1", "bench-2"):
            await harness.succeed(name)
        await harness.seen()
        await _fall_back(harness, "bench-1")
        assert await harness.seen() == ("paused", "failed succeeded waiting waiting waiting")
        assert "bench-1: fallback" in await harness.reason()
        harness.now_s += 7200
        assert (await harness.seen())[1] == "failed succeeded waiting waiting waiting"
        digest = harness.release.digest
        await harness.report("bench-1", codes.EVENT_STARTED, digest=digest, subject=digest)
        assert (await harness.seen())[1].startswith("succeeded succeeded")

    run(tmp_path, scenario)


@pytest.mark.parametrize("is_again", [False, True])
def test_after_the_end_people_are_called_and_once(tmp_path, is_again):
    """By the rollout that asked last, if there were two."""

    async def scenario(harness):
        for name in ("spring", "summer")[: 1 + is_again]:
            await harness.create(harness.plan(), name)
            await harness.seen(name)
            for device in harness.boots:
                await harness.succeed(device)
            assert (await harness.seen(name))[0] == "done"
        await _fall_back(harness, "bench-1")
        assert (await harness.seen(name))[1].startswith("failed succeeded")
        device = await harness.device("bench-1")
        assert (device.failures, device.attention_reason) == (1, "fallback")

    run(tmp_path, scenario)
