"""Rollouts over a real store and real signed reports: groups in order, failures, commands, and a random walk."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from fleet_bench import NOW_S, FakeFleetDevice, make_fleet, open_store
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from release_factory import make_release

from pawl import codes, topics
from pawl_server.carrying import Carrier
from pawl_server.domain import director
from pawl_server.domain.changes import Changes
from pawl_server.domain.fleet import Device
from pawl_server.domain.rollout import Progress, RolloutEvent, RolloutState, RolloutStateError
from pawl_server.errors import InvalidError, UnknownError
from pawl_server.events import OfferMade, PhaseAsked, RolloutChanged
from pawl_server.ingest import Ingest
from pawl_server.mqtt.inbox import Message
from pawl_server.publishing import Publisher
from pawl_server.reconcile import Reconciler
from pawl_server.rollouts import Rollouts
from pawl_server.store import ConflictError

DEVICES = [FakeFleetDevice(name=f"bench-{number}") for number in range(1, 6)]
BY_NAME = {device.name: device for device in DEVICES}
GROUPS = {"canary": ["bench-1", "bench-2"], "production": ["bench-3", "bench-4", "bench-5"]}


class Harness:
    """A server without a broker: what is published is kept in a list."""

    def __init__(self, folder):
        self.fleet = make_fleet(folder)
        self.store = self.fleet.store
        self.events = []
        self.published = []
        self.boots = dict.fromkeys(BY_NAME, 1)
        self.release = self.fleet.repository.add(make_release(self.fleet.keys))
        self.ingest = Ingest(self.store, self.fleet.desk, lambda: NOW_S)
        self.rollouts = Rollouts(self.store, lambda: NOW_S, self.events.extend)
        self.start_again()

    def start_again(self):
        """Forget everything but the database, as a process that was killed does."""
        self.publisher = Publisher(
            self.store, self.fleet.repository, self._publish, self.events.extend, lambda: NOW_S, window=64
        )
        carrier = Carrier(self.fleet.desk, lambda: NOW_S)
        self.reconciler = Reconciler(self.store, carrier, self.publisher, self.events.extend, pass_s=1)

    async def _publish(self, message):
        self.published.append(message.topic)

    async def prepare(self):
        """Enroll the devices, import the release, set the groups, and let every device say hello."""
        async with self.store.writing() as transaction:
            for device in DEVICES:
                await transaction.enroll(Device(enrolment=device.enrolment))
            await transaction.add_release(replace(self.release, imported_at_s=NOW_S))
        for name, devices in GROUPS.items():
            await self.rollouts.set_group(name, devices)
        for device in DEVICES:
            await self.hello(device.name)

    async def hello(self, name):
        """Open a nonce for the device's present boot."""
        device = BY_NAME[name]
        payload = device.hello(bytes([self.boots[name]]) * 16, boots=self.boots[name])
        await self.take(device.topic("hello"), payload)

    async def report(self, name, event, *, digest=None, subject=None, reason=0):
        """Let a device reboot and report."""
        self.boots[name] += 1
        device = BY_NAME[name]
        payload = device.report(event, boots=self.boots[name], digest=digest, subject=subject, reason=reason)
        await self.take(device.topic("report"), payload)
        await self.take(device.topic("report"), payload)
        await self.hello(name)

    async def succeed(self, name):
        """Report the release as installed."""
        await self.report(name, codes.EVENT_INSTALLED, digest=self.release.digest)

    async def fail(self, name):
        """Report a revert."""
        await self.report(name, codes.EVENT_REVERTED, subject=self.release.digest, reason=codes.REASON_TRIALS)

    async def take(self, topic, payload):
        """Ingest a message."""
        self.events += await self.ingest.take([Message(topic=topic, payload=payload, retained=False)])

    async def create(self):
        """Begin the rollout that most tests look at."""
        return await self.rollouts.create(self.release.digest, list(GROUPS), "spring")

    async def seen(self):
        """Reconcile, and return the rollout's state and how far each device is, by the end of its name."""
        await self.reconciler.reconcile()
        view = await self.rollouts.get("spring")
        members = await self.rollouts.members("spring")
        return str(view.rollout.state), " ".join(str(member.progress) for member in members)


def _run(folder, scenario):
    async def main():
        harness = Harness(folder)
        async with open_store(harness.store):
            await harness.prepare()
            return await scenario(harness)

    return asyncio.run(main())


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
        assert [(e.group, e.devices) for e in harness.events if isinstance(e, PhaseAsked)] == [
            ("canary", 2),
            ("production", 3),
        ]
        states = [event.state for event in harness.events if isinstance(event, RolloutChanged)]
        assert states == ["running", "done"]

    _run(tmp_path, scenario)


