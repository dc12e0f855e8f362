"""The fleet server in one object: devices, releases, assignments, and the link that carries them.

What must be published is first written to the database, so that a server that is killed goes on where it was.

    server = FleetServer(settings)
    await server.start()
    digest = await server.import_release(raw)
    await server.assign("bench-1", digest)
    async for event in server.events(): ...
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

from pawl_server.anchor_publishing import AnchorPublisher
from pawl_server.anchors import Anchors
from pawl_server.carrying import Carrier
from pawl_server.domain import director
from pawl_server.domain.changes import Changes, Outgoing
from pawl_server.domain.fleet import Assignment, Device, Enrolment
from pawl_server.domain.leases import ENGINE, FORMER_SESSION, INGEST, OUTBOX, Lease, Terms
from pawl_server.errors import UnknownError
from pawl_server.events import AssignmentSettled, Event, JudgesDisagreed, OfferMade, RolloutChanged
from pawl_server.failing import FailureWatch
from pawl_server.freshness import FreshnessWatch
from pawl_server.groups import Groups
from pawl_server.ingest import Ingest
from pawl_server.ingest_slices import IngestSlices
from pawl_server.inventory import Inventory
from pawl_server.judges import DisagreementError, Judges
from pawl_server.leasing import Leasing, Work
from pawl_server.mqtt.inbox import Message
from pawl_server.mqtt.link import LinkSettings, MqttLink
from pawl_server.offering import OfferDesk
from pawl_server.outbox import OutboxSender
from pawl_server.publishing import Publisher, is_ready
from pawl_server.reconcile import Reconciler
from pawl_server.refusal_log import RefusalLog
from pawl_server.repository import Repository
from pawl_server.retention import Retention
from pawl_server.rollouts import Rollouts
from pawl_server.settings import ServerSettings
from pawl_server.store import Store, Transaction
from pawl_server.store.anchors import StoredAnchor
from pawl_server.trust_chain import TrustChain
from pawl_server.watchers import Watchers
from pawl_server.works import Engine, Sender

_log = logging.getLogger(__name__)


REPLACED = "another server process has taken over this database: this one offers and writes nothing any more"


class FleetServer:
    """Started once, stopped once; `clock` gives seconds since 1970.

    Raises:
        TrustError, OSError: at construction, if the configured anchor can't be used.
    """

    def __init__(self, settings: ServerSettings, clock: Callable[[], float] = time.time) -> None:
        first = settings.anchor.read_bytes()
        self._chain = TrustChain(first, _director_keys(settings))
        settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.settings = settings
        self._watchers = Watchers(queue_max=settings.watcher_queue_max)
        self.store = Store(settings.database, self._told, clock, settings.worker)
        self._clock = clock
        self._desk = OfferDesk(authority=self._chain)
        self._repository = Repository(
            settings.releases,
            Judges(first, settings.disagreements),
            bundle_max_bytes=settings.bundle_max_bytes,
        )
        self._anchors = Anchors(self.store, self._chain, self._repository, self._desk, clock)
        self._ingest = Ingest(self.store, self._desk, clock, registration=settings.registration)
        self._publisher = Publisher(self.store, self._repository, self._publish, clock, settings.publishing)
        self._reconciler = Reconciler(
            self.store,
            Carrier(self._desk, clock, offers_per_s=settings.offers_per_s),
            FailureWatch(self.store, self._desk, clock),
            self._publisher,
            pass_s=settings.reconcile_pass_s,
        )
        self._engine = Engine(
            self._publisher,
            self._reconciler,
            FreshnessWatch(self.store, clock, limit_s=settings.late_after_s),
            Retention(self.store, clock, settings.retention),
            watch_pass_s=settings.watch_pass_s,
        )
        self._refusal_log = RefusalLog(time.monotonic)
        self.inventory = Inventory(
            self.store, clock, late_after_s=settings.late_after_s, registration=settings.registration
        )
        self.groups = Groups(self.store, clock)
        self.rollouts = Rollouts(self.store, self._publisher.open, clock)
        self._anchor_publisher = AnchorPublisher(self._chain, self._publish, retry_s=settings.outbox_retry_s)
        self._link = MqttLink(_link_settings(settings), self._on_messages, self._on_reconnected)
        self._outbox = OutboxSender(
            self.store,
            self._publish,
            retry_s=settings.outbox_retry_s,
            prepare=self._ensure_anchors,
        )
        self._leasing = Leasing(
            self.store, settings.worker, self._works(), clock, terms=Terms(term_s=settings.lease_term_s)
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._replacement: asyncio.Task[None] | None = None

    @property
    def held(self) -> dict[str, Lease]:
        """Return what this worker does, by work."""
        return self._leasing.held

    def _works(self) -> dict[str, Work]:
        """Return everything that one of the workers over this database does; docs/architecture.md, Server."""
        link = replace(_link_settings(self.settings), receive_max=self.settings.slice_receive_max)
        slices = IngestSlices(link, self._on_messages, self._has_devices)
        return {
            ENGINE: self._engine.run,
            OUTBOX: Sender(self._anchors, self._anchor_publisher, self._outbox).run,
            FORMER_SESSION: slices.drain_former,
            **{work: slices.work(number) for number, work in enumerate(INGEST)},
        }

    async def open(self) -> None:
        """Open the store as the newest process of this worker's name, and read the chain of anchors; no broker is needed.

        Raises:
            SchemaError, ConfigurationError, TrustError, DirectorKeyError: what is stored and what is configured don't fit.
        """
        await self.store.open()
        try:
            await self.store.take_fence()
            await self._anchors.open()
        except BaseException:
            await self.store.close()
            raise

    async def start(self) -> None:
        """Open, connect, and do what no other worker does: return when that has begun."""
        await self.open()
        try:
            await self._link.start()
            await self._leasing.start()
        except BaseException:
            await self._end_work()
            await self.store.close()
            raise
        self._tasks = [asyncio.create_task(work) for work in (self._leasing.run(), self._sweep())]
        self._replacement = asyncio.create_task(self._end_when_replaced())

    async def stop(self) -> None:
        """Finish the batches at hand, give the leases back, disconnect, close the store; what is unsent stays in the outbox."""
        if self._replacement is not None:
            self._replacement.cancel()
            await asyncio.gather(self._replacement, return_exceptions=True)
        await self._end_work()
        await self.store.close()
        self._watchers.close()

    async def _end_work(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._leasing.stop()
        await self._link.stop()

    async def _end_when_replaced(self) -> None:
        """Leave the broker to the process that took over: with one client id, each would push the other off."""
        await self.store.fenced.wait()
        _log.error(REPLACED)
        await self._end_work()

    def events(self) -> AsyncIterator[Event]:
        """Return an iterator over what happens from now on; it ends when the server stops."""
        return self._watchers.watch()

    async def enroll(self, enrolment: Enrolment) -> None:
        """Let a provisioned device in; ConflictError if another one has its name."""
        async with self.store.writing() as transaction:
            await transaction.enroll(Device(enrolment=enrolment, enrolled_at_s=self._now_s()))

    async def import_anchor(self, file: bytes) -> int:
        """Go by the next trust anchor document from now on, and return its version; a known one changes nothing.

        Raises:
            TrustError, DirectorKeyError: it may not follow the newest one; nothing was changed.
        """
        # Whoever asked may go away: what is in the database must be what this process goes by.
        return await asyncio.shield(self._import_anchor(file))

    async def _import_anchor(self, file: bytes) -> int:
        await self._anchors.add(file)
        self._anchor_publisher.wake()
        return self._chain.references[self._chain.files.index(file)].version

    async def anchors(self) -> list[StoredAnchor]:
        """Return the chain of trust anchor documents, the oldest first."""
        return await self._anchors.all()

    async def import_release(self, raw: bytes) -> bytes:
        """Verify and keep a bundle, return its manifest digest.

        Raises:
            ManifestError: a device would refuse it.
            DisagreementError: the two judges of releases differ about it; whoever watches was told.
        """
        try:
            release = await asyncio.to_thread(self._repository.add, raw)
        except DisagreementError as error:
            async with self.store.writing() as transaction:
                transaction.tell(JudgesDisagreed.of(error))
            raise
        async with self.store.writing() as transaction:
            await transaction.add_release(replace(release, imported_at_s=self._now_s()))
        self._publisher.mended(release.digest)
        self._reconciler.wake()
        return release.digest

    async def publish_release(self, digest: bytes) -> None:
        """Put a release on the broker, retained; doing it again puts the same there again."""
        await self._publisher.publish(digest)

    async def assign(self, name: str, digest: bytes) -> None:
        """Let a device run this release: published first, then offered at once if the device has a nonce open.

        Raises:
            UnknownError, ManifestError: no such device or release, or the newest anchor refuses it.
            FinalError: the device tried it as often as it may.
        """
        while not await self._assign(name, digest, await self._publisher.ensure(digest)):
            pass

    async def _assign(self, name: str, digest: bytes, judged: int) -> bool:
        """Assign a release that was published, and judged under this version; False if one of that isn't so any more."""
        async with self.store.writing() as transaction:
            if not await is_ready(transaction, digest, judged):
                return False
            device = await _require_device(transaction, name)
            before = await transaction.assignment(name, digest)
            assignment = director.assign(before, name, digest)
            await transaction.members.let_go(digest, [name])
            await self._serve(transaction, replace(device, assigned=digest), assignment)
        return True

    async def hold(self, name: str) -> None:
        """Stop what a device was assigned, where it is; assigning the release again goes on."""
        async with self.store.writing() as transaction:
            device = await _require_device(transaction, name)
            assignment = (await transaction.assignments([name])).get(name)
            held = director.hold(assignment) if assignment else None
            await self._serve(transaction, device, held)

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

    async def _serve(self, transaction: Transaction, device: Device, assignment: Assignment | None) -> None:
        changes = Changes()
        made = self._desk.serve(changes, device, assignment, self._now_s())
        await transaction.write(changes, self._now_s())
        if made is not None:
            transaction.tell(made)

    def _told(self, events: list[Event]) -> None:
        """Hand on what was committed: to those who watch, and to the tasks that have something to do now."""
        self._watchers.tell(events)
        self._refusal_log.take(events)
        if any(isinstance(event, OfferMade) for event in events):
            self._outbox.wake()
        is_urgent = any(isinstance(event, RolloutChanged) for event in events)
        if is_urgent or any(isinstance(event, AssignmentSettled) for event in events):
            self._reconciler.wake(is_urgent=is_urgent)

    async def _on_messages(self, batch: list[Message]) -> None:
        await self._ingest.take(batch)

    def _on_reconnected(self) -> None:
        self._anchor_publisher.on_reconnected()
        self._reconciler.on_reconnected()

    async def _has_devices(self) -> bool:
        async with self.store.reading() as transaction:
            return await transaction.leases.has_devices()

    async def _ensure_anchors(self) -> None:
        """Return when the broker has every anchor that an offer may name: another process may have imported some."""
        await self._anchors.refresh()
        await self._anchor_publisher.ensure()

    async def _sweep(self) -> None:
        """Tell every minute what was refused again and again."""
        while True:
            await asyncio.sleep(self.settings.watch_pass_s)
            self._refusal_log.sweep()

    async def _publish(self, message: Outgoing) -> None:
        await self._link.publish(message.topic, message.payload, qos=message.qos, retain=message.is_retained)


def _director_keys(settings: ServerSettings) -> list[Path]:
    following = settings.next_director_key
    return [settings.director_key] if following is None else [settings.director_key, following]


async def _require_device(transaction: Transaction, name: str) -> Device:
    device = await transaction.device(name)
    if device is None:
        raise UnknownError(f"no device {name} is enrolled")
    return device


def _link_settings(settings: ServerSettings) -> LinkSettings:
    return LinkSettings(
        host=settings.broker_host,
        port=settings.broker_port,
        client_id=f"_worker-{settings.worker}",
        authority=settings.tls_authority,
        certificate=settings.tls_certificate,
        key=settings.tls_key,
        start_timeout_s=settings.start_timeout_s,
    )
