"""Who becomes a member of a rollout, within one transaction: one statement a rollout, however many devices there are.

A device is in one rollout that hasn't ended, at most: the oldest that has a phase for it. One that is quarantined is in
none; one that is excluded from the group it would come by leaves, as long as it wasn't asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import (
    ColumnElement,
    Exists,
    Select,
    and_,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from pawl_server.domain.fleet import QUARANTINE_FAILURES
from pawl_server.domain.joining import phase_of_newcomer
from pawl_server.domain.plan import PhaseKind, Plan
from pawl_server.domain.rollout_states import Rollout
from pawl_server.store import tables
from pawl_server.store.groups import GroupRows, MemberKind
from pawl_server.store.progress import DEVICE, MEMBER, ROLLOUT
from pawl_server.store.rollouts import FINAL

_NAMED = tables.group_members.c
_COLUMNS = (
    "rollout",
    "device",
    "phase",
    "is_asked",
    "tries",
    "not_before_s",
    "is_final",
    "is_recovering",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Devices of a plan's groups that it doesn't take: the rollout that has each, the quarantined, the excluded."""

    busy: dict[str, str]
    quarantined: list[str]
    excluded: dict[str, str]


class JoiningRows:
    """Which devices rollouts take; made by `Transaction.joining`."""

    def __init__(self, connection: AsyncConnection, groups: GroupRows) -> None:
        self._connection = connection
        self._groups = groups

    async def target(self, plan: Plan, now_s: int) -> list[tuple[str, str]]:
        """Return (group, device) of those devices of a plan's groups that a rollout may take now."""
        query = await self._free(groups_of(plan), now_s)
        return [(row.group, row.device) for row in await self._connection.execute(query)]

    async def add(self, rollout: int, phases: Mapping[str, int]) -> None:
        """Add the devices that a rollout begins with, each in its phase."""
        rows = [
            dict(zip(_COLUMNS, (rollout, device, phase, False, 0, 0, False, False), strict=True))
            for device, phase in sorted(phases.items())
        ]
        if rows:
            await self._connection.execute(insert(tables.rollout_members), rows)

    async def has_newcomers(self, rollout: Rollout, now_s: int) -> bool:
        """Return whether a rollout has a phase for a device that is in none."""
        query = await self._newcomers(rollout, now_s)
        return query is not None and (await self._connection.execute(query.limit(1))).first() is not None

    async def join(self, rollout: Rollout, now_s: int) -> int:
        """Add the devices that came to a rollout's groups since; return how many."""
        query = await self._newcomers(rollout, now_s)
        if query is None:
            return 0
        found = query.subquery("newcomer").c
        plain = (literal(value=False), literal(0), literal(0), literal(value=False), literal(value=False))
        rows = select(literal(rollout.id), found.device, found.phase, *plain)
        added = await self._connection.execute(insert(tables.rollout_members).from_select(_COLUMNS, rows))
        return added.rowcount

    async def has_leavers(self, rollout: Rollout, now_s: int) -> bool:
        """Return whether a device was excluded before it was asked."""
        query = select(MEMBER.device).where(await self._leaves(rollout, now_s)).limit(1)
        return (await self._connection.execute(query)).first() is not None

    async def leave(self, rollout: Rollout, now_s: int) -> int:
        """Let the devices go that were excluded before they were asked; return how many."""
        change = delete(tables.rollout_members).where(await self._leaves(rollout, now_s))
        return (await self._connection.execute(change)).rowcount

    async def left_out(self, plan: Plan, now_s: int) -> LeftOut:
        """Return whom a plan doesn't take, and why."""
        found = (await self._groups.matching(groups_of(plan), now_s)).subquery("found").c
        busy = select(MEMBER.device, ROLLOUT.name).join(tables.rollouts, ROLLOUT.id == MEMBER.rollout)
        busy = busy.where(ROLLOUT.state.not_in(FINAL), MEMBER.device.in_(select(found.device)))
        left = select(DEVICE.id).where(
            DEVICE.failures >= QUARANTINE_FAILURES, DEVICE.id.in_(select(found.device))
        )
        kept = select(_NAMED.device, _NAMED.group).where(
            _NAMED.group.in_(groups_of(plan)),
            _NAMED.kind == MemberKind.EXCLUDED.value,
            _NAMED.device.not_in(select(found.device)),
        )
        return LeftOut(
            busy={row.device: row.name for row in await self._connection.execute(busy.distinct())},
            quarantined=list(await self._connection.scalars(left.order_by(DEVICE.id))),
            excluded={row.device: row.group for row in await self._connection.execute(kept)},
        )

    async def groups_with(self, plan: Plan, device: str, now_s: int) -> list[str]:
        """Return those groups of a plan that have a device."""
        found = (await self._groups.matching(groups_of(plan), now_s)).subquery("found").c
        return list(await self._connection.scalars(select(found.group).where(found.device == device)))

    async def busy_elsewhere(self, rollout: Rollout) -> tuple[str, str] | None:
        """Return a device of this rollout that another one has now, and the name of that one."""
        mine = tables.rollout_members.alias("mine")
        query = select(MEMBER.device, ROLLOUT.name).join(tables.rollouts, ROLLOUT.id == MEMBER.rollout)
        query = query.join(mine, and_(mine.c.device == MEMBER.device, mine.c.rollout == rollout.id))
        query = query.where(ROLLOUT.state.not_in(FINAL), MEMBER.rollout != rollout.id)
        row = (await self._connection.execute(query.order_by(MEMBER.device).limit(1))).first()
        return None if row is None else (row.device, row.name)

    async def _newcomers(self, rollout: Rollout, now_s: int) -> Select[tuple[str, int]] | None:
        """Return the query for (device, phase): the first phase of those that its groups lead to, as the domain says."""
        phases = {group: phase_of_newcomer(rollout.plan, [group]) for group in groups_of(rollout.plan)}
        taking = {group: phase for group, phase in phases.items() if phase is not None}
        if not taking:
            return None
        free = (await self._free(list(taking), now_s)).subquery("free").c
        phase = func.min(case(taking, value=free.group)).label("phase")
        return select(free.device, phase).group_by(free.device)

    async def _free(self, names: list[str], now_s: int) -> Select[tuple[str, str]]:
        found = (await self._groups.matching(names, now_s)).subquery("found").c
        query = select(found.group, found.device).join(tables.devices, DEVICE.id == found.device)
        return query.where(DEVICE.failures < QUARANTINE_FAILURES, ~_is_taken(found.device))

    async def _leaves(self, rollout: Rollout, now_s: int) -> ColumnElement[bool]:
        names = groups_of(rollout.plan)
        found = (await self._groups.matching(names, now_s)).subquery("found").c
        excluded = select(_NAMED.device).where(
            _NAMED.group.in_(names), _NAMED.kind == MemberKind.EXCLUDED.value
        )
        return and_(
            MEMBER.rollout == rollout.id,
            MEMBER.asked_at_s.is_(None),
            MEMBER.device.in_(excluded),
            MEMBER.device.not_in(select(found.device)),
        )


def groups_of(plan: Plan) -> list[str]:
    """Return the groups of a plan, those of its phases included, each once."""
    of_phases = (phase.group for phase in plan.phases if phase.kind is PhaseKind.GROUP)
    return list(dict.fromkeys([*of_phases, *plan.groups]))


def _is_taken(device: ColumnElement[str]) -> Exists:
    member, rollout = tables.rollout_members.alias("taken"), tables.rollouts.alias("owner")
    query = exists().select_from(member.join(rollout, rollout.c.id == member.c.rollout))
    return query.where(member.c.device == device, rollout.c.state.not_in(FINAL))