def test_a_failure_pauses_and_a_resume_asks_again(tmp_path):
    """The reason names group, device and cause; the second group never saw the release; the attempt is counted."""

    async def scenario(harness):
        await harness.create()
        await harness.seen()
        await harness.fail("bench-2")
        assert await harness.seen() == ("paused", "held failed waiting waiting waiting")
        view = await harness.rollouts.get("spring")
        assert view.rollout.reason == "group canary: bench-2 failed: trials"
        await harness.rollouts.command("spring", RolloutEvent.RESUME)
        assert await harness.seen() == ("running", "open open waiting waiting waiting")
        async with harness.store.reading() as transaction:
            assignment = (await transaction.assignments(["bench-2"]))["bench-2"]
        assert (assignment.attempt, assignment.failures) == (2, 1)

    _run(tmp_path, scenario)


def test_a_device_that_refuses_for_good_is_not_asked_again(tmp_path):
    """Resuming pauses again, with that reason: the release has to be another one."""

    async def scenario(harness):
        await harness.create()
        await harness.seen()
        async with harness.store.reading() as transaction:
            accepted = (await transaction.device("bench-2")).issued
        device = BY_NAME["bench-2"]
        refused = device.report(
            codes.EVENT_REFUSED,
            subject=harness.release.digest,
            reason=codes.REASON_QUARANTINE_FINAL,
            accepted=accepted,
        )
        await harness.take(device.topic("report"), refused)
        for _ in range(2):
            assert await harness.seen() == ("paused", "held failed waiting waiting waiting")
            view = await harness.rollouts.get("spring")
            assert view.rollout.reason == "group canary: bench-2 failed: quarantine-final"
            await harness.rollouts.command("spring", RolloutEvent.RESUME)
        async with harness.store.reading() as transaction:
            assert (await transaction.assignments(["bench-2"]))["bench-2"].attempt == 1

    _run(tmp_path, scenario)


def test_pause_holds_resume_goes_on_cancel_withdraws(tmp_path):
    """Each by an offer to the devices that install: hold, install, none."""

    async def scenario(harness):
        await harness.create()
        await harness.seen()
        for event, seen, action in (
            (RolloutEvent.PAUSE, ("paused", "held held waiting waiting waiting"), codes.OFFER_HOLD),
            (RolloutEvent.RESUME, ("running", "open open waiting waiting waiting"), codes.OFFER_INSTALL),
            (
                RolloutEvent.CANCEL,
                ("failed", "displaced displaced waiting waiting waiting"),
                codes.OFFER_NONE,
            ),
        ):
            harness.events.clear()
            await harness.rollouts.command("spring", event)
            assert await harness.seen() == seen
            made = [one for one in harness.events if isinstance(one, OfferMade)]
            assert [(one.device, one.action) for one in made] == [("bench-1", action), ("bench-2", action)]
        with pytest.raises(RolloutStateError):
            await harness.rollouts.command("spring", RolloutEvent.RESUME)
        assert await harness.seen() == ("failed", "displaced displaced waiting waiting waiting")

    _run(tmp_path, scenario)


def test_a_device_that_was_assigned_something_else_pauses_its_rollout(tmp_path):
    """It would wait for that device for ever."""

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
        assert await harness.seen() == ("paused", "displaced held waiting waiting waiting")
        view = await harness.rollouts.get("spring")
        assert view.rollout.reason == "group canary: bench-1 was assigned another release"

    _run(tmp_path, scenario)


def test_a_release_that_cannot_be_read_pauses_the_rollout(tmp_path):
    """Nobody is asked for what can't be published."""

    async def scenario(harness):
        await harness.create()
        for file in (tmp_path / "releases").iterdir():
            file.write_bytes(b"damaged")
        assert await harness.seen() == ("paused", "waiting waiting waiting waiting waiting")
        assert "can't be published" in (await harness.rollouts.get("spring")).rollout.reason
        assert harness.published == []

    _run(tmp_path, scenario)


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

    _run(tmp_path, scenario)


