"""What is deleted when there is more of it than is kept, within one transaction; a batch at a time, by sets.

Reading finds, writing deletes: the lock is held for the deletion alone. What was found to be too old stays so, for the rows are
written once and what comes later is newer.
"""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Table, delete, func, select, true, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from pawl_server.store import tables

BATCH_ROWS = 500
BATCH_DEVICES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """Rows that may go, and the device to go on after; None if every device was looked at."""

    ids: list[int]
    after: str | None


class RetentionRows:
    """The rows that aren't kept for ever; made by `Transaction.retention`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def excess_history(self, kept: int, after: str) -> Excess:
        """Return the oldest entries of the devices after this one, of each that has more than are kept."""
        return await self._excess(tables.history, kept, after, true())

    async def excess_reports(self, kept: int, after: str) -> Excess:
        """Return the oldest reports likewise, but none that accepted the newest offer.

        Its digest is all that tells it when it comes again: a report that accepted the newest offer counts though its number
        fell. Any other one is refused by its number, for numbers of offers never come again.
        """
        newest = tables.devices.c.next_number - 1
        return await self._excess(
            tables.reports, kept, after, tables.reports.c.accepted_number.is_distinct_from(newest)
        )

    async def excess_events(self, kept: int) -> list[int]:
        """Return the oldest events, if there are more than are kept."""
        column = tables.events.c.id
        newest = select(func.max(column)).scalar_subquery()
        query = select(column).where(column <= newest - kept).order_by(column).limit(BATCH_ROWS)
        return list(await self._connection.scalars(query))

    async def forget_history(self, ids: Collection[int]) -> None:
        """Delete entries."""
        await self._connection.execute(delete(tables.history).where(tables.history.c.id.in_(ids)))

    async def forget_reports(self, ids: Collection[int]) -> None:
        """Delete reports."""
        await self._connection.execute(delete(tables.reports).where(tables.reports.c.id.in_(ids)))

    async def forget_events(self, ids: Collection[int]) -> None:
        """Delete events."""
        await self._connection.execute(delete(tables.events).where(tables.events.c.id.in_(ids)))

    async def forget_answers(self, before_s: int) -> int:
        """Delete a batch of answers to requests from before then, and return how many those were."""
        column = tables.answers.c
        old = select(column.token, column.key).where(column.at_s < before_s).limit(BATCH_ROWS)
        return await self._forget(tables.answers, tuple_(column.token, column.key).in_(old))

    async def forget_candidates(self, before_s: int) -> int:
        """Delete a batch of candidates that were seen before then only, and return how many those were."""
        column = tables.candidates.c
        old = select(column.device).where(column.last_seen_s < before_s).limit(BATCH_ROWS)
        return await self._forget(tables.candidates, column.device.in_(old))

    async def _forget(self, table: Table, condition: ColumnElement[bool]) -> int:
        return (await self._connection.execute(delete(table).where(condition))).rowcount

    async def _excess(self, table: Table, kept: int, after: str, may_go: ColumnElement[bool]) -> Excess:
        device = tables.devices.c.id
        names = select(device).where(device > after).order_by(device).limit(BATCH_DEVICES)
        page = list(await self._connection.scalars(names))
        if not page:
            return Excess(ids=[], after=None)
        column = table.c
        rank = func.row_number().over(partition_by=column.device, order_by=column.id.desc())
        ranked = select(column.id, rank.label("rank"), may_go.label("may_go"))
        ranked = ranked.join(tables.devices, device == column.device)
        found = ranked.where(column.device > after, column.device <= page[-1]).subquery().c
        query = select(found.id).where(found.rank > kept, found.may_go).limit(BATCH_ROWS)
        ids = list(await self._connection.scalars(query))
        # A page with as many rows as fit is looked at again: there may be more of them.
        return Excess(ids=ids, after=after if len(ids) == BATCH_ROWS else page[-1])
