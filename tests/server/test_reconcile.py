"""Rollouts over a real store and real signed reports: phases in order, failures, commands, and a random walk."""

from dataclasses import replace

import pytest
from fleet_bench import NOW_S
from release_factory import make_release
from rollout_bench import BY_NAME, DEVICES, GROUPS, everybody, run

from pawl import codes, topics
from pawl_server.domain import director
from pawl_server.domain.changes import Changes
from pawl_server.domain.plan import Phase, PhaseKind, PlanError
from pawl_server.domain.rollout import RolloutEvent, RolloutStateError
from pawl_server.errors import InvalidError, UnknownError
from pawl_server.events import OfferMade, PhaseAsked, RolloutChanged
from pawl_server.publishing import Publisher
from pawl_server.rollouts import group_by_group
from pawl_server.settings import PublishLimits
from pawl_server.store import ConflictError


def test_groups_in_order_each_after_the_one_before(tmp_path):
    """Published first, offered to the first group, then to the second; done when the last device said so."""

    async def scenario(harness):
        await harness.create()
        assert await harness.seen() == ("running", "open open waiting waiting waiting")
        assert harness.published[-1] == topics.release(harness.release.digest)
        await harness.succeed("bench-1")
        assert await harness.seen() == ("running", "succeeded open waiting waiting waiting")
        await harness.succeed("bench-2")
        assert await harness.seen() == ("running", "succeeded succeeded open open open")
        for name in GROUPS["production"]:
            await harness.succeed(name)
        assert (await harness.seen())[0] == "done"
        assert [(e.phase, e.devices) for e in harness.events if isinstance(e, PhaseAsked)] == [(0, 2), (1, 3)]
        states = [event.state for event in harness.events if isinstance(event, RolloutChanged)]
        assert (states[0], states[-1]) == ("running", "done")

    run(tmp_path, scenario)


def test_a_failure_pauses_and_a_retry_asks_again(tmp_path):
    """The reason names phase, device and cause; the second group never saw the release; the attempt is counted."""

    async def scenario(harness):
        await harness.create()
        await harness.seen()
        await harness.fail("bench-2")
        assert await harness.seen() == ("paused", "held failed waiting waiting waiting")
        told = "phase 1 (group canary): 1 of 2 devices failed (bench-2: trials), 1 stop it"
        assert await harness.reason() == told
        assert (await harness.device("bench-2")).attention_reason == "trials"
        await harness.rollouts.command("spring", RolloutEvent.RETRY)
        assert await harness.seen() == ("running", "open open waiting waiting waiting")
        assignment = await harness.assignment("bench-2")
        assert (assignment.attempt, assignment.failures) == (2, 1)
        await harness.succeed("bench-2")
        await harness.seen()
        device = await harness.device("bench-2")
        assert (device.failures, device.attention_at_s, device.attention_reason) == (0, None, None)

    run(tmp_path, scenario)


def test_a_resume_forgives_what_failed_and_asks_the_others(tmp_path):
    """The one that failed stays so, and the next phase begins without it."""

    async def scenario(harness):
        await harness.create()
        await harness.seen()
        await harness.fail("bench-2")
        await harness.seen()
        await harness.rollouts.command("spring", RolloutEvent.RESUME)
        assert await harness.seen() == ("running", "open failed waiting waiting waiting")
        await harness.succeed("bench-1")
        assert await harness.seen() == ("running", "succeeded failed open open open")

    run(tmp_path, scenario)


def test_a_device_that_refuses_for_good_is_not_asked_again(tmp_path):
    """Not by a retry either: the release has to be another one."""

    async def scenario(harness):
        await harness.create()
        await harness.seen()
        accepted = (await harness.device("bench-2")).issued
        device = BY_NAME["bench-2"]
        refused = device.report(
            codes.EVENT_REFUSED,
            subject=harness.release.digest,
            reason=codes.REASON_QUARANTINE_FINAL,
            accepted=accepted,
        )
        await harness.take(device.topic("report"), refused)
        assert await harness.seen() == ("paused", "held failed waiting waiting waiting")
        assert "bench-2: quarantine-final" in await harness.reason()
        await harness.rollouts.command("spring", RolloutEvent.RETRY)
        assert await harness.seen() == ("running", "open failed waiting waiting waiting")
        assert (await harness.assignment("bench-2")).attempt == 1

    run(tmp_path, scenario)


def test_pause_holds_resume_goes_on_cancel_withdraws(tmp_path):
    """Each by an offer to the devices that install: hold, install, none; what is given twice changes nothing."""

    async def scenario(harness):
        await harness.create()
        await harness.seen()
        for event, seen, action in (
            (RolloutEvent.PAUSE, ("paused", "held held waiting waiting waiting"), codes.OFFER_HOLD),
            (RolloutEvent.RESUME, ("running", "open open waiting waiting waiting"), codes.OFFER_INSTALL),
            (
                RolloutEvent.CANCEL,
                ("cancelled", "withdrawn withdrawn withdrawn withdrawn withdrawn"),
                codes.OFFER_NONE,
            ),
        ):
            harness.events.clear()
            for _ in range(2):
                await harness.rollouts.command("spring", event)
                assert await harness.seen() == seen
            made = [one for one in harness.events if isinstance(one, OfferMade)]
            assert [(one.device, one.action) for one in made] == [("bench-1", action), ("bench-2", action)]
        with pytest.raises(RolloutStateError):
            await harness.rollouts.command("spring", RolloutEvent.RESUME)
        assert (await harness.seen())[0] == "cancelled"

    run(tmp_path, scenario)