def test_a_reconnect_while_publishing_publishes_all_again(tmp_path):
    """A broker that was replaced in the middle has the second half only."""

    async def scenario(harness):
        topics = []

        async def publish(message):
            topics.append(message.topic)
            if len(topics) == 2:
                publisher.on_reconnected()

        publisher = Publisher(
            harness.store, harness.fleet.repository, publish, harness.events.extend, lambda: NOW_S, window=1
        )
        await publisher.publish(harness.release.digest)
        assert topics[: len(topics) // 2] == topics[len(topics) // 2 :]

    _run(tmp_path, scenario)


def test_what_can_not_be_created_is_refused_by_name(tmp_path):
    """And a second creation under the same name returns the first."""

    async def scenario(harness):
        digest = harness.release.digest
        rollouts = harness.rollouts
        await rollouts.set_group("empty", [])
        for release, groups, name, error, says in (
            (bytes(32), ["canary"], "x", UnknownError, "no release"),
            (digest, ["nobody"], "x", UnknownError, "no group nobody"),
            (digest, ["empty"], "x", UnknownError, "has no devices"),
            (digest, [], "x", InvalidError, "1 to 64 groups"),
            (digest, ["canary", "canary"], "x", InvalidError, "each once"),
            (digest, ["canary"], "7", InvalidError, "no name"),
            (digest, ["canary"], "rollout-7", InvalidError, "without a name"),
        ):
            with pytest.raises(error, match=says):
                await rollouts.create(release, groups, name)
        created = await rollouts.create(digest, ["canary"], "spring")
        assert await rollouts.create(digest, ["canary"], "spring") == created
        with pytest.raises(ConflictError, match="of another release or other groups"):
            await rollouts.create(digest, ["production"], "spring")
        with pytest.raises(ConflictError, match="bench-1 is in rollout spring"):
            await rollouts.create(digest, ["canary"])
        unnamed = await rollouts.create(digest, ["production"])
        assert unnamed.name == f"rollout-{unnamed.id}"
        with pytest.raises(UnknownError, match="no device ghost"):
            await rollouts.set_group("canary", ["ghost"])

    _run(tmp_path, scenario)


def test_who_is_in_two_groups_belongs_to_the_first_and_later_changes_touch_no_rollout(tmp_path):
    """The members are those of when it was created."""

    async def scenario(harness):
        await harness.rollouts.set_group("all", [device.name for device in DEVICES])
        await harness.rollouts.create(harness.release.digest, ["canary", "all"], "spring")
        await harness.rollouts.set_group("canary", ["bench-5"])
        members = await harness.rollouts.members("spring")
        assert [(one.device, one.position) for one in members] == [
            ("bench-1", 0),
            ("bench-2", 0),
            ("bench-3", 1),
            ("bench-4", 1),
            ("bench-5", 1),
        ]

    _run(tmp_path, scenario)


@asynccontextmanager
async def _harness(folder):
    harness = Harness(folder)
    async with open_store(harness.store):
        await harness.prepare()
        await harness.create()
        yield harness


_MOVE = st.sampled_from(["reconcile", "succeed", "fail", "hello", "pause", "resume", "start_again"])


@settings(deadline=None, max_examples=8, suppress_health_check=list(HealthCheck))
@given(moves=st.lists(st.tuples(_MOVE, st.sampled_from(sorted(BY_NAME))), max_size=25))
def test_no_history_breaks_the_order_and_all_end_on_the_release(moves, tmp_path_factory):
    """Events in any order, restarts in between: the second group waits for the first, and the end is the same."""

    async def walk(harness):
        for move, name in moves:
            await _make(harness, move, name)
            await _require_order(harness)
        for _ in range(3):
            for name in sorted(BY_NAME):
                await _make(harness, "resume", name)
                await harness.reconciler.reconcile()
                await harness.succeed(name)
        assert await harness.seen() == ("done", "succeeded succeeded succeeded succeeded succeeded")

    async def main():
        async with _harness(tmp_path_factory.mktemp("walk")) as harness:
            await walk(harness)

    asyncio.run(main())


async def _make(harness, move, name):
    if move in {"pause", "resume"}:
        view = await harness.rollouts.get("spring")
        if view.rollout.state is not RolloutState.DONE:
            await harness.rollouts.command("spring", RolloutEvent(move))
    elif move == "reconcile":
        await harness.reconciler.reconcile()
    elif move == "start_again":
        harness.start_again()
    else:
        await getattr(harness, move)(name)


async def _require_order(harness):
    members = await harness.rollouts.members("spring")
    canary = {member.progress for member in members if member.position == 0}
    production = {member.progress for member in members if member.position == 1}
    assert canary == {Progress.SUCCEEDED} or production == {Progress.WAITING}
