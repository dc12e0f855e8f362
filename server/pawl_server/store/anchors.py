"""The chain of trust anchor documents within one transaction."""

from dataclasses import dataclass

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from pawl_server.store import tables


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnchor:
    """An anchor file as it was signed, and what it is named by."""

    version: int
    digest: bytes
    file: bytes
    imported_at_s: int


class AnchorRows:
    """The rows of anchors; made by `Transaction.anchors`. None is ever changed or deleted."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def all(self) -> list[StoredAnchor]:
        """Return the chain, the oldest first."""
        query = select(tables.anchors).order_by(tables.anchors.c.version)
        return [StoredAnchor(**row) for row in (await self._connection.execute(query)).mappings()]

    async def newest_version(self) -> int | None:
        """Return the version of the newest one."""
        query = select(tables.anchors.c.version).order_by(tables.anchors.c.version.desc())
        return (await self._connection.scalars(query.limit(1))).first()

    async def add(self, anchor: StoredAnchor) -> None:
        """Add the next one; the database refuses a version that it has."""
        names = ("version", "digest", "file", "imported_at_s")
        row = {name: getattr(anchor, name) for name in names}
        await self._connection.execute(insert(tables.anchors), [row])
