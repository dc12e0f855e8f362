"""The fleet server in one object: devices, releases, assignments, and the link that carries them.

What must be published is first written to the database, so that a server that is killed goes on where it was.

    server = FleetServer(settings)
    await server.start()
    digest = await server.import_release(raw)
    await server.assign("bench-1", digest)
    async for event in server.events(): ...
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from pawl import topics, trust
from pawl.ports.host.verifier import verify
from pawl_server.domain import director
from pawl_server.domain.changes import Changes, Outgoing
from pawl_server.domain.director import AnchorReference
from pawl_server.domain.fleet import Assignment, Device, Enrolment
from pawl_server.events import Event, OfferMade
from pawl_server.inbound import UP_TOPICS
from pawl_server.ingest import Ingest
from pawl_server.mqtt.inbox import Message
from pawl_server.mqtt.link import LinkSettings, MqttLink
from pawl_server.offering import OfferDesk
from pawl_server.outbox import OutboxSender
from pawl_server.repository import Repository
from pawl_server.settings import ServerSettings
from pawl_server.signing import load_director
from pawl_server.store import Store, Transaction
from pawl_server.watchers import Watchers


class UnknownError(Exception):
    """No such device, or no such release."""


class FleetServer:
    """Started once, stopped once; `clock` gives seconds since 1970.

    Raises:
        TrustError, DirectorKeyError, OSError: at construction, if anchor or key can't be used.
    """

    def __init__(self, settings: ServerSettings, clock: Callable[[], float] = time.time) -> None:
        anchor = trust.load(settings.anchor.read_bytes(), verify)
        reference = AnchorReference(version=anchor.version, digest=anchor.digest)
        settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._settings = settings
        self._clock = clock
        self._desk = OfferDesk(
            anchor=reference, signer=load_director(settings.director_key, anchor.directors)
        )
        self._repository = Repository(settings.releases, anchor, bundle_max_bytes=settings.bundle_max_bytes)
        self._store = Store(settings.database)
        self._ingest = Ingest(self._store, self._desk, clock)
        self._watchers = Watchers(queue_max=settings.watcher_queue_max)
        self._link = MqttLink(_link_settings(settings), self._on_messages)
        self._outbox = OutboxSender(
            self._store, self._publish, self._watchers, retry_s=settings.outbox_retry_s
        )
        self._sender: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the store, connect, and send what was left unsent."""
        await self._store.open()
        try:
            await self._link.start([UP_TOPICS])
        except BaseException:
            await self._store.close()
            raise
        self._sender = asyncio.create_task(self._outbox.run())

    async def stop(self) -> None:
        """Finish the batch at hand, disconnect, close the store; what is unsent stays in the outbox."""
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.gather(self._sender, return_exceptions=True)
        await self._link.stop()
        await self._store.close()
        self._watchers.close()

    def events(self) -> AsyncIterator[Event]:
        """Return an iterator over what happens from now on; it ends when the server stops."""
        return self._watchers.watch()

    async def enroll(self, enrolment: Enrolment) -> None:
        """Let a provisioned device in; ConflictError if another one has its name."""
        async with self._store.writing() as transaction:
            await transaction.enroll(Device(enrolment=enrolment))

    async def import_release(self, raw: bytes) -> bytes:
        """Verify and keep a bundle, return its manifest digest; ManifestError if a device would refuse it."""
        release = await asyncio.to_thread(self._repository.add, raw)
        async with self._store.writing() as transaction:
            await transaction.add_release(replace(release, imported_at_s=self._now_s()))
        return release.digest

    async def publish_release(self, digest: bytes) -> None:
        """Put a release on the broker, retained; doing it again puts the same there again."""
        async with self._store.reading() as transaction:
            await _require_release(transaction, digest)
        bundle = await asyncio.to_thread(self._repository.open, digest)
        parts = _parts_of(bundle)
        while window := list(islice(parts, self._settings.publish_window)):
            await asyncio.gather(*[self._publish(part) for part in window])
        async with self._store.writing() as transaction:
            await transaction.mark_published(digest, self._now_s())

    async def assign(self, name: str, digest: bytes) -> None:
        """Let a device run this release: published first, then offered at once if the device has a nonce open."""
        async with self._store.reading() as transaction:
            release = await _require_release(transaction, digest)
        if release.published_at_s is None:
            await self.publish_release(digest)
        async with self._store.writing() as transaction:
            device = await _require_device(transaction, name)
            before = await transaction.assignment(name, digest)
            assignment = director.assign(before, name, digest)
            made = await self._serve(transaction, replace(device, assigned=digest), assignment)
        self._after_commit(made)

    async def hold(self, name: str) -> None:
        """Stop what a device was assigned, where it is; assigning the release again goes on."""
        async with self._store.writing() as transaction:
            device = await _require_device(transaction, name)
            assignment = (await transaction.assignments([name])).get(name)
            held = director.hold(assignment) if assignment else None
            made = await self._serve(transaction, device, held)
        self._after_commit(made)

    async def assignment(self, name: str) -> Assignment | None:
        """Return what a device is assigned, and how far it is."""
        async with self._store.reading() as transaction:
            return (await transaction.assignments([name])).get(name)

    async def device(self, name: str) -> Device | None:
        """Return an enrolled device as it was seen last."""
        async with self._store.reading() as transaction:
            return await transaction.device(name)

    def _now_s(self) -> int:
        return int(self._clock())

    async def _serve(
        self, transaction: Transaction, device: Device, assignment: Assignment | None
    ) -> OfferMade | None:
        changes = Changes()
        made = self._desk.serve(changes, device, assignment, self._now_s())
        await transaction.write(changes, self._now_s())
        return made

    def _after_commit(self, made: OfferMade | None) -> None:
        if made is not None:
            self._watchers.tell([made])
            self._outbox.wake()

    async def _on_messages(self, batch: list[Message]) -> None:
        events = await self._ingest.take(batch)
        self._watchers.tell(events)
        if any(isinstance(event, OfferMade) for event in events):
            self._outbox.wake()

    async def _publish(self, message: Outgoing) -> None:
        await self._link.publish(message.topic, message.payload, qos=message.qos, retain=message.is_retained)


async def _require_release(transaction: Transaction, digest: bytes) -> Any:
    release = await transaction.release(digest)
    if release is None:
        raise UnknownError(f"no release {digest.hex()} was imported")
    return release


async def _require_device(transaction: Transaction, name: str) -> Device:
    device = await transaction.device(name)
    if device is None:
        raise UnknownError(f"no device {name} is enrolled")
    return device


def _parts_of(bundle: Any) -> Iterator[Outgoing]:
    """Yield what devices fetch of a release; the envelope last, so that who finds it finds the rest."""
    digest = bundle.index_digest
    yield Outgoing(
        topic=topics.index(digest), payload=bytes(bundle.index_bytes), device=None, is_retained=True
    )
    for variant, number, payload in bundle.blocks():
        topic = topics.block(digest, variant.number, number)
        yield Outgoing(topic=topic, payload=bytes(payload), device=None, is_retained=True)
    topic = topics.release(bundle.envelope.digest)
    yield Outgoing(topic=topic, payload=bundle.wire_envelope(), device=None, is_retained=True)


def _link_settings(settings: ServerSettings) -> LinkSettings:
    return LinkSettings(
        host=settings.broker_host,
        port=settings.broker_port,
        client_id=settings.client_id,
        authority=settings.tls_authority,
        certificate=settings.tls_certificate,
        key=settings.tls_key,
        start_timeout_s=settings.start_timeout_s,
    )
