"""Devices as people look for them, within one transaction: by filter, page by page."""

from collections.abc import Collection

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from pawl_server.domain.fleet import Device
from pawl_server.filters import parse
from pawl_server.store import rows, tables
from pawl_server.store.filters import compile_filter

_DEVICE = tables.devices.c


class InventoryRows:
    """The rows of devices, as people ask for them; made by `Transaction.inventory`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def vendors(self) -> list[bytes]:
        """Return the vendors of the enrolled devices: a class is named within its vendor."""
        return list(await self._connection.scalars(select(_DEVICE.vendor).distinct()))

    async def condition(self, text: str, now_s: int) -> ColumnElement[bool]:
        """Return what a filter asks of a row of devices; FilterError if it is none."""
        return compile_filter(parse(text), await self.vendors(), now_s)

    async def unknown(self, names: Collection[str]) -> list[str]:
        """Return those of these devices that aren't enrolled, in order of their names."""
        known = set(await self._connection.scalars(select(_DEVICE.id).where(_DEVICE.id.in_(names))))
        return sorted(set(names) - known)

    async def page(self, after: str, limit: int, condition: ColumnElement[bool] | None) -> list[Device]:
        """Return the first devices whose id comes after this one, of those that meet a condition, in order."""
        query = select(tables.devices).where(_DEVICE.id > after).order_by(_DEVICE.id).limit(limit)
        if condition is not None:
            query = query.where(condition)
        return [rows.device_of(row) for row in (await self._connection.execute(query)).mappings()]

    async def count(self, condition: ColumnElement[bool] | None) -> int:
        """Return how many devices meet a condition."""
        query = select(func.count()).select_from(tables.devices)
        if condition is not None:
            query = query.where(condition)
        return (await self._connection.execute(query)).scalar_one()
