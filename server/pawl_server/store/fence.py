"""Which process may write: a number that rises with each one that starts. Who has an older one has been replaced."""

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from pawl_server.store import tables


class FencedError(Exception):
    """This process may not write, or not any more; nothing was changed."""


class Fence:
    """The number of this process, once it was taken; `require` is asked in the transaction that writes."""

    def __init__(self) -> None:
        self._number: int | None = None
        self.is_taken = False

    async def take(self, connection: AsyncConnection) -> None:
        """Raise the number, so that every process before this one is kept from writing."""
        column = tables.fence.c.number
        before = (await connection.scalars(select(column))).first()
        self._number = (before or 0) + 1
        change = insert(tables.fence) if before is None else update(tables.fence)
        await connection.execute(change.values(number=self._number))
        self.is_taken = True

    async def require(self, connection: AsyncConnection) -> None:
        """Refuse if a newer process has taken the fence; one that took none is let pass."""
        if self._number is None:
            return
        newest = (await connection.scalars(select(tables.fence.c.number))).first()
        if newest != self._number:
            raise FencedError(
                f"another server process (number {newest}) has taken over this database from this one (number "
                f"{self._number}): nothing is written or offered here any more; stop this process"
            )
