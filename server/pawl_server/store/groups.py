"""Groups of devices within one transaction."""

from collections.abc import Collection

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from pawl_server.store import tables


class GroupRows:
    """The rows of groups; made by `Transaction.groups`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def set(self, name: str, devices: Collection[str]) -> None:
        """Make a group, or replace its members."""
        known = await self._connection.execute(select(tables.groups).where(tables.groups.c.name == name))
        if known.first() is None:
            await self._connection.execute(insert(tables.groups), [{"name": name}])
        members = tables.group_members
        await self._connection.execute(delete(members).where(members.c.group == name))
        values = [{"group": name, "device": device} for device in sorted(devices)]
        if values:
            await self._connection.execute(insert(members), values)

    async def all(self) -> dict[str, list[str]]:
        """Return every group with its devices, both in order of their names."""
        query = select(tables.groups.c.name).order_by(tables.groups.c.name)
        found: dict[str, list[str]] = {name: [] for name in await self._connection.scalars(query)}
        members = select(tables.group_members).order_by(tables.group_members.c.device)
        for row in await self._connection.execute(members):
            found[row.group].append(row.device)
        return found
