"""The devices of rollouts within one transaction: how far they are, counted and by batch, in sets rather than loops."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, Update, and_, case, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from pawl_server.domain import windows
from pawl_server.domain.progress import ASKABLE, PhaseCounts, Progress
from pawl_server.domain.reasons import reason_name
from pawl_server.domain.rollout_states import GOING_BACK, Rollout, RolloutState
from pawl_server.store import tables
from pawl_server.store.progress import (
    CURRENT_REASON,
    CURRENT_STATE,
    DEVICE,
    IS_STOPPED,
    JOINED,
    MEMBER,
    ROLLOUT,
    is_due,
    progress,
)
from pawl_server.store.rollouts import FINAL

# Of how many devices one transaction changes the assignment: others must get their turn to write.
MEMBERS_BATCH = 200
_STOPPED = (RolloutState.CANCELLED.value, RolloutState.ROLLED_BACK.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A device of a rollout and how far it is; `reason` is why it failed last, by name, else empty."""

    device: str
    phase: int
    progress: Progress
    reason: str
    tries: int
    asked_at_s: int | None
    not_before_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Whom:
    """Which members an action is for: those of a phase, as far as one of these; only those that are due, in these zones."""

    phase: int
    progress: Collection[Progress]
    is_due: bool = False
    zones: Collection[str] | None = None


class MemberRows:
    """The rows of rollouts' devices; made by `Transaction.members`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def counts(self, rollout: Rollout, now_s: int) -> list[PhaseCounts]:
        """Return how far the devices of each phase are."""
        parts = (MEMBER.phase, progress(now_s).label("progress"), is_due(now_s).label("due"), DEVICE.timezone)
        query = select(*parts, func.count().label("number"), func.min(MEMBER.device).label("first"))
        query = query.select_from(JOINED).where(MEMBER.rollout == rollout.id)
        found = await self._connection.execute(query.group_by(*parts))
        tallies = [_Tally() for _ in rollout.plan.phases]
        for row in found:
            phase = rollout.plan.phases[row.phase]
            tallies[row.phase].add(row, is_open=windows.is_open(phase.windows, row.timezone, now_s))
        troubles = await self._troubles(rollout, [one.trouble for one in tallies if one.trouble], now_s)
        return [one.counts(troubles) for one in tallies]

    async def _troubles(self, rollout: Rollout, devices: list[str], now_s: int) -> dict[str, str]:
        if not devices:
            return {}
        query = self._select(rollout, now_s).where(MEMBER.device.in_(devices))
        found = [_member_of(row) for row in await self._connection.execute(query)]
        return {member.device: f"{member.device}: {member.reason}" for member in found}

    async def page(
        self, rollout: Rollout, now_s: int, after: str, limit: int, only: Progress | None = None
    ) -> list[Member]:
        """Return the first devices of a rollout whose id comes after this one, of all or as far as this."""
        query = self._select(rollout, now_s).where(MEMBER.device > after)
        if only is not None:
            query = query.where(progress(now_s) == only.value)
        found = await self._connection.execute(query.order_by(MEMBER.device).limit(limit))
        return [_member_of(row) for row in found]

    async def one(self, rollout: Rollout, device: str, now_s: int) -> Member | None:
        """Return how far one device of a rollout is."""
        query = self._select(rollout, now_s).where(MEMBER.device == device)
        row = (await self._connection.execute(query)).first()
        return None if row is None else _member_of(row)

    def _select(self, rollout: Rollout, now_s: int) -> Select[Any]:
        column = (MEMBER.device, MEMBER.phase, MEMBER.tries, MEMBER.asked_at_s, MEMBER.not_before_s)
        told = (
            progress(now_s).label("progress"),
            CURRENT_STATE.label("state"),
            CURRENT_REASON.label("reason"),
        )
        return select(*column, *told).select_from(JOINED).where(MEMBER.rollout == rollout.id)

    async def batch(self, rollout: Rollout, whom: Whom, now_s: int, limit: int = MEMBERS_BATCH) -> list[str]:
        """Return the first devices that an action is for, in order."""
        query = select(MEMBER.device).select_from(JOINED).where(MEMBER.rollout == rollout.id)
        query = query.where(MEMBER.phase == whom.phase)
        query = query.where(progress(now_s).in_([one.value for one in whom.progress]))
        if whom.is_due:
            query = query.where(is_due(now_s))
        if whom.zones is not None:
            query = query.where(DEVICE.timezone.in_(whom.zones))
        return list(await self._connection.scalars(query.order_by(MEMBER.device).limit(limit)))

    async def stopped(self, devices: Collection[str]) -> set[str]:
        """Return those of these devices that are asked to install by a rollout which asks for nothing any more."""
        query = select(MEMBER.device).select_from(JOINED).where(MEMBER.device.in_(devices), IS_STOPPED)
        return set(await self._connection.scalars(query))

    async def zones(self, rollout: Rollout, phase: int) -> list[str]:
        """Return the time zones of the devices of a phase."""
        query = select(DEVICE.timezone).distinct().join(tables.rollout_members, MEMBER.device == DEVICE.id)
        query = query.where(MEMBER.rollout == rollout.id, MEMBER.phase == phase)
        return list(await self._connection.scalars(query))

    async def asked_since(self, at_s: int) -> int:
        """Return how many devices of all rollouts were asked after this moment."""
        query = select(func.count()).select_from(tables.rollout_members).where(MEMBER.asked_at_s > at_s)
        return (await self._connection.execute(query)).scalar_one()

    async def mark_asked(self, rollout: Rollout, devices: Collection[str], now_s: int) -> None:
        """Note that these were asked now; one that was only held is still at the same try."""
        tries = case((MEMBER.is_asked.is_(True), MEMBER.tries), else_=MEMBER.tries + 1)
        # Else one that is held every morning and asked every night would never be silent for a day.
        since_s = case((MEMBER.is_asked.is_(True), MEMBER.awaited_since_s), else_=now_s)
        change = _of(rollout, devices).values(
            is_asked=True, asked_at_s=now_s, awaited_since_s=since_s, tries=tries
        )
        await self._connection.execute(change)

    async def await_anew(self, rollout: Rollout, now_s: int) -> None:
        """Let silence count from now on: while the rollout was stopped, nobody had to answer."""
        change = update(tables.rollout_members).where(MEMBER.rollout == rollout.id, MEMBER.is_asked.is_(True))
        await self._connection.execute(change.values(awaited_since_s=now_s))

    async def let_go(self, release: bytes, devices: Collection[str]) -> None:
        """Let rollouts that have ended have no say in these devices any more: somebody asks them for the release anew.

        One that was stopped mustn't take it back from them either, whatever they say of it from now on.
        """
        ended = select(ROLLOUT.id).where(ROLLOUT.release == release, ROLLOUT.state.in_(FINAL))
        stopped = ended.where(ROLLOUT.state.in_(_STOPPED))
        change = update(tables.rollout_members).where(
            MEMBER.device.in_(devices), MEMBER.rollout.in_(ended), MEMBER.is_recovering.is_(False)
        )
        asked_at_s = case((MEMBER.rollout.in_(stopped), None), else_=MEMBER.asked_at_s)
        await self._connection.execute(change.values(is_asked=False, asked_at_s=asked_at_s))

    async def mark_withdrawn(self, rollout: Rollout, devices: Collection[str]) -> None:
        """Note that the assignment of these speaks of this rollout no more; that they were asked once, stays."""
        await self._connection.execute(_of(rollout, devices).values(is_asked=False))

    async def mark_recovering(self, rollout: Rollout, devices: Collection[str], now_s: int) -> None:
        """Note that these were assigned the recovery release now: the tries count anew on the way back."""
        tries = case((MEMBER.is_recovering.is_(True), MEMBER.tries + 1), else_=1)
        change = _of(rollout, devices).values(
            is_asked=True,
            asked_at_s=now_s,
            awaited_since_s=now_s,
            tries=tries,
            not_before_s=0,
            is_final=False,
            is_recovering=True,
        )
        await self._connection.execute(change)

    async def rearm(self, rollout: Rollout, but: int, now_s: int) -> None:
        """Let those that failed be asked again from the first try on, but not those that failed for this reason.

        On the way back, those are meant that didn't recover.
        """
        failure = Progress.UNRECOVERED if rollout.state in GOING_BACK else Progress.FAILED
        failed = select(MEMBER.device).select_from(JOINED).where(MEMBER.rollout == rollout.id)
        failed = failed.where(progress(now_s) == failure.value, CURRENT_REASON.is_distinct_from(but))
        change = update(tables.rollout_members).where(MEMBER.rollout == rollout.id, MEMBER.device.in_(failed))
        await self._connection.execute(change.values(is_asked=False, is_final=False, tries=0, not_before_s=0))

    async def rollout_of(self, device: str) -> int | None:
        """Return the id of the rollout, of those that haven't ended, which has a device."""
        query = select(ROLLOUT.id).join(tables.rollout_members, MEMBER.rollout == ROLLOUT.id)
        query = query.where(MEMBER.device == device, ROLLOUT.state.not_in(FINAL)).order_by(ROLLOUT.id)
        return (await self._connection.scalars(query)).first()


