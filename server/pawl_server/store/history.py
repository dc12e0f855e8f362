"""What became of a device's assignments, within one transaction: a row for every change of state, attempt or reason.

It is pruned: nothing may be decided by it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from pawl_server.domain.fleet import OPEN_STATES, Assignment, AssignmentState
from pawl_server.domain.reasons import reason_name
from pawl_server.store import tables


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """A state that an assignment came into; `reason` is a name, empty while nothing is settled."""

    id: int
    device: str
    at_s: int
    release: bytes
    state: AssignmentState
    reason: str
    attempt: int


class HistoryRows:
    """The rows of history; made by `Transaction.history`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, changed: Collection[Assignment], now_s: int) -> None:
        """Add what assignments came into, in this order."""
        if changed:
            await self._connection.execute(insert(tables.history), [_row(one, now_s) for one in changed])

    async def page(self, device: str, after_id: int | None, limit: int) -> list[HistoryEntry]:
        """Return the newest entries of a device, or those that come after (are older than) this one; the newest first."""
        column = tables.history.c
        query = select(tables.history).where(column.device == device)
        if after_id is not None:
            query = query.where(column.id < after_id)
        found = await self._connection.execute(query.order_by(column.id.desc()).limit(limit))
        return [HistoryEntry(**{**row, "state": AssignmentState(row["state"])}) for row in found.mappings()]


def _row(assignment: Assignment, now_s: int) -> dict[str, Any]:
    return {
        "device": assignment.device,
        "at_s": now_s,
        "release": assignment.release,
        "state": assignment.state.value,
        "reason": "" if assignment.state in OPEN_STATES else reason_name(assignment.reason),
        "attempt": assignment.attempt,
    }
