"""Which process may write: a number that rises with each one of the same name. Who has an older one has been replaced."""

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from pawl_server.store import tables


class FencedError(Exception):
    """This process may not write, or not any more; nothing was changed."""


class Fence:
    """The number of this process, once it was taken; `require` is asked in the transaction that writes."""

    def __init__(self, worker: str) -> None:
        self.worker = worker
        self._number: int | None = None

    @property
    def is_taken(self) -> bool:
        """Whether this process took a number."""
        return self._number is not None

    async def take(self, connection: AsyncConnection, now_s: int) -> None:
        """Raise the number, so that every process of this name before this one is kept from writing."""
        column = tables.workers.c
        before = (await connection.scalars(select(column.number).where(column.name == self.worker))).first()
        self._number = (before or 0) + 1
        if before is None:
            await connection.execute(
                insert(tables.workers).values(name=self.worker, number=self._number, seen_at_s=now_s)
            )
            return
        change = update(tables.workers).where(column.name == self.worker)
        await connection.execute(change.values(number=self._number, seen_at_s=now_s))

    async def require(self, connection: AsyncConnection) -> None:
        """Refuse if a newer process of this name has taken the fence; one that took none is let pass."""
        if self._number is None:
            return
        column = tables.workers.c
        newest = (await connection.scalars(select(column.number).where(column.name == self.worker))).first()
        if newest != self._number:
            raise FencedError(
                f"another server process (number {newest}) has taken over this database from this one (number "
                f"{self._number}): nothing is written or offered here any more; stop this process"
            )