class _Tally:
    """The rows of one phase, added up."""

    def __init__(self) -> None:
        self.trouble: str = ""
        self._counts: dict[Progress, int] = {}
        self._ready = self._outside = 0

    def add(self, row: Any, *, is_open: bool) -> None:
        how_far = Progress(row.progress)
        self._counts[how_far] = self._counts.get(how_far, 0) + row.number
        if how_far in ASKABLE and row.due and is_open:
            self._ready += row.number
        if how_far is Progress.OPEN and not is_open:
            self._outside += row.number
        if how_far is Progress.FAILED:
            self.trouble = min(self.trouble or row.first, row.first)

    def counts(self, troubles: dict[str, str]) -> PhaseCounts:
        trouble = troubles.get(self.trouble, "")
        return PhaseCounts(counts=self._counts, ready=self._ready, outside=self._outside, trouble=trouble)


def _of(rollout: Rollout, devices: Collection[str]) -> Update:
    return update(tables.rollout_members).where(
        and_(MEMBER.rollout == rollout.id, MEMBER.device.in_(devices))
    )


def _member_of(row: Any) -> Member:
    return Member(
        device=row.device,
        phase=row.phase,
        progress=Progress(row.progress),
        reason=reason_name(row.reason) if row.state == "failed" else "",
        tries=row.tries,
        asked_at_s=row.asked_at_s,
        not_before_s=row.not_before_s,
    )
