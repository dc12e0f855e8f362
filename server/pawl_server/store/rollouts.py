"""Rollouts within one transaction: values in, values out, sets rather than loops."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, case, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from pawl.names import reason_name
from pawl_server.domain.fleet import AssignmentState
from pawl_server.domain.rollout import FINAL_STATES, GroupCounts, Progress, Rollout, RolloutState
from pawl_server.store import tables

_MEMBER, _ASSIGNMENT, _DEVICE = tables.rollout_members.c, tables.assignments.c, tables.devices.c
_ROLLOUT = tables.rollouts.c
_FINAL = [state.value for state in FINAL_STATES]
_TROUBLE = (Progress.FAILED, Progress.DISPLACED)
# Of how many devices one transaction changes the assignment: others must get their turn to write.
MEMBERS_BATCH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A device of a rollout and how far it is; `reason` is why it failed, by name, else empty."""

    device: str
    position: int
    progress: Progress
    reason: str


# How far a member is; the first rule that applies decides.
_PROGRESS = case(
    (_MEMBER.is_asked.is_(False), Progress.WAITING.value),
    (_ASSIGNMENT.state == AssignmentState.SUCCEEDED.value, Progress.SUCCEEDED.value),
    (_ASSIGNMENT.state == AssignmentState.FAILED.value, Progress.FAILED.value),
    (_DEVICE.assigned.is_distinct_from(_ROLLOUT.release), Progress.DISPLACED.value),
    (_ASSIGNMENT.state == AssignmentState.HELD.value, Progress.HELD.value),
    else_=Progress.OPEN.value,
)
_JOINED = (
    tables.rollout_members.join(tables.rollouts, _ROLLOUT.id == _MEMBER.rollout)
    .join(tables.devices, _DEVICE.id == _MEMBER.device)
    .outerjoin(
        tables.assignments,
        and_(_ASSIGNMENT.device == _MEMBER.device, _ASSIGNMENT.release == _ROLLOUT.release),
    )
)


