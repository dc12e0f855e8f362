"""How many devices are asked at a time, over all rollouts, restarts included; and when those begin."""

from rollout_bench import GROUPS, everybody, run

from pawl_server.domain.pacing import PACE_S
from pawl_server.rollouts import group_by_group

# Two in ten seconds.
RATE = {"offers_per_s": 0.2}


def test_no_more_are_asked_than_the_rate_allows(tmp_path):
    """In any ten seconds, and a process that is started again counts those of the one before."""

    async def scenario(harness):
        await harness.create(harness.plan(everybody()))
        assert (await harness.seen())[1] == "open open waiting waiting waiting"
        harness.start_again()
        harness.now_s += PACE_S - 1
        assert (await harness.seen())[1] == "open open waiting waiting waiting"
        harness.now_s += 1
        assert (await harness.seen())[1] == "open open open open waiting"
        harness.now_s += PACE_S
        assert (await harness.seen())[1] == "open open open open open"

    run(tmp_path, scenario, **RATE)


def test_all_rollouts_share_the_rate(tmp_path):
    """The older one comes first."""

    async def scenario(harness):
        for group in GROUPS:
            await harness.create(group_by_group(harness.release.digest, [group]), group)
        assert (await harness.seen("canary"))[1] == "open open"
        assert (await harness.seen("production"))[1] == "open waiting waiting"

    run(tmp_path, scenario, offers_per_s=0.3)


def test_those_who_are_asked_at_once_begin_one_after_the_other(tmp_path):
    """Each offer says a delay of its own, within the time that so many are spread over."""

    async def scenario(harness):
        await harness.create(harness.plan(everybody()))
        await harness.seen()
        delays = [(await harness.offer(name)).delay_s or 0 for group in GROUPS.values() for name in group]
        assert 0 < max(delays) <= 10
        assert len(set(delays)) > 1

    run(tmp_path, scenario, offers_per_s=0.5)


def test_the_way_back_is_paced_too(tmp_path):
    """Devices come for the recovery release as they do for any other."""

    async def scenario(harness):
        await harness.create(harness.plan(everybody(), recovery=harness.recovery.digest))
        for _ in range(3):
            await harness.seen()
            harness.now_s += PACE_S
        for group in GROUPS.values():
            for name in group:
                await harness.succeed(name)
        await harness.rollouts.command("spring", "roll-back")
        for recovering in (2, 4, 5):
            state, progress = await harness.seen()
            assert (state, progress.split().count("recovering")) == ("rolling-back", recovering)
            harness.now_s += PACE_S

    run(tmp_path, scenario, **RATE)
