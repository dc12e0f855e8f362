"""Signed reports within one transaction: every one that was accepted is kept."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from pawl_server.domain.outcomes import SignedReport
from pawl_server.store import tables

_NUMBER_MAX = (1 << 63) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReport:
    """What is kept of a report; `release` is the manifest digest that it speaks of, if any."""

    boots: int
    number: int
    event: int
    reason: int
    release: bytes | None
    received_at_s: int


class ReportRows:
    """The rows of reports; made by `Transaction.reports`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, reports: Collection[SignedReport], now_s: int) -> None:
        """Add accepted reports; the database refuses one that it has."""
        if reports:
            await self._connection.execute(insert(tables.reports), [_row(one, now_s) for one in reports])

    async def known(self, devices: Collection[str], digests: Collection[bytes]) -> set[tuple[str, bytes]]:
        """Return (device, digest) of those of these that were accepted from these devices before."""
        column = tables.reports.c
        query = select(column.device, column.digest)
        query = query.where(column.device.in_(devices), column.digest.in_(digests))
        return {(row.device, row.digest) for row in await self._connection.execute(query)}

    async def forked(self, doubtful: Sequence[SignedReport], added: Collection[SignedReport]) -> list[str]:
        """Return the devices of those of these for whose boot and number another content was accepted, or is `added` now."""
        if not doubtful:
            return []
        column = tables.reports.c
        pairs = {(one.device, one.id.boots, one.id.number) for one in doubtful}
        query = select(column.device, column.boots, column.number, column.digest)
        query = query.where(column.device.in_({one.device for one in doubtful}))
        query = query.where(column.boots.in_({one.id.boots for one in doubtful}))
        query = query.where(column.number.in_({one.id.number for one in doubtful}))
        contents: dict[tuple[str, int, int], set[bytes]] = {pair: set() for pair in pairs}
        for row in await self._connection.execute(query):
            contents.get((row.device, row.boots, row.number), set()).add(row.digest)
        for one in added:
            contents.get((one.device, one.id.boots, one.id.number), set()).add(one.digest)
        return sorted(
            {
                one.device
                for one in doubtful
                if contents[one.device, one.id.boots, one.id.number] - {one.digest}
            }
        )

    async def newest(self, device: str, limit: int) -> list[StoredReport]:
        """Return the newest reports of a device, the newest first."""
        column = tables.reports.c
        names = ("boots", "number", "event", "reason", "release", "received_at_s")
        query = select(*[column[name] for name in names]).where(column.device == device)
        query = query.order_by(column.id.desc()).limit(limit)
        return [StoredReport(**row) for row in (await self._connection.execute(query)).mappings()]


def _row(report: SignedReport, now_s: int) -> dict[str, Any]:
    return {
        "device": report.device,
        "boots": report.id.boots,
        "number": report.id.number,
        "event": report.event,
        "reason": report.reason,
        "release": report.subject.release if report.subject else None,
        "digest": report.digest,
        "received_at_s": now_s,
        "accepted_number": _issued(report),
    }


def _issued(report: SignedReport) -> int | None:
    """Return the number of the accepted offer, or None if no offer has it: devices may say what fits no column."""
    number = None if report.accepted is None else report.accepted[1]
    return number if number is not None and number <= _NUMBER_MAX else None
