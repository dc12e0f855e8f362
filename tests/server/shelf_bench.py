"""A publisher over a real store and a real broker, and who looks at what that broker retains."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count

from fleet_bench import NOW_S, FakeFleetDevice, open_store
from release_factory import make_release
from sqlalchemy import insert, update

from pawl_server.domain import director
from pawl_server.domain.changes import Changes
from pawl_server.domain.fleet import AssignmentState, Device
from pawl_server.mqtt.link import MqttLink
from pawl_server.publishing import Publisher
from pawl_server.settings import PublishLimits
from pawl_server.store import tables

WAIT_S = 10
DEVICE = FakeFleetDevice(name="bench-1")
AT_ONCE = PublishLimits(window=8, grace_s=0, settle_s=0)
_END = "pawl/end"
_NUMBERS = count()


class Shelf:
    """What a server knows of releases on the broker; `now_s` may be set, `sent` has every topic in order."""

    def __init__(self, fleet, link, limits):
        self.fleet = fleet
        self.store = fleet.store
        self.now_s = NOW_S
        self.sent = []
        self.began = asyncio.Event()
        self.link = link
        self.publisher = Publisher(self.store, fleet.repository, self.publish, lambda: self.now_s, limits)

    async def publish(self, message):
        """Publish as the server does."""
        self.sent.append((message.topic, bool(message.payload)))
        self.began.set()
        await self.link.publish(message.topic, message.payload, qos=message.qos, retain=message.is_retained)

    async def import_release(self, **fields):
        """Return the digest of a new release."""
        release = self.fleet.repository.add(make_release(self.fleet.keys, **fields))
        async with self.store.writing() as transaction:
            await transaction.add_release(replace(release, imported_at_s=NOW_S))
        return release.digest

    async def row(self, digest):
        """Return what the store says of a release: (is_retained, published_at_s)."""
        async with self.store.reading() as transaction:
            release = await transaction.release(digest)
        return release.is_retained, release.published_at_s

    async def assign(self, digest, to=DEVICE):
        """Make a release a device's current assignment."""
        async with self.store.writing() as transaction:
            await transaction.enroll(Device(enrolment=to.enrolment))
            device = await transaction.device(to.name)
            before = await transaction.assignment(to.name, digest)
            await self._write(transaction, device, director.assign(before, to.name, digest))

    async def settle(self, digest, state):
        """Let the assignment of a release come into this state."""
        async with self.store.writing() as transaction:
            device = await transaction.device(DEVICE.name)
            before = await transaction.assignment(DEVICE.name, digest)
            await self._write(transaction, device, replace(before, state=state))

    async def _write(self, transaction, device, assignment):
        changes = Changes()
        changes.devices[device.name] = replace(device, assigned=assignment.release)
        changes.keep_assignment(assignment)
        await transaction.write(changes, NOW_S)

    async def roll_out(self, digest, *, recovery=None, state="running"):
        """Write a rollout; return its number."""
        row = {
            "name": f"rollout-of-{len(self.sent)}-{digest.hex()}",
            "release": digest,
            "recovery": recovery,
            "plan": {},
            "state": state,
            "reason": "",
            "created_at_s": NOW_S,
            "changed_at_s": NOW_S,
        }
        async with self.store.writing() as transaction:
            added = await transaction._connection.execute(insert(tables.rollouts).values(row))
            return added.inserted_primary_key[0]

    async def end(self, rollout, state="done"):
        """Let a rollout come into this state."""
        change = update(tables.rollouts).where(tables.rollouts.c.id == rollout).values(state=state)
        async with self.store.writing() as transaction:
            await transaction._connection.execute(change)

    async def withdraw(self):
        """Make two passes: one clears, the next one knows that it lasted."""
        await self.publisher.withdraw_unneeded()
        await self.publisher.withdraw_unneeded()


@asynccontextmanager
async def shelf(bench, fleet, limits=AT_ONCE):
    """Open the fleet's store, and connect a publisher of its own."""
    link = MqttLink(bench.link_settings("publisher"), _nothing)
    async with open_store(fleet.store):
        await link.start()
        try:
            yield Shelf(fleet, link, limits)
        finally:
            await link.stop()


async def retained(bench):
    """Return what a fresh subscriber to everything is sent: payloads by topic."""
    found, is_over = {}, asyncio.Event()

    async def take(batch):
        for message in batch:
            if message.topic == _END:
                is_over.set()
            elif message.retained:
                found[message.topic] = message.payload

    link = MqttLink(bench.link_settings(f"watch-{next(_NUMBERS)}"), take)
    await link.start(["pawl/#"])
    try:
        await link.publish(_END, b"end")
        await asyncio.wait_for(is_over.wait(), WAIT_S)
    finally:
        await link.stop()
    return found


async def _nothing(_batch):
    """Take nothing."""


SETTLED = (AssignmentState.SUCCEEDED, AssignmentState.FAILED)
