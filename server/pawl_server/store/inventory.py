"""Devices as people look for them, within one transaction: by filter, page by page."""

from collections.abc import Collection, Mapping
from typing import TypeAlias

from sqlalchemy import ColumnElement, delete, func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from pawl_server.domain.fleet import QUARANTINE_FAILURES, Device
from pawl_server.filters import parse
from pawl_server.store import rows, tables
from pawl_server.store.filters import compile_filter

_DEVICE, _TAG = tables.devices.c, tables.device_tags.c

# As `domain.attention.notes_of` has at least one note.
NEEDS_ATTENTION = or_(
    _DEVICE.attention_at_s.is_not(None),
    _DEVICE.failures >= QUARANTINE_FAILURES,
    _DEVICE.flagged_at_s.is_not(None),
    _DEVICE.is_late.is_(True),
)


Condition: TypeAlias = ColumnElement[bool]


class InventoryRows:
    """The rows of devices, as people ask for them; made by `Transaction.inventory`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def vendors(self) -> list[bytes]:
        """Return the vendors of the enrolled devices: a class is named within its vendor."""
        return list(await self._connection.scalars(select(_DEVICE.vendor).distinct()))

    async def condition(self, text: str, now_s: int) -> Condition:
        """Return what a filter asks of a row of devices; FilterError if it is none."""
        return compile_filter(parse(text), await self.vendors(), now_s)

    async def unknown(self, names: Collection[str]) -> list[str]:
        """Return those of these devices that aren't enrolled, in order of their names."""
        known = set(await self._connection.scalars(select(_DEVICE.id).where(_DEVICE.id.in_(names))))
        return sorted(set(names) - known)

    async def page(self, after: str, limit: int, condition: Condition | None) -> list[Device]:
        """Return the first devices whose id comes after this one, of those that meet a condition, in order."""
        query = select(tables.devices).where(_DEVICE.id > after).order_by(_DEVICE.id).limit(limit)
        if condition is not None:
            query = query.where(condition)
        return [rows.device_of(row) for row in (await self._connection.execute(query)).mappings()]

    async def count(self, condition: Condition | None) -> int:
        """Return how many devices meet a condition."""
        query = select(func.count()).select_from(tables.devices)
        if condition is not None:
            query = query.where(condition)
        return (await self._connection.execute(query)).scalar_one()

    async def tags(self, names: Collection[str]) -> dict[str, dict[str, str]]:
        """Return the tags of these devices, those of each in order of their keys."""
        found: dict[str, dict[str, str]] = {name: {} for name in names}
        query = select(tables.device_tags).where(_TAG.device.in_(names)).order_by(_TAG.key)
        for row in await self._connection.execute(query):
            found[row.device][row.key] = row.value
        return found

    async def set_tags(self, name: str, tags: Mapping[str, str]) -> None:
        """Let a device have these tags and no others."""
        await self._connection.execute(delete(tables.device_tags).where(_TAG.device == name))
        rows = [{"device": name, "key": key, "value": value} for key, value in tags.items()]
        if rows:
            await self._connection.execute(insert(tables.device_tags), rows)
