"""Releases that can't be published: who asks for them stops or says so, reads nothing in vain, and goes on when mended."""

import pytest
from release_factory import make_anchor
from rollout_bench import everybody, run

from pawl import codes, topics
from pawl.index import b64u
from pawl_server.domain.fleet import AssignmentState
from pawl_server.domain.plan import PlanError
from pawl_server.domain.rollout import RolloutEvent
from pawl_server.faults import AGAIN_S


def _file(harness, release):
    return harness.fleet.folder / "releases" / (b64u(release.digest) + ".pawl")


def _bar(harness, release):
    """Let an anchor judge that bars a release; return how to take that back."""
    harness.fleet.repository.follow(make_anchor(harness.fleet.keys, version=2, barred=[release.digest]))
    return lambda: harness.fleet.repository.follow(make_anchor(harness.fleet.keys, version=3))


def _lose(harness, release):
    """Let a release's file be gone; return how it comes back, as an import does it."""
    path = _file(harness, release)
    raw = path.read_bytes()
    path.unlink()

    def mend():
        harness.fleet.repository.add(raw)
        harness.publisher.mended(release.digest)

    return mend


HARMS = pytest.mark.parametrize(
    ("harm", "says"), [(_bar, "barred"), (_lose, "its file is gone: import the release again")]
)


@HARMS
def test_a_rollout_pauses_and_goes_on_when_mended(tmp_path, harm, says):
    """Before the first device is asked; the operator resumes it."""

    async def scenario(harness):
        await harness.create(harness.plan())
        mend = harm(harness, harness.release)
        assert await harness.seen() == ("paused", "waiting " * 4 + "waiting")
        assert (
            await harness.reason()
            == f"the release can't be published: {await _said(harness, harness.release)}"
        )
        assert says in await harness.reason()
        assert harness.published == []
        mend()
        await harness.rollouts.command("spring", RolloutEvent.RESUME)
        assert await harness.seen() == ("running", "open " * 4 + "open")
        assert harness.published[-1] == topics.release(harness.release.digest)

    run(tmp_path, scenario)


async def _said(harness, release):
    return (await harness.publisher.ensure_or_tell(release.digest)).reason


@HARMS
def test_a_rollout_pauses_when_the_broker_has_lost_what_can_not_be_published_again(tmp_path, harm, says):
    """Devices in mid-download are held: the offers that they have name what isn't there."""

    async def scenario(harness):
        await harness.create(harness.plan())
        assert await harness.seen() == ("running", "open " * 4 + "open")
        mend = harm(harness, harness.release)
        harness.reconciler.on_reconnected()
        assert await harness.seen() == ("paused", "held " * 4 + "held")
        assert says in await harness.reason()
        assert (await harness.offer("bench-1")).action == codes.OFFER_HOLD
        mend()
        await harness.rollouts.command("spring", RolloutEvent.RESUME)
        assert await harness.seen() == ("running", "open " * 4 + "open")

    run(tmp_path, scenario)


@HARMS
def test_a_recovery_that_can_not_be_published_is_told_and_tried_until_it_can(tmp_path, harm, says):
    """The rollout stays at going back, says why it went back and what keeps it from that, and forgets that when mended."""

    async def scenario(harness):
        await harness.create(harness.plan(everybody(failure_count=2), recovery=harness.recovery.digest))
        await harness.seen()
        for name in ("bench-1", "bench-2"):
            await harness.succeed(name)
        mend = harm(harness, harness.recovery)
        await harness.rollouts.command("spring", RolloutEvent.ROLL_BACK)
        before = await harness.reason()
        stuck = ("rolling-back", "succeeded succeeded withdrawn withdrawn withdrawn")
        assert await harness.seen() == stuck
        told = await harness.reason()
        assert told.startswith(before + "; the recovery release can't be published: ") and says in told
        events = len(harness.events)
        for _ in range(3):
            assert await harness.seen() == stuck
        assert (await harness.reason(), len(harness.events)) == (told, events)
        assert topics.release(harness.recovery.digest) not in harness.published
        mend()
        assert await harness.seen() == ("rolling-back", "recovering recovering withdrawn withdrawn withdrawn")
        assert await harness.reason() == before
        offer = await harness.offer("bench-1")
        assert (offer.action, offer.digest, offer.attempt) == (
            codes.OFFER_INSTALL,
            harness.recovery.digest,
            1,
        )
        for name in ("bench-1", "bench-2"):
            await harness.succeed(name, harness.recovery.digest)
        assert (await harness.seen())[0] == "rolled-back"

    run(tmp_path, scenario)


def test_what_is_wrong_is_read_once_a_minute(tmp_path):
    """A file that came back without an import is found when that is over; who asks by hand finds it at once."""

    async def scenario(harness):
        await harness.create(harness.plan(recovery=harness.recovery.digest))
        await harness.seen()
        await harness.succeed("bench-1")
        path = _file(harness, harness.recovery)
        raw = path.read_bytes()
        path.unlink()
        await harness.rollouts.command("spring", RolloutEvent.ROLL_BACK)
        assert "succeeded" in (await harness.seen())[1]
        path.write_bytes(raw)
        harness.now_s += AGAIN_S - 1
        assert "succeeded" in (await harness.seen())[1]
        harness.now_s += 1
        assert "recovering" in (await harness.seen())[1]

    run(tmp_path, scenario)


@HARMS
def test_a_plan_with_a_release_that_can_not_be_published_is_refused(tmp_path, harm, says):
    """By the field of the plan; a recovery before it is needed."""

    async def scenario(harness):
        for field in ("recovery", "release"):
            mend = harm(harness, getattr(harness, field))
            with pytest.raises(PlanError, match=says) as caught:
                await harness.create(harness.plan(recovery=harness.recovery.digest))
            assert caught.value.field == field
            mend()

    run(tmp_path, scenario)


def test_release_and_recovery_are_withdrawn_when_a_rollout_has_gone_back(tmp_path):
    """The recovery stays as long as a device may still come to it."""

    async def scenario(harness):
        await harness.create(harness.plan(recovery=harness.recovery.digest))
        await harness.seen()
        await harness.succeed("bench-1")
        await harness.rollouts.command("spring", RolloutEvent.ROLL_BACK)
        await harness.seen()
        harness.now_s += 3600
        assert (await harness.seen())[0] == "rolling-back"
        assert harness.withdrawn == []
        await harness.succeed("bench-1", harness.recovery.digest)
        assert (await harness.assignment("bench-1")).state is AssignmentState.SUCCEEDED
        assert (await harness.seen())[0] == "rolled-back"
        envelopes = {topics.release(one.digest) for one in (harness.release, harness.recovery)}
        assert envelopes <= set(harness.withdrawn)
        assert sorted(harness.withdrawn) == sorted(set(harness.published))

    run(tmp_path, scenario)