class RolloutRows:
    """The rows of rollouts; made by `Transaction.rollouts`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, rollout: Rollout, members: Sequence[Collection[str]]) -> int:
        """Add a rollout with the devices of each of its groups; return its id, whatever its value says."""
        values = {name: value for name, value in _columns(rollout).items() if name != "id"}
        added = insert(tables.rollouts).values(values).returning(_ROLLOUT.id)
        number: int = (await self._connection.execute(added)).scalar_one()
        groups = [
            {"rollout": number, "position": position, "name": name}
            for position, name in enumerate(rollout.groups)
        ]
        await self._connection.execute(insert(tables.rollout_groups), groups)
        rows = [
            {"rollout": number, "device": device, "position": position, "is_asked": False}
            for position, devices in enumerate(members)
            for device in sorted(devices)
        ]
        await self._connection.execute(insert(tables.rollout_members), rows)
        return number

    async def keep(self, rollout: Rollout) -> None:
        """Write the state of a rollout."""
        change = update(tables.rollouts).where(_ROLLOUT.id == rollout.id)
        await self._connection.execute(change.values(_columns(rollout)))

    async def all(self) -> list[Rollout]:
        """Return every rollout, the oldest first."""
        return await self._rollouts(select(tables.rollouts))

    async def with_work(self) -> list[Rollout]:
        """Return those that run or are paused, and cancelled ones whose offers weren't withdrawn yet."""
        is_asked = _PROGRESS.in_([Progress.OPEN.value, Progress.HELD.value])
        cancelled = select(_ROLLOUT.id).select_from(_JOINED).where(is_asked)
        cancelled = cancelled.where(_ROLLOUT.state == RolloutState.FAILED.value)
        has_work = _ROLLOUT.state.not_in(_FINAL) | _ROLLOUT.id.in_(cancelled)
        return await self._rollouts(select(tables.rollouts).where(has_work))

    async def get(self, number: int) -> Rollout | None:
        """Return a rollout by its id."""
        found = await self._rollouts(select(tables.rollouts).where(_ROLLOUT.id == number))
        return found[0] if found else None

    async def named(self, name: str) -> Rollout | None:
        """Return a rollout by its name."""
        found = await self._rollouts(select(tables.rollouts).where(_ROLLOUT.name == name))
        return found[0] if found else None

    async def busy(self) -> dict[str, str]:
        """Return every device that is in a rollout which hasn't ended, and the name of that rollout."""
        query = (
            select(_MEMBER.device, _ROLLOUT.name).select_from(_JOINED).where(_ROLLOUT.state.not_in(_FINAL))
        )
        return {row.device: row.name for row in await self._connection.execute(query)}

    async def counts(self, rollout: Rollout) -> list[GroupCounts]:
        """Return how far each group is, in order."""
        query = select(_MEMBER.position, _PROGRESS.label("progress"), func.count().label("number"))
        query = query.select_from(_JOINED).where(_MEMBER.rollout == rollout.id)
        counts: list[dict[Progress, int]] = [{} for _ in rollout.groups]
        for row in await self._connection.execute(query.group_by(_MEMBER.position, "progress")):
            counts[row.position][Progress(row.progress)] = row.number
        first = await self.members(rollout, _TROUBLE, limit=1)
        troubles = {member.position: _trouble_of(member) for member in first}
        return [
            GroupCounts(counts=one, trouble=troubles.get(position, "")) for position, one in enumerate(counts)
        ]

    async def members(
        self,
        rollout: Rollout,
        progress: Iterable[Progress] = Progress,
        *,
        position: int | None = None,
        limit: int | None = None,
    ) -> list[Member]:
        """Return the devices of a rollout, or of one of its groups, that are as far as one of these, in order."""
        query = select(_MEMBER.device, _MEMBER.position, _PROGRESS.label("progress"), _ASSIGNMENT.reason)
        query = query.select_from(_JOINED).where(_MEMBER.rollout == rollout.id)
        query = query.where(_PROGRESS.in_([one.value for one in progress]))
        if position is not None:
            query = query.where(_MEMBER.position == position)
        found = await self._connection.execute(query.order_by(_MEMBER.position, _MEMBER.device).limit(limit))
        return [_member_of(row) for row in found]

    async def mark_asked(self, rollout: Rollout, devices: Collection[str], *, is_asked: bool) -> None:
        """Note of these devices whether their assignment speaks of this rollout."""
        change = update(tables.rollout_members).where(
            _MEMBER.rollout == rollout.id, _MEMBER.device.in_(devices)
        )
        await self._connection.execute(change.values(is_asked=is_asked))

    async def _rollouts(self, query: Select[Any]) -> list[Rollout]:
        found = (await self._connection.execute(query.order_by(_ROLLOUT.id))).mappings().all()
        column = tables.rollout_groups.c
        wanted = select(tables.rollout_groups).where(column.rollout.in_([row["id"] for row in found]))
        names: dict[int, list[str]] = {row["id"]: [] for row in found}
        for row in await self._connection.execute(wanted.order_by(column.position)):
            names[row.rollout].append(row.name)
        return [
            Rollout(**{**row, "state": RolloutState(row["state"]), "groups": tuple(names[row["id"]])})
            for row in found
        ]


def _columns(rollout: Rollout) -> dict[str, Any]:
    names = ("id", "name", "release", "reason", "created_at_s", "changed_at_s")
    return {**{name: getattr(rollout, name) for name in names}, "state": rollout.state.value}


def _member_of(row: Any) -> Member:
    progress = Progress(row.progress)
    reason = reason_name(row.reason) if progress is Progress.FAILED else ""
    return Member(device=row.device, position=row.position, progress=progress, reason=reason)


def _trouble_of(member: Member) -> str:
    if member.progress is Progress.DISPLACED:
        return f"{member.device} was assigned another release"
    return f"{member.device} failed: {member.reason}"
