"""What may be read and written within one transaction: values in, values out."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, bindparam, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from pawl_server.domain.changes import Changes, Outgoing, Refusal
from pawl_server.domain.fleet import OPEN_STATES, Assignment, Device, Release
from pawl_server.events import Event
from pawl_server.store import rows, tables
from pawl_server.store.anchors import AnchorRows
from pawl_server.store.answers import AnswerRows
from pawl_server.store.candidates import CandidateRows
from pawl_server.store.events import EventRows
from pawl_server.store.failures import FailureRows
from pawl_server.store.fence import FencedError
from pawl_server.store.groups import GroupRows
from pawl_server.store.history import HistoryRows
from pawl_server.store.inventory import InventoryRows
from pawl_server.store.joining import JoiningRows
from pawl_server.store.members import MemberRows
from pawl_server.store.reports import ReportRows
from pawl_server.store.retained import RetainedRows
from pawl_server.store.retention import RetentionRows
from pawl_server.store.rollouts import RolloutRows
from pawl_server.store.tokens import TokenRows

OUTBOX_BATCH_ROWS = 200


class ConflictError(Exception):
    """Something else is stored under that name; nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """A message that the broker doesn't have yet."""

    id: int
    message: Outgoing


class Transaction:
    """What may be read and written in one transaction; made by `Store.reading` and `Store.writing`."""

    def __init__(self, connection: AsyncConnection, *, may_offer: bool) -> None:
        self._connection = connection
        self._may_offer = may_offer
        self.told: list[Event] = []
        self.events = EventRows(connection)
        self.anchors = AnchorRows(connection)
        self.answers = AnswerRows(connection)
        self.reports = ReportRows(connection)
        self.retained = RetainedRows(connection)
        self.history = HistoryRows(connection)
        self.inventory = InventoryRows(connection)
        self.candidates = CandidateRows(connection)
        self.groups = GroupRows(connection, self.inventory)
        self.rollouts = RolloutRows(connection)
        self.members = MemberRows(connection)
        self.joining = JoiningRows(connection, self.groups)
        self.failures = FailureRows(connection)
        self.tokens = TokenRows(connection)
        self.retention = RetentionRows(connection)

    def tell(self, *events: Event) -> None:
        """Say what happened: it is kept with this transaction, and told to those who watch when that is committed."""
        self.told += events

    async def keep_told(self, now_s: int) -> None:
        """Keep what was told; called by the store before the commit."""
        await self.events.add(self.told, now_s)

    async def devices(self, names: Collection[str]) -> dict[str, Device]:
        """Return the enrolled ones of these devices."""
        query = select(tables.devices).where(tables.devices.c.id.in_(names))
        found = await self._connection.execute(query)
        return {row["id"]: rows.device_of(row) for row in found.mappings()}

    async def device(self, name: str) -> Device | None:
        """Return a device, or None if it isn't enrolled."""
        return (await self.devices([name])).get(name)

    async def vendors(self) -> list[bytes]:
        """Return the vendors of the enrolled devices."""
        return await self.inventory.vendors()

    async def assignments(self, names: Collection[str]) -> dict[str, Assignment]:
        """Return the current assignment of those of these devices that have one."""
        device, assignment = tables.devices.c, tables.assignments.c
        is_current = (assignment.device == device.id) & (assignment.release == device.assigned)
        query = select(tables.assignments).join(tables.devices, is_current).where(device.id.in_(names))
        found = await self._connection.execute(query)
        return {row["device"]: rows.assignment_of(row) for row in found.mappings()}

    async def every_assignment(self, names: Collection[str]) -> dict[tuple[str, bytes], Assignment]:
        """Return all that these devices were ever assigned, by device and release."""
        query = select(tables.assignments).where(tables.assignments.c.device.in_(names))
        found = await self._connection.execute(query)
        return {(row["device"], row["release"]): rows.assignment_of(row) for row in found.mappings()}

    async def open_assignments(self) -> list[Assignment]:
        """Return the current assignments that aren't settled."""
        device, assignment = tables.devices.c, tables.assignments.c
        is_current = (assignment.device == device.id) & (assignment.release == device.assigned)
        query = select(tables.assignments).join(tables.devices, is_current)
        query = query.where(assignment.state.in_([state.value for state in OPEN_STATES]))
        return [rows.assignment_of(row) for row in (await self._connection.execute(query)).mappings()]

    async def assignments_of(self, release: bytes, names: Collection[str]) -> dict[str, Assignment]:
        """Return the assignments of one release to those of these devices that have one, current or not."""
        column = tables.assignments.c
        query = select(tables.assignments).where(column.device.in_(names), column.release == release)
        found = await self._connection.execute(query)
        return {row["device"]: rows.assignment_of(row) for row in found.mappings()}

    async def assignment(self, name: str, release: bytes) -> Assignment | None:
        """Return the assignment of one release to one device, current or not."""
        return (await self.assignments_of(release, [name])).get(name)

    async def release(self, digest: bytes) -> Release | None:
        """Return an imported release."""
        query = select(tables.releases).where(tables.releases.c.digest == digest)
        row = (await self._connection.execute(query)).mappings().first()
        return None if row is None else rows.release_of(row)

    async def newly_late(self, before_s: int, limit: int) -> list[str]:
        """Return devices whose newest proof of freshness is older than this, and of whom that wasn't told yet."""
        column = tables.devices.c
        proved_s = func.coalesce(column.fresh_at_s, column.enrolled_at_s, 0)
        query = select(column.id).where(column.is_late.is_(False), proved_s < before_s)
        return list(await self._connection.scalars(query.order_by(column.id).limit(limit)))

    async def mark_late(self, names: Collection[str]) -> None:
        """Note that it was told of these devices that they are late."""
        change = update(tables.devices).where(tables.devices.c.id.in_(names))
        await self._connection.execute(change.values(is_late=True))

    async def releases(self) -> list[Release]:
        """Return every imported release, the newest sequence first."""
        query = select(tables.releases).order_by(tables.releases.c.sequence.desc(), tables.releases.c.digest)
        return [rows.release_of(row) for row in (await self._connection.execute(query)).mappings()]

    async def refusals(self, names: Collection[str] | None = None) -> Counter[Refusal]:
        """Return every refusal with its count, or those of some devices."""
        query = select(tables.refusals)
        if names is not None:
            query = query.where(tables.refusals.c.device.in_(names))
        found = await self._connection.execute(query)
        return Counter(
            {
                Refusal(device=row["device"], where=row["where"], reason=row["reason"]): row["count"]
                for row in found.mappings()
            }
        )

    async def unsent(self) -> list[Queued]:
        """Return the oldest messages that the broker doesn't have yet."""
        query = select(tables.outbox).order_by(tables.outbox.c.id).limit(OUTBOX_BATCH_ROWS)
        found = await self._connection.execute(query)
        names = ("topic", "payload", "device", "qos", "is_retained")
        return [
            Queued(id=row["id"], message=Outgoing(**{name: row[name] for name in names}))
            for row in found.mappings()
        ]

    async def enroll(self, device: Device) -> None:
        """Add a device; the same enrolment again changes nothing, another one raises ConflictError."""
        known = await self.device(device.name)
        if known is None:
            await self._connection.execute(insert(tables.devices), [rows.device_row(device)])
            await self.candidates.forget(device.name)
        elif known.enrolment != device.enrolment:
            raise ConflictError(f"{device.name} is enrolled with another vendor, class or report key")

    async def add_release(self, release: Release) -> None:
        """Add an imported release; of one that is known, only what it is for is written: older servers didn't look."""
        column = tables.releases.c
        if await self.release(release.digest) is None:
            await self._connection.execute(insert(tables.releases), [rows.release_row(release)])
            return
        change = update(tables.releases).where(column.digest == release.digest)
        await self._connection.execute(change.values(is_recovery=release.is_recovery))

    async def mark_sent(self, ids: Collection[int]) -> None:
        """Forget messages that the broker has."""
        await self._connection.execute(delete(tables.outbox).where(tables.outbox.c.id.in_(ids)))

    async def write(self, changes: Changes, now_s: int) -> None:
        """Write everything that a step changed; FencedError if this process never took the fence."""
        if not self._may_offer and (changes.offers or changes.assignments):
            raise FencedError("offers and assignments are written by a process that took the fence")
        await self._update(
            tables.devices, ("id",), [rows.device_row(one) for one in changes.devices.values()]
        )
        await self._upsert_assignments(changes, now_s)
        await self.reports.add(changes.reports, now_s)
        await self._count(changes.refusals)
        await self._put_offers(changes.offers, now_s)
        await self.candidates.note(changes.candidates.values(), now_s)

    async def _insert(self, table: Table, values: list[dict[str, Any]]) -> None:
        if values:
            await self._connection.execute(insert(table), values)

    async def _update(self, table: Table, key: tuple[str, ...], values: list[dict[str, Any]]) -> None:
        if not values:
            return
        change = update(table).where(*[table.c[name] == bindparam("old_" + name) for name in key])
        change = change.values({name: bindparam(name) for name in values[0] if name not in key})
        named = [
            {("old_" + name if name in key else name): value for name, value in row.items()} for row in values
        ]
        await self._connection.execute(change, named)

    async def _upsert_assignments(self, changes: Changes, now_s: int) -> None:
        if not changes.assignments:
            return
        column = tables.assignments.c
        names = [device for device, _ in changes.assignments]
        query = select(column.device, column.release, column.state, column.attempt, column.reason)
        found = await self._connection.execute(query.where(column.device.in_(names)))
        known = {(row.device, row.release): (row.state, row.attempt, row.reason) for row in found}
        wanted = changes.assignments.items()
        await self._insert(
            tables.assignments, [rows.assignment_row(one) for key, one in wanted if key not in known]
        )
        changed = [rows.assignment_row(one) for key, one in wanted if key in known]
        await self._update(tables.assignments, ("device", "release"), changed)
        moved = [one for key, one in wanted if known.get(key) != (one.state.value, one.attempt, one.reason)]
        await self.history.add(moved, now_s)

    async def _count(self, refusals: Mapping[Refusal, int]) -> None:
        column = tables.refusals.c
        for refusal, count in refusals.items():
            names = {"device": refusal.device, "where": refusal.where, "reason": refusal.reason}
            change = update(tables.refusals).where(*[column[name] == value for name, value in names.items()])
            changed = await self._connection.execute(change.values(count=column.count + count))
            if changed.rowcount == 0:
                await self._insert(tables.refusals, [{**names, "count": count}])

    async def _put_offers(self, offers: Mapping[str, Outgoing], now_s: int) -> None:
        if not offers:
            return
        await self._connection.execute(delete(tables.outbox).where(tables.outbox.c.device.in_(offers)))
        await self._insert(tables.outbox, [_outbox_row(offer, now_s) for offer in offers.values()])


def _outbox_row(message: Outgoing, now_s: int) -> dict[str, Any]:
    return {
        "topic": message.topic,
        "payload": message.payload,
        "qos": message.qos,
        "is_retained": message.is_retained,
        "created_at_s": now_s,
        "device": message.device,
    }
