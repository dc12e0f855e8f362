"""Groups of devices within one transaction: who belongs to one is asked in one statement, for any number of groups.

member = await transaction.groups.matching(["canary", "field"], now_s)
... select(member.subquery().c.device) ...
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import (
    ColumnElement,
    Exists,
    Select,
    and_,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from pawl_server.domain.rollout import FINAL_STATES
from pawl_server.store import tables
from pawl_server.store.inventory import InventoryRows

_GROUP, _MEMBER, _DEVICE, _ROLLOUT = (
    tables.groups.c,
    tables.group_members.c,
    tables.devices.c,
    tables.rollouts.c,
)


class MemberKind(StrEnum):
    """Why a device is named by a group; an exclusion outweighs everything else."""

    MEMBER = "member"
    PINNED = "pinned"
    EXCLUDED = "excluded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A named set of devices: those that match its filter, or, if it has none, those that are named."""

    name: str
    filter: str | None


class GroupRows:
    """The rows of groups; made by `Transaction.groups`."""

    def __init__(self, connection: AsyncConnection, inventory: InventoryRows) -> None:
        self._connection = connection
        self._inventory = inventory

    async def matching(self, names: Sequence[str], now_s: int) -> Select[str, str]:
        """Return the query for (group, device) of the devices that these groups have now; a group that isn't, has none."""
        # No part has what another one has: so the database needn't keep and compare them all.
        parts = [_named(names)]
        for group in await self.all(names):
            if group.filter is not None:
                is_match = await self._inventory.condition(group.filter, now_s)
                of_filter = select(literal(group.name).label("group"), _DEVICE.id.label("device"))
                named_apart = _names(group.name, _DEVICE.id, MemberKind.PINNED, MemberKind.EXCLUDED)
                parts.append(of_filter.where(is_match, ~named_apart))
        found = union_all(*parts).subquery("found").c
        return select(found.group, found.device)

    async def page_of_devices(self, name: str, now_s: int, after: str, limit: int) -> list[str]:
        """Return the first devices of a group whose id comes after this one, in order."""
        member = (await self.matching([name], now_s)).subquery("member").c
        query = select(member.device).where(member.device > after).order_by(member.device).limit(limit)
        return list(await self._connection.scalars(query))

    async def count(self, name: str, now_s: int) -> int:
        """Return how many devices a group has."""
        members = (await self.matching([name], now_s)).subquery("member")
        return (await self._connection.execute(select(func.count()).select_from(members))).scalar_one()

    async def all(self, names: Collection[str]) -> list[Group]:
        """Return those of these groups that there are, in order of their names."""
        return await self._groups(select(tables.groups).where(_GROUP.name.in_(names)))

    async def get(self, name: str) -> Group | None:
        """Return a group, or None if there is none of that name."""
        return next(iter(await self.all([name])), None)

    async def page(self, after: str, limit: int) -> list[Group]:
        """Return the first groups whose name comes after this one."""
        return await self._groups(select(tables.groups).where(_GROUP.name > after).limit(limit))

    async def put(self, group: Group, devices: Collection[str] = ()) -> None:
        """Make a group, or replace its filter and its members; who is pinned or excluded stays so."""
        changed = await self._connection.execute(
            update(tables.groups).where(_GROUP.name == group.name).values(filter=group.filter)
        )
        if changed.rowcount == 0:
            await self._connection.execute(
                insert(tables.groups), [{"name": group.name, "filter": group.filter}]
            )
        members = delete(tables.group_members).where(
            _MEMBER.group == group.name, _MEMBER.kind == MemberKind.MEMBER.value
        )
        await self._connection.execute(members)
        rows = [_row(group.name, device, MemberKind.MEMBER) for device in sorted(devices)]
        if rows:
            await self._connection.execute(insert(tables.group_members), rows)

    async def delete(self, name: str) -> None:
        """Delete a group, and who is named by it."""
        await self._connection.execute(delete(tables.group_members).where(_MEMBER.group == name))
        await self._connection.execute(delete(tables.groups).where(_GROUP.name == name))

    async def named(self, name: str, kind: MemberKind) -> list[str]:
        """Return the devices that a group names in one way, in order."""
        query = select(_MEMBER.device).where(_MEMBER.group == name, _MEMBER.kind == kind.value)
        return list(await self._connection.scalars(query.order_by(_MEMBER.device)))

    async def name_device(self, name: str, device: str, kind: MemberKind) -> None:
        """Pin a device to a group, or exclude it."""
        if device not in await self.named(name, kind):
            await self._connection.execute(insert(tables.group_members), [_row(name, device, kind)])

    async def forget_device(self, name: str, device: str, kind: MemberKind) -> None:
        """Take back that a device is pinned or excluded."""
        change = delete(tables.group_members).where(
            _MEMBER.group == name, _MEMBER.device == device, _MEMBER.kind == kind.value
        )
        await self._connection.execute(change)

    async def user_of(self, name: str) -> str | None:
        """Return the name of the oldest rollout that hasn't ended and takes devices of this group."""
        final = [state.value for state in FINAL_STATES]
        query = select(_ROLLOUT.name, _ROLLOUT.plan).where(_ROLLOUT.state.not_in(final))
        for row in await self._connection.execute(query.order_by(_ROLLOUT.id)):
            if name in row.plan["groups"] or name in [phase.get("group") for phase in row.plan["phases"]]:
                return str(row.name)
        return None

    async def _groups(self, query: Select[str, str | None]) -> list[Group]:
        found = await self._connection.execute(query.order_by(_GROUP.name))
        return [Group(name=row.name, filter=row.filter) for row in found]


def _named(names: Sequence[str]) -> Select[str, str]:
    """Return the query for the devices that groups name: members where no filter says otherwise, and pinned ones."""
    is_member = and_(_MEMBER.kind == MemberKind.MEMBER.value, _GROUP.filter.is_(None))
    query = select(_MEMBER.group.label("group"), _MEMBER.device.label("device")).distinct()
    query = query.join(tables.groups, _GROUP.name == _MEMBER.group).where(_MEMBER.group.in_(names))
    query = query.where(or_(is_member, _MEMBER.kind == MemberKind.PINNED.value))
    return query.where(~_names(_MEMBER.group, _MEMBER.device, MemberKind.EXCLUDED))


def _names(group: ColumnElement[str] | str, device: ColumnElement[str], *kinds: MemberKind) -> Exists:
    """Return the condition that a group names a device in one of these ways."""
    other = tables.group_members.alias("other").c
    query = select(other.device).where(other.group == group, other.device == device)
    return query.where(other.kind.in_([kind.value for kind in kinds])).exists()


def _row(name: str, device: str, kind: MemberKind) -> dict[str, str]:
    return {"group": name, "device": device, "kind": kind.value}
