"""A real device and the real server code behind one broker in memory: Ingest, offer desk, director key, SQLite."""

import asyncio
import threading
from contextlib import contextmanager
from dataclasses import replace

import factory
from board import FLASH_BYTES, REGIONS, SECTOR
from fleet_bench import NOW_S, make_fleet, open_store
from release_factory import CLASS, VENDOR, make_release
from simulator import Broker, partition
from target import Target, TargetBoard

from pawl import topics
from pawl.flash import MemoryFlash
from pawl.storage import Storage
from pawl_server.domain import director
from pawl_server.domain.changes import Changes
from pawl_server.domain.fleet import Device, Enrolment
from pawl_server.ingest import Ingest
from pawl_server.mqtt.inbox import Message

NAME = "bench-1"
WAIT_S = 20


class Server:
    """The server's code over a real database, in a thread and a time of its own."""

    def __init__(self, folder):
        self.fleet = make_fleet(folder)
        self.store = self.fleet.store
        self.ingest = Ingest(self.store, self.fleet.desk, lambda: NOW_S)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._opened = open_store(self.store)
        self.do(self._opened.__aenter__())

    def do(self, coroutine):
        """Run a coroutine in the server's loop; return its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(WAIT_S)

    def close(self):
        """End the server."""
        self.do(self._opened.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_S)
        self._loop.close()

    def take(self, topic, payload, *, retained=False):
        """Ingest one message; return what the server sends because of it."""
        self.do(self.ingest.take([Message(topic=topic, payload=bytes(payload), retained=retained)]))
        return self.do(self._sent())

    async def _sent(self):
        async with self.store.writing() as transaction:
            queued = await transaction.unsent()
            await transaction.mark_sent([one.id for one in queued])
        return [(one.message.topic, one.message.payload) for one in queued]

    def enroll(self, name, key):
        """Let a device in under a report key."""
        enrolment = Enrolment(device=name, vendor=VENDOR, class_id=CLASS, report_x=key.x, report_y=key.y)
        self.do(self._write(lambda transaction: transaction.enroll(Device(enrolment=enrolment))))

    async def _write(self, what):
        async with self.store.writing() as transaction:
            return await what(transaction)

    def assign(self, raw):
        """Import a release and assign it to the device."""
        return self.force(self.fleet.repository.add(raw))

    def force(self, release):
        """Write a release and its assignment as somebody can who owns the database; return the digest."""

        async def write(transaction):
            await transaction.add_release(replace(release, imported_at_s=NOW_S))
            device = await transaction.device(NAME)
            changes = Changes(devices={NAME: replace(device, assigned=release.digest)})
            changes.keep_assignment(director.assign(None, NAME, release.digest))
            await transaction.write(changes, NOW_S)

        self.do(self._write(write))
        return release.digest

    def assignment(self, name=NAME):
        """Return what a device is assigned."""

        async def read(transaction):
            return (await transaction.assignments([name])).get(name)

        return self.do(self._write(read))

    def refusals(self):
        """Return {(device, where, reason): count}."""

        async def read(transaction):
            return await transaction.refusals()

        found = self.do(self._write(read))
        return {(one.device, one.where, one.reason): count for one, count in found.items()}


class ServedBroker(Broker):
    """A broker between the device and the server: honest, and it keeps a copy of all that passes."""

    def __init__(self, server):
        super().__init__()
        self.server = server
        self.heard = []

    async def publish_up(self, topic, payload):
        await super().publish_up(topic, payload)
        self.heard.append((topic, bytes(payload)))
        for name, content in self.server.take(topic, payload):
            self.heard.append((name, content))
            if name == topics.offer(partition(), NAME):
                await self.deliver(name, content)


class ServedBoard(TargetBoard):
    """A board of the server's fleet, with release 1 in slot A."""

    def __init__(self, fleet):
        self.flash = MemoryFlash(FLASH_BYTES, SECTOR, 32)
        self.storage = Storage(self.flash, REGIONS)
        self.anchor_file = (fleet.folder / "anchor").read_bytes()
        identity = {**self._identity(1), "vendor": VENDOR, "class_id": CLASS}
        self.storage.provision(identity, self.anchor_file)
        self.put(0, make_release(fleet.keys, sequence=1))
        self.storage.slots[0].mark_confirmed()


class ServedTarget(Target):
    """A device of the server's fleet; what it wants is what the server's director offers."""

    def __init__(self, server):
        self.server = server
        super().__init__(ServedBoard(server.fleet))

    def run(self, timeout_s=120):
        if not isinstance(self.broker, ServedBroker):
            self.broker = ServedBroker(self.server)
            self.port.broker = self.broker
        return super().run(timeout_s)

    def assign(self, sequence, **rest):
        """Let the server want a release of this sequence number; it is on the broker."""
        raw = make_release(self.server.fleet.keys, sequence=sequence, version=(sequence,), **rest)
        self.publish(raw)
        return self.server.assign(raw)


@contextmanager
def serving(folder):
    """Give a Server and one enrolled device that runs release 1."""
    server = Server(folder)
    try:
        server.enroll(NAME, factory.STRANGER.key)
        yield server, ServedTarget(server)
    finally:
        server.close()
