"""Failed devices of rollouts, within one transaction: whose failure has to be judged, who is silent, who is well again."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Select, and_, bindparam, exists, select, tuple_, union_all, update
from sqlalchemy.ext.asyncio import AsyncConnection

from pawl_server.domain.fleet import AssignmentState
from pawl_server.domain.progress import Progress
from pawl_server.domain.reasons import SILENT, reason_name
from pawl_server.domain.rollout_states import Rollout, RolloutState
from pawl_server.store import tables
from pawl_server.store.progress import (
    DEVICE,
    IS_UNDER_WAY,
    JOINED,
    MEMBER,
    ROLLOUT,
    by_assignments,
    progress,
)

FAILURES_BATCH = 500
_ASSIGNMENT = tables.assignments.c
_GOES_BACK = (RolloutState.ROLLING_BACK.value, RolloutState.ROLLED_BACK.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A member whose assignment failed, and of which nobody has decided what follows."""

    rollout: int
    device: str
    reason: int
    tries: int
    is_recovering: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What follows: it is asked again at `not_before_s`, or, if that is None, not by itself."""

    failure: Failure
    not_before_s: int | None


class FailureRows:
    """Failures of rollouts' devices; made by `Transaction.failures`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def unjudged(self, limit: int = FAILURES_BATCH) -> list[Failure]:
        """Return the first failures of which nothing was decided, of all rollouts."""
        is_unjudged = and_(MEMBER.is_asked.is_(True), MEMBER.is_final.is_(False))
        there = _failed(ROLLOUT.release).where(MEMBER.is_recovering.is_(False), is_unjudged)
        back = _failed(ROLLOUT.recovery).where(MEMBER.is_recovering.is_(True), is_unjudged)
        found = await self._connection.execute(union_all(there, back).limit(limit))
        return [Failure(**row) for row in found.mappings()]

    async def awake(self, limit: int = FAILURES_BATCH) -> list[Failure]:
        """Return who was silent until it was given up on the way back, and has said something signed since."""
        report = tables.reports.c
        has_spoken = exists().where(
            report.device == MEMBER.device, report.received_at_s >= MEMBER.not_before_s
        )
        query = _failed(ROLLOUT.recovery).where(MEMBER.is_recovering.is_(True), MEMBER.is_final.is_(True))
        query = query.where(_ASSIGNMENT.reason == SILENT, ROLLOUT.state.in_(_GOES_BACK), has_spoken)
        return [Failure(**row) for row in (await self._connection.execute(query.limit(limit))).mappings()]

    async def let_recover(self, failures: Collection[Failure]) -> None:
        """Let these be brought the recovery release once more."""
        of_member = and_(MEMBER.rollout == bindparam("of_rollout"), MEMBER.device == bindparam("of_device"))
        change = update(tables.rollout_members).where(of_member).values(is_asked=False, is_final=False)
        await self._connection.execute(change, [_key(one) for one in failures])

    async def judge(self, judgements: Collection[Judgement], now_s: int) -> None:
        """Write what follows; a device that isn't asked again by itself needs people."""
        again = [one for one in judgements if one.not_before_s is not None]
        final = [one.failure for one in judgements if one.not_before_s is None]
        of_member = and_(MEMBER.rollout == bindparam("of_rollout"), MEMBER.device == bindparam("of_device"))
        change = update(tables.rollout_members).where(of_member)
        if again:
            await self._connection.execute(
                change.values(is_asked=False, not_before_s=bindparam("at_s")),
                [{**_key(one.failure), "at_s": one.not_before_s} for one in again],
            )
        if final:
            # When it was given up: what it says later is new.
            given_up = change.values(is_final=True, not_before_s=now_s)
            await self._connection.execute(given_up, [_key(one) for one in final])
            await self._need_attention(final, now_s)

    async def _need_attention(self, failures: list[Failure], now_s: int) -> None:
        change = update(tables.devices).where(DEVICE.id == bindparam("of_device"))
        change = change.values(
            failures=DEVICE.failures + 1, attention_at_s=now_s, attention_reason=bindparam("why")
        )
        rows = [{"of_device": one.device, "why": _why(one)} for one in failures]
        await self._connection.execute(change, rows)

    async def forget(self) -> int:
        """Clear the failures of devices that succeeded since with what they are assigned; return of how many."""
        taken = tables.assignments.c
        is_well = exists().where(
            taken.device == DEVICE.id,
            taken.release == DEVICE.assigned,
            taken.state == AssignmentState.SUCCEEDED.value,
        )
        change = update(tables.devices).where(DEVICE.failures > 0, is_well)
        cleared = change.values(failures=0, attention_at_s=None, attention_reason=None)
        return (await self._connection.execute(cleared)).rowcount

    async def have_recovered(self) -> bool:
        """Return whether there is a device whose failures are to be cleared."""
        taken = tables.assignments
        query = select(DEVICE.id).join(
            taken, and_(taken.c.device == DEVICE.id, taken.c.release == DEVICE.assigned)
        )
        query = query.where(DEVICE.failures > 0, taken.c.state == AssignmentState.SUCCEEDED.value)
        return (await self._connection.execute(query.limit(1))).first() is not None

    async def silent(self, rollout: Rollout, before_s: int, now_s: int, limit: int) -> list[str]:
        """Return devices that are awaited since before this moment, there or back, and said nothing signed after it."""
        report = tables.reports.c
        has_spoken = exists().where(report.device == MEMBER.device, report.received_at_s >= before_s)
        is_awaited = progress(now_s).in_([Progress.OPEN.value, Progress.RECOVERING.value])
        query = select(MEMBER.device).select_from(JOINED).where(MEMBER.rollout == rollout.id)
        query = query.where(MEMBER.awaited_since_s < before_s, IS_UNDER_WAY, is_awaited, ~has_spoken)
        return list(await self._connection.scalars(query.order_by(MEMBER.device).limit(limit)))


def _failed(release: Column[Any]) -> Select[Any]:
    """Return the query for failures to install this release of each rollout: from the few that failed to their members."""
    column = (MEMBER.rollout, MEMBER.device, MEMBER.tries, MEMBER.is_recovering)
    is_member = and_(MEMBER.rollout == ROLLOUT.id, MEMBER.device == _ASSIGNMENT.device)
    query = select(*column, _ASSIGNMENT.reason.label("reason")).select_from(tables.rollouts)
    query = query.join(tables.assignments, _ASSIGNMENT.release == release)
    query = query.join(tables.rollout_members, is_member)
    query = query.where(_ASSIGNMENT.state == AssignmentState.FAILED.value)
    failed = by_assignments(release, [AssignmentState.FAILED], RolloutState)
    return query.where(tuple_(MEMBER.rollout, MEMBER.device).in_(failed))


def _key(failure: Failure) -> dict[str, object]:
    return {"of_rollout": failure.rollout, "of_device": failure.device}


def _why(failure: Failure) -> str:
    name = reason_name(failure.reason)
    return f"unrecovered: {name}" if failure.is_recovering else name
