"""A server without a broker, its clock in the test's hand: real store, real signed reports, what is published in a list."""

import asyncio
from dataclasses import replace

from fleet_bench import NOW_S, FakeFleetDevice, make_fleet, open_store
from release_factory import make_release

from pawl import codes
from pawl.compat import sha256
from pawl_server.carrying import Carrier
from pawl_server.domain.fleet import Device
from pawl_server.domain.plan import Phase, PhaseKind, Plan
from pawl_server.failing import FailureWatch
from pawl_server.groups import Groups
from pawl_server.ingest import Ingest
from pawl_server.mqtt.inbox import Message
from pawl_server.publishing import Publisher
from pawl_server.reconcile import Reconciler
from pawl_server.rollouts import Rollouts, group_by_group
from pawl_server.settings import PublishLimits

DEVICES = [FakeFleetDevice(name=f"bench-{number}") for number in range(1, 6)]
BY_NAME = {device.name: device for device in DEVICES}
GROUPS = {"canary": ["bench-1", "bench-2"], "production": ["bench-3", "bench-4", "bench-5"]}
OFFERS_PER_S = 50
IMAGE = b"image" * 2000


class Harness:
    """A fleet of five and its rollouts; `now_s` is the time."""

    def __init__(self, fleet, releases, *, offers_per_s=OFFERS_PER_S):
        self.fleet = fleet
        self.store = fleet.store
        self.events = fleet.told
        self.now_s = NOW_S
        self.published = []
        self.withdrawn = []
        self.boots = dict.fromkeys(BY_NAME, 1)
        self.offers_per_s = offers_per_s
        self.release, self.recovery = releases
        self.ingest = Ingest(self.store, fleet.desk, self.clock)
        self.groups = Groups(self.store, self.clock)
        self.rollouts = Rollouts(self.store, self._open, self.clock)
        self.start_again()

    def clock(self):
        """Return the test's time."""
        return self.now_s

    def start_again(self):
        """Forget everything but the database, as a process that was killed does."""
        self.publisher = Publisher(
            self.store, self.fleet.repository, self._publish, self.clock, PublishLimits()
        )
        carrier = Carrier(self.fleet.desk, self.clock, offers_per_s=self.offers_per_s)
        failures = FailureWatch(self.store, self.fleet.desk, self.clock)
        self.reconciler = Reconciler(self.store, carrier, failures, self.publisher, pass_s=1)

    async def _publish(self, message):
        (self.published if message.payload else self.withdrawn).append(message.topic)

    async def _open(self, digest):
        return await self.publisher.open(digest)

    async def prepare(self):
        """Enroll the devices, import the releases, set the groups, and let every device say hello."""
        async with self.store.writing() as transaction:
            for device in DEVICES:
                await transaction.enroll(Device(enrolment=device.enrolment))
            for release in (self.release, self.recovery):
                await transaction.add_release(replace(release, imported_at_s=NOW_S))
        for name, devices in GROUPS.items():
            await self.groups.set_devices(name, devices)
        for device in DEVICES:
            await self.hello(device.name)

    async def import_release(self, **statement):
        """Import another release."""
        release = self.fleet.repository.add(make_release(self.fleet.keys, **statement))
        async with self.store.writing() as transaction:
            await transaction.add_release(replace(release, imported_at_s=NOW_S))
        return release

    async def hello(self, name):
        """Open a nonce for the device's present boot."""
        device = BY_NAME[name]
        payload = device.hello(bytes([self.boots[name] % 256]) * 16, boots=self.boots[name])
        await self.take(device.topic("hello"), payload)

    async def report(self, name, event, **changes):
        """Let a device reboot and report, twice the same, and say hello."""
        self.boots[name] += 1
        device = BY_NAME[name]
        payload = device.report(event, boots=self.boots[name], **changes)
        await self.take(device.topic("report"), payload)
        await self.take(device.topic("report"), payload)
        await self.hello(name)

    async def succeed(self, name, release=None):
        """Report a release, by its digest, as installed; by default the rollout's."""
        await self.report(name, codes.EVENT_INSTALLED, digest=release or self.release.digest)

    async def fail(self, name, reason=codes.REASON_TRIALS, release=None):
        """Report a revert, or another failure after a reset."""
        event = codes.EVENT_REVERTED if reason == codes.REASON_TRIALS else codes.EVENT_FAILED
        await self.report(name, event, subject=release or self.release.digest, reason=reason)

    async def started(self, name):
        """Report a start: signed, and it settles nothing."""
        await self.report(name, codes.EVENT_STARTED)

    async def take(self, topic, payload):
        """Ingest a message."""
        await self.ingest.take([Message(topic=topic, payload=payload, retained=False)])

    async def create(self, plan=None, name="spring"):
        """Begin the rollout that most tests look at."""
        return await self.rollouts.create(plan or group_by_group(self.release.digest, list(GROUPS)), name)

    def plan(self, *phases, **changes):
        """Return a plan of the release for both groups."""
        changes = {"release": self.release.digest, "groups": tuple(GROUPS)} | changes
        return Plan(phases=phases or (everybody(),), **changes)

    async def seen(self, name="spring"):
        """Reconcile, and return the rollout's state and how far each device is, by the end of its name."""
        await self.reconciler.reconcile()
        view = await self.rollouts.get(name)
        members = await self.rollouts.members(name, "", 1000)
        return str(view.rollout.state), " ".join(str(member.progress) for member in members)

    async def reason(self, name="spring"):
        """Return why a rollout is in its state."""
        return (await self.rollouts.get(name)).rollout.reason

    async def device(self, name):
        """Return a device's row."""
        async with self.store.reading() as transaction:
            return await transaction.device(name)

    async def assignment(self, name):
        """Return what a device is assigned."""
        async with self.store.reading() as transaction:
            return (await transaction.assignments([name])).get(name)

    async def offer(self, name):
        """Return the newest offer that waits for the broker, as the device reads it."""
        async with self.store.reading() as transaction:
            queued = await transaction.unsent()
        [payload] = [one.message.payload for one in queued if one.message.device == name]
        return self.fleet.opened_offer(payload)


def everybody(**changes):
    """Return the phase of all devices that no other phase has."""
    return Phase(kind=PhaseKind.PERCENT, size=100, **changes)


def make_releases(fleet):
    """Return the release that is rolled out, and the one that devices go back to."""
    release = fleet.repository.add(make_release(fleet.keys, image=IMAGE))
    named = ((sha256(IMAGE), len(IMAGE)),)
    earlier = make_release(fleet.keys, image=b"earlier" * 900, sequence=3, recovers=named)
    return release, fleet.repository.add(earlier)


def run(folder, scenario, **changes):
    """Run a scenario with a fleet whose store is open."""

    async def main():
        fleet = make_fleet(folder)
        harness = Harness(fleet, make_releases(fleet), **changes)
        async with open_store(harness.store):
            await harness.prepare()
            return await scenario(harness)

    return asyncio.run(main())
