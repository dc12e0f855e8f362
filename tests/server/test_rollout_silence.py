"""Devices that say nothing, and failures that are tried again; over a real store, with the clock in hand."""

from fleet_bench import NOW_S
from rollout_bench import everybody, run

from pawl import codes
from pawl_server.domain.fleet import QUARANTINE_FAILURES
from pawl_server.domain.pacing import PACE_S
from pawl_server.events import AssignmentSettled

DAY_S = 86400


async def _pass(harness, seconds):
    harness.now_s += seconds
    return await harness.seen()


def test_a_device_that_says_nothing_fails_and_is_asked_once_more(tmp_path):
    """Then it stops the rollout; its offer goes away each time, and a late success mends it."""

    async def scenario(harness):
        await harness.create(harness.plan(everybody(failure_count=1, concurrency=1)))
        assert await harness.seen() == ("running", "open waiting waiting waiting waiting")
        assert (await _pass(harness, DAY_S + PACE_S))[1].startswith("open")
        assert (await _pass(harness, 1))[1] == "waiting open waiting waiting waiting"
        assert (await harness.offer("bench-1")).action == codes.OFFER_NONE
        settled = [one for one in harness.events if isinstance(one, AssignmentSettled)]
        assert [(one.device, one.reason) for one in settled] == [("bench-1", "silent")]
        await harness.succeed("bench-2")
        assert (await _pass(harness, 2 * 3600))[1] == "open succeeded waiting waiting waiting"
        assert (await harness.offer("bench-1")).action == codes.OFFER_INSTALL
        state, progress = await _pass(harness, DAY_S + PACE_S + 1)
        assert (state, progress) == ("paused", "failed succeeded waiting waiting waiting")
        assert "bench-1: silent" in await harness.reason()
        await harness.succeed("bench-1")
        assert (await harness.seen())[1].startswith("succeeded succeeded")

    run(tmp_path, scenario)


def test_whoever_says_something_signed_is_not_silent(tmp_path):
    """A start, or a refusal of something else, counts; a hello, which nobody signed, does not."""

    async def scenario(harness):
        await harness.create(harness.plan(everybody()))
        await harness.seen()
        harness.now_s = NOW_S + DAY_S - 10
        await harness.started("bench-1")
        await harness.hello("bench-2")
        assert (await _pass(harness, PACE_S + 11))[1] == "open waiting waiting waiting waiting"
        harness.now_s += DAY_S
        assert (await harness.seen())[1].startswith("waiting")

    run(tmp_path, scenario)


def test_who_waits_for_its_turn_or_is_held_is_not_silent(tmp_path):
    """Only who was asked has to answer."""

    async def scenario(harness):
        await harness.create()
        await harness.seen()
        await harness.rollouts.command("spring", "pause")
        await harness.seen()
        assert await _pass(harness, 3 * DAY_S) == ("paused", "held held waiting waiting waiting")

    run(tmp_path, scenario)


def test_what_passes_by_itself_is_tried_again_after_a_backoff(tmp_path):
    """As often as the plan says, later each time, and then it is final."""

    async def scenario(harness):
        await harness.create(harness.plan(everybody(failure_count=1), tries_max=2))
        await harness.seen()
        await harness.fail("bench-1", codes.REASON_BLOCK_DIGEST)
        assert await harness.seen() == ("running", "waiting open open open open")
        why = (await harness.rollouts.applying_to("bench-1")).why
        assert "failed (block-digest), and is asked again in" in why
        assert (await _pass(harness, 299))[1].startswith("waiting")
        assert (await _pass(harness, 300))[1].startswith("open")
        await harness.fail("bench-1", codes.REASON_BLOCK_DIGEST)
        assert (await harness.seen())[0] == "paused"
        assert (await harness.device("bench-1")).failures == 1

    run(tmp_path, scenario)


def test_three_final_failures_in_a_row_and_no_rollout_takes_the_device(tmp_path):
    """Of three rollouts; then it needs people, and its answer says so."""

    async def scenario(harness):
        for number in range(QUARANTINE_FAILURES):
            name = f"try{number}"
            await harness.create(harness.plan(everybody(failure_count=5, success_percent=1)), name)
            await harness.seen(name)
            await harness.fail("bench-1")
            await harness.seen(name)
            for other in ("bench-2", "bench-3", "bench-4", "bench-5"):
                await harness.report(other, codes.EVENT_INSTALLED, digest=harness.release.digest)
            assert (await harness.seen(name))[0] == "done"
        device = await harness.device("bench-1")
        assert (device.failures, device.attention_reason) == (QUARANTINE_FAILURES, "trials")
        assert "quarantined after 3 failures" in (await harness.rollouts.applying_to("bench-1")).why
        await harness.create(harness.plan(), "spring")
        assert (await harness.seen())[1] == "open open open open"

    run(tmp_path, scenario)