def test_nobody_is_asked_before_a_rollout_is_approved(tmp_path):
    """Its devices are its own from its creation on."""

    async def scenario(harness):
        await harness.create(harness.plan(needs_approval=True))
        assert await harness.seen() == ("awaiting-approval", "waiting waiting waiting waiting waiting")
        await harness.rollouts.command("spring", RolloutEvent.APPROVE)
        assert await harness.seen() == ("running", "open open open open open")

    run(tmp_path, scenario)


def test_a_device_that_was_assigned_something_else_does_not_count(tmp_path):
    """It belongs to whoever assigned it; the rollout goes on without it."""

    async def scenario(harness):
        await harness.create()
        await harness.seen()
        other = harness.fleet.repository.add(make_release(harness.fleet.keys, sequence=9))
        async with harness.store.writing() as transaction:
            await transaction.add_release(replace(other, imported_at_s=NOW_S))
            device = replace(await transaction.device("bench-1"), assigned=other.digest)
            changes = Changes(devices={"bench-1": device})
            changes.keep_assignment(director.assign(None, "bench-1", other.digest))
            await transaction.write(changes, NOW_S)
        assert await harness.seen() == ("running", "displaced open waiting waiting waiting")
        await harness.succeed("bench-2")
        assert await harness.seen() == ("running", "displaced succeeded open open open")

    run(tmp_path, scenario)


def test_at_most_so_many_are_asked_at_a_time(tmp_path):
    """The next is asked when one has answered."""

    async def scenario(harness):
        await harness.create(harness.plan(everybody(concurrency=2)))
        assert await harness.seen() == ("running", "open open waiting waiting waiting")
        await harness.succeed("bench-2")
        assert await harness.seen() == ("running", "open succeeded open waiting waiting")

    run(tmp_path, scenario)


def test_a_release_that_cannot_be_read_pauses_the_rollout(tmp_path):
    """Nobody is asked for what can't be published."""

    async def scenario(harness):
        await harness.create()
        for file in (tmp_path / "releases").iterdir():
            file.write_bytes(b"damaged")
        assert await harness.seen() == ("paused", "waiting waiting waiting waiting waiting")
        assert "can't be published" in await harness.reason()
        assert harness.published == []

    run(tmp_path, scenario)


def test_after_a_reconnect_what_is_wanted_is_published_again_and_nothing_else(tmp_path):
    """A release that nobody is asked for waits until somebody is."""

    async def scenario(harness):
        await harness.create()
        await harness.seen()
        before = list(harness.published)
        harness.reconciler.on_reconnected()
        await harness.seen()
        assert harness.published == before * 2
        for device in DEVICES:
            await harness.succeed(device.name)
            await harness.seen()
        harness.reconciler.on_reconnected()
        assert (await harness.seen())[0] == "done"
        assert harness.published == before * 2
        await harness.publisher.ensure(harness.release.digest)
        assert harness.published == before * 3

    run(tmp_path, scenario)


def test_a_reconnect_while_publishing_publishes_all_again(tmp_path):
    """A broker that was replaced in the middle has the second half only."""

    async def scenario(harness):
        sent = []

        async def publish(message):
            sent.append(message.topic)
            if len(sent) == 2:
                publisher.on_reconnected()

        publisher = Publisher(
            harness.store, harness.fleet.repository, publish, lambda: NOW_S, PublishLimits(window=1)
        )
        await publisher.publish(harness.release.digest)
        assert sent[: len(sent) // 2] == sent[len(sent) // 2 :]

    run(tmp_path, scenario)


def test_what_can_not_be_created_is_refused_by_name(tmp_path):
    """And a second creation under the same name returns the first."""

    async def scenario(harness):
        digest, rollouts = harness.release.digest, harness.rollouts
        await harness.groups.set_devices("empty", [])
        empty_first = harness.plan(Phase(kind=PhaseKind.GROUP, group="empty"), everybody())
        for plan, name, error, says in (
            (group_by_group(bytes(32), ["canary"]), "x", UnknownError, "no release"),
            (group_by_group(digest, ["nobody"]), "x", UnknownError, "no group nobody"),
            (group_by_group(digest, ["empty"]), "x", PlanError, "groups: no device"),
            (empty_first, "x", PlanError, "phases.0: this phase"),
            (group_by_group(digest, ["canary"]), "7", InvalidError, "no name"),
            (group_by_group(digest, ["canary"]), "rollout-7", InvalidError, "without a name"),
            (
                group_by_group(harness.recovery.digest, ["canary"]),
                "x",
                PlanError,
                "release: it is a recovery",
            ),
            (harness.plan(recovery=bytes(32)), "x", UnknownError, "no release"),
        ):
            with pytest.raises(error, match=says):
                await rollouts.create(plan, name)
            with pytest.raises(error, match=says):
                await rollouts.preview(plan, name)
        assert await rollouts.page(0, 10) == []
        created = await rollouts.create(group_by_group(digest, ["canary"]), "spring")
        assert await rollouts.create(group_by_group(digest, ["canary"]), "spring") == created
        with pytest.raises(ConflictError, match="with another plan exists"):
            await rollouts.create(group_by_group(digest, ["production"]), "spring")
        with pytest.raises(PlanError, match="no device can be taken"):
            await rollouts.create(group_by_group(digest, ["canary"]))
        unnamed = await rollouts.create(group_by_group(digest, ["production"]))
        assert unnamed.name == f"rollout-{unnamed.id}"
        assert [view.rollout.name for view in await rollouts.page(0, 10)] == ["spring", unnamed.name]
        assert [view.rollout.name for view in await rollouts.page(created.id, 10)] == [unnamed.name]

    run(tmp_path, scenario)
