"""Devices that wait to be claimed, within one transaction: so many and no more, whoever says hello."""

from collections.abc import Collection
from dataclasses import asdict
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from pawl_server.domain.registration import Candidate
from pawl_server.store import tables

CANDIDATES_MAX = 1000
KEPT_S = 7 * 86400
# An unanswered hello is repeated every minute: who is silent for so long gives way to a new one when there is no room.
QUIET_S = 600

_CANDIDATE = tables.candidates.c


class CandidateRows:
    """The rows of candidates; made by `Transaction.candidates`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self, device: str) -> Candidate | None:
        """Return a candidate, or None if it said no hello."""
        found = await self._connection.execute(select(tables.candidates).where(_CANDIDATE.device == device))
        row = found.mappings().first()
        return None if row is None else Candidate(**row)

    async def page(self, after: str, limit: int) -> list[Candidate]:
        """Return the first candidates whose id comes after this one, in order."""
        query = select(tables.candidates).where(_CANDIDATE.device > after)
        found = await self._connection.execute(query.order_by(_CANDIDATE.device).limit(limit))
        return [Candidate(**row) for row in found.mappings()]

    async def forget(self, device: str) -> None:
        """Forget a candidate: it was enrolled."""
        await self._connection.execute(delete(tables.candidates).where(_CANDIDATE.device == device))

    async def note(self, candidates: Collection[Candidate], now_s: int) -> None:
        """Keep what candidates said last; a new one only while there is room."""
        if not candidates:
            return
        names = [one.device for one in candidates]
        query = select(_CANDIDATE.device).where(_CANDIDATE.device.in_(names))
        known = set(await self._connection.scalars(query))
        await self._update([asdict(one) for one in candidates if one.device in known])
        new = [asdict(one) for one in candidates if one.device not in known]
        added = new[: await self._make_room(len(new), now_s)] if new else []
        if added:
            await self._connection.execute(insert(tables.candidates), added)

    async def _update(self, values: list[dict[str, Any]]) -> None:
        if not values:
            return
        change = update(tables.candidates).where(_CANDIDATE.device == bindparam("device_"))
        change = change.values({name: bindparam(name) for name in ("vendor", "class_id", "last_seen_s")})
        await self._connection.execute(
            change,
            [
                {**{k: v for k, v in one.items() if k != "first_seen_s"}, "device_": one["device"]}
                for one in values
            ],
        )

    async def _make_room(self, wanted: int, now_s: int) -> int:
        """Forget those who were silent for too long; return for how many there is room."""
        await self._connection.execute(
            delete(tables.candidates).where(_CANDIDATE.last_seen_s < now_s - KEPT_S)
        )
        room = CANDIDATES_MAX - await self._count()
        if room < wanted:
            quiet = select(_CANDIDATE.device).where(_CANDIDATE.last_seen_s < now_s - QUIET_S)
            oldest = quiet.order_by(_CANDIDATE.last_seen_s, _CANDIDATE.device).limit(wanted - room)
            await self._connection.execute(delete(tables.candidates).where(_CANDIDATE.device.in_(oldest)))
        return CANDIDATES_MAX - await self._count()

    async def _count(self) -> int:
        query = select(func.count()).select_from(tables.candidates)
        return (await self._connection.execute(query)).scalar_one()
