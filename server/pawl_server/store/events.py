"""Events within one transaction: what is told there is kept there, and told to those who watch after the commit."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any

from sqlalchemy import Integer, String, column, func, insert, select, table
from sqlalchemy.ext.asyncio import AsyncConnection

from pawl.index import b64u
from pawl_server.events import DURABLE, Event, kind_of
from pawl_server.store import tables


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """A row: `content` is the event's fields as JSON has them, digests in base64url."""

    id: int
    at_s: int
    kind: str
    device: str | None
    rollout: int | None
    content: dict[str, Any]


class EventRows:
    """The rows of events; made by `Transaction.events`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, events: Iterable[Event], now_s: int) -> None:
        """Keep those that are kept."""
        rows = [_row(event, now_s) for event in events if isinstance(event, DURABLE)]
        if rows:
            await self._connection.execute(insert(tables.events), rows)

    async def after(self, number: int, limit: int, *, rollout: int | None = None) -> Sequence[StoredEvent]:
        """Return the first events after this one, of one rollout or of all, in order."""
        event = tables.events.c
        query = select(tables.events).where(event.id > number)
        if rollout is not None:
            query = query.where(event.rollout == rollout)
        found = await self._connection.execute(query.order_by(event.id).limit(limit))
        return [StoredEvent(**row) for row in found.mappings()]

    async def span(self) -> tuple[int | None, int]:
        """Return the oldest id that is kept, and the newest that was ever given, 0 before the first."""
        first = (await self._connection.scalars(select(func.min(tables.events.c.id)))).one()
        # The database's own table: it knows the newest id when no event is kept any more.
        query = select(_SEQUENCES.c.seq).where(_SEQUENCES.c.name == tables.events.name)
        return first, (await self._connection.scalars(query)).first() or 0


_SEQUENCES = table("sqlite_sequence", column("name", String), column("seq", Integer))


def _row(event: Event, now_s: int) -> dict[str, Any]:
    content = {field.name: _plain(getattr(event, field.name)) for field in fields(event)}
    return {
        "at_s": now_s,
        "kind": kind_of(event),
        "device": content.get("device"),
        "rollout": content.get("rollout"),
        "content": content,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return b64u(value)
    return value.value if isinstance(value, Enum) else value
