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
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from pawl_server.carrying import Carrier
from pawl_server.domain import director
from pawl_server.domain.changes import Changes, Outgoing
from pawl_server.domain.director import AnchorReference
from pawl_server.domain.fleet import Assignment, Device, Enrolment
from pawl_server.errors import UnknownError
from pawl_server.events import AssignmentSettled, Event, JudgesDisagreed, OfferMade, RolloutChanged
from pawl_server.inbound import UP_TOPICS
from pawl_server.ingest import Ingest
from pawl_server.inventory import Inventory
from pawl_server.judges import DisagreementError, Judges
from pawl_server.mqtt.inbox import Message
from pawl_server.mqtt.link import LinkSettings, MqttLink
from pawl_server.offering import OfferDesk
from pawl_server.outbox import OutboxSender
from pawl_server.publishing import Publisher
from pawl_server.reconcile import Reconciler
from pawl_server.repository import Repository
from pawl_server.rollouts import Rollouts
from pawl_server.settings import ServerSettings
from pawl_server.signing import load_director
from pawl_server.store import Store, Transaction
from pawl_server.watchers import Watchers


class FleetServer:
    """Started once, stopped once; `clock` gives seconds since 1970.

    Raises:
        TrustError, DirectorKeyError, OSError: at construction, if anchor or key can't be used.
    """

    def __init__(self, settings: ServerSettings, clock: Callable[[], float] = time.time) -> None:
        judges = Judges(settings.anchor.read_bytes(), settings.disagreements)
        anchor = judges.anchor
        reference = AnchorReference(version=anchor.version, digest=anchor.digest)
        settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.settings = settings
        self.store = Store(settings.database)
        self._clock = clock
        self._desk = OfferDesk(
            anchor=reference, signer=load_director(settings.director_key, anchor.directors)
        )
        self._repository = Repository(settings.releases, judges, bundle_max_bytes=settings.bundle_max_bytes)
        self._ingest = Ingest(self.store, self._desk, clock)
        self._watchers = Watchers(queue_max=settings.watcher_queue_max)
        self._publisher = Publisher(
            self.store, self._repository, self._publish, self._tell, clock, window=settings.publish_window
        )
        self._reconciler = Reconciler(
            self.store,
            Carrier(self._desk, clock),
            self._publisher,
            self._tell,
            pass_s=settings.reconcile_pass_s,
        )
        self.inventory = Inventory(self.store)
        self.rollouts = Rollouts(self.store, clock, self._tell)
        self._link = MqttLink(_link_settings(settings), self._on_messages, self._reconciler.on_reconnected)
        self._outbox = OutboxSender(
            self.store, self._publish, self._watchers, retry_s=settings.outbox_retry_s
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Open the store, connect, send what was left unsent, and go on with the rollouts."""
        await self.store.open()
        try:
            # The broker may be another one than before, or have forgotten what it had.
            await self._publisher.forget()
            await self._link.start([UP_TOPICS])
        except BaseException:
            await self.store.close()
            raise
        self._tasks = [asyncio.create_task(self._outbox.run()), asyncio.create_task(self._reconciler.run())]

    async def stop(self) -> None:
        """Finish the batch at hand, disconnect, close the store; what is unsent stays in the outbox."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._link.stop()
        await self.store.close()
        self._watchers.close()

    def events(self) -> AsyncIterator[Event]:
        """Return an iterator over what happens from now on; it ends when the server stops."""
        return self._watchers.watch()

    async def enroll(self, enrolment: Enrolment) -> None:
        """Let a provisioned device in; ConflictError if another one has its name."""
        async with self.store.writing() as transaction:
            await transaction.enroll(Device(enrolment=enrolment))

    async def import_release(self, raw: bytes) -> bytes:
        """Verify and keep a bundle, return its manifest digest.

        Raises:
            ManifestError: a device would refuse it.
            DisagreementError: the two judges of releases differ about it; whoever watches was told.
        """
        try:
            release = await asyncio.to_thread(self._repository.add, raw)
        except DisagreementError as error:
            self._tell([JudgesDisagreed.of(error)])
            raise
        async with self.store.writing() as transaction:
            await transaction.add_release(replace(release, imported_at_s=self._now_s()))
        return release.digest

    async def publish_release(self, digest: bytes) -> None:
        """Put a release on the broker, retained; doing it again puts the same there again."""
        await self._publisher.publish(digest)

    async def assign(self, name: str, digest: bytes) -> None:
        """Let a device run this release: published first, then offered at once if the device has a nonce open."""
        await self._publisher.ensure(digest)
        async with self.store.writing() as transaction:
            device = await _require_device(transaction, name)
            before = await transaction.assignment(name, digest)
            assignment = director.assign(before, name, digest)
            made = await self._serve(transaction, replace(device, assigned=digest), assignment)
        self._after_commit(made)

    async def hold(self, name: str) -> None:
        """Stop what a device was assigned, where it is; assigning the release again goes on."""
        async with self.store.writing() as transaction:
            device = await _require_device(transaction, name)
            assignment = (await transaction.assignments([name])).get(name)
            held = director.hold(assignment) if assignment else None
            made = await self._serve(transaction, device, held)
        self._after_commit(made)

    async def assignment(self, name: str) -> Assignment | None:
        """Return what a device is assigned, and how far it is."""
        async with self.store.reading() as transaction:
            return (await transaction.assignments([name])).get(name)

    async def device(self, name: str) -> Device | None:
        """Return an enrolled device as it was seen last."""
        async with self.store.reading() as transaction:
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
        self._tell([made] if made is not None else [])

    def _tell(self, events: list[Event]) -> None:
        """Hand on what was committed: to those who watch, and to the tasks that have something to do now."""
        self._watchers.tell(events)
        if any(isinstance(event, OfferMade) for event in events):
            self._outbox.wake()
        if any(isinstance(event, (AssignmentSettled, RolloutChanged)) for event in events):
            self._reconciler.wake()

    async def _on_messages(self, batch: list[Message]) -> None:
        self._tell(await self._ingest.take(batch))

    async def _publish(self, message: Outgoing) -> None:
        await self._link.publish(message.topic, message.payload, qos=message.qos, retain=message.is_retained)


async def _require_device(transaction: Transaction, name: str) -> Device:
    device = await transaction.device(name)
    if device is None:
        raise UnknownError(f"no device {name} is enrolled")
    return device


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
