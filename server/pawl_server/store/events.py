"""Events within one transaction: what is told there is kept there, and told to those who watch after the commit."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any

from sqlalchemy import insert, select
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
        column = tables.events.c
        query = select(tables.events).where(column.id > number)
        if rollout is not None:
            query = query.where(column.rollout == rollout)
        found = await self._connection.execute(query.order_by(column.id).limit(limit))
        return [StoredEvent(**row) for row in found.mappings()]


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
