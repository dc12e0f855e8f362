"""Leases within one transaction: read, taken, renewed, given back; and the question whether one is still its holder's."""

from collections.abc import Collection

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from pawl_server.domain.leases import FOREVER_S, NOBODY, Board, Lease
from pawl_server.store import tables
from pawl_server.store.fence import FencedError


class LeaseLostError(FencedError):
    """Another worker does this work now; nothing was changed."""


class LeaseRows:
    """The rows of leases and workers; made by `Transaction.leases`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def board(self) -> Board:
        """Return who does what, and who was seen when."""
        leases = (await self._connection.execute(select(tables.leases))).mappings()
        workers = await self._connection.execute(select(tables.workers.c.name, tables.workers.c.seen_at_s))
        return Board(
            leases={row["work"]: Lease(**row) for row in leases},
            seen_at_s={row.name: row.seen_at_s for row in workers},
        )

    async def has_devices(self) -> bool:
        """Whether anybody is enrolled: if not, no session holds anything that counts."""
        return (await self._connection.scalars(select(tables.devices.c.id).limit(1))).first() is not None

    async def take(self, works: Collection[str], board: Board, worker: str, until_s: int) -> dict[str, Lease]:
        """Take works over; `board` is what this transaction read."""
        taken = {}
        for work in works:
            before = board.leases.get(work)
            number = before.number + 1 if before else 1
            taken[work] = Lease(work=work, worker=worker, number=number, until_s=until_s)
        rows = [
            {"work": one.work, "worker": worker, "number": one.number, "until_s": until_s}
            for one in taken.values()
        ]
        if rows:
            await self._connection.execute(delete(tables.leases).where(tables.leases.c.work.in_(list(taken))))
            await self._connection.execute(insert(tables.leases), rows)
        return taken

    async def renew(self, works: Collection[str], worker: str, until_s: int) -> None:
        """Keep works that this transaction saw as the worker's for longer."""
        change = update(tables.leases).where(
            tables.leases.c.work.in_(works), tables.leases.c.worker == worker
        )
        await self._connection.execute(change.values(until_s=until_s))

    async def see(self, worker: str, at_s: int) -> None:
        """Note that a worker is there."""
        change = update(tables.workers).where(tables.workers.c.name == worker)
        await self._connection.execute(change.values(seen_at_s=at_s))

    async def leave(self, worker: str) -> None:
        """Let anybody take all that a worker has: it ends, and what is counted by live workers doesn't wait for it."""
        change = update(tables.leases).where(tables.leases.c.worker == worker)
        await self._connection.execute(change.values(worker=NOBODY, until_s=0))
        await self.see(worker, 0)

    async def give_back(self, lease: Lease) -> None:
        """Let anybody take a work at once; one that was lost meanwhile is left alone."""
        await self._end(lease, 0)

    async def finish(self, lease: Lease) -> None:
        """Note that a work is done for good; one that was lost meanwhile is left alone."""
        await self._end(lease, FOREVER_S)

    async def require(self, lease: Lease) -> None:
        """Refuse if another worker or process has taken the work; one that is late and taken by nobody passes."""
        column = tables.leases.c
        query = select(column.worker, column.number).where(column.work == lease.work)
        row = (await self._connection.execute(query)).first()
        if row is None or (row.worker, row.number) != (lease.worker, lease.number):
            now = f"{row.worker or 'nobody'} ({row.number})" if row else "nobody"
            raise LeaseLostError(
                f"{lease.work} isn't {lease.worker}'s ({lease.number}) any more, but {now}'s: nothing was written"
            )

    async def _end(self, lease: Lease, until_s: int) -> None:
        column = tables.leases.c
        change = update(tables.leases).where(
            column.work == lease.work, column.worker == lease.worker, column.number == lease.number
        )
        await self._connection.execute(change.values(worker=NOBODY, until_s=until_s))
