"""The store: what the server keeps between messages and restarts, one transaction a step.

Refuses to decide anything: it reads values and writes values. SQLite, in WAL mode; a writer takes the write lock when
its transaction begins, so that what it read still holds when it writes. Of several processes of one name over one file,
the one that took the fence last writes; the others are refused in their own transactions, and `fenced` is set there. What
is written `under` a lease is refused once another one has taken it, and `lost` is set.

    async with store.writing() as transaction:
        devices = await transaction.devices(["bench-1"])
        ...
        await transaction.write(changes, now_s)
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from pawl_server.domain.leases import Lease
from pawl_server.events import Event
from pawl_server.store import schema
from pawl_server.store.fence import Fence, FencedError
from pawl_server.store.leases import LeaseLostError
from pawl_server.store.transaction import Transaction

BUSY_TIMEOUT_MS = 5000
_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    # A message is acknowledged after the commit: what was committed must outlive a power cut, too.
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}",
)
MAIN_WORKER = "main"

# The lease that a task works under. A context has it, so that nothing that the work calls can forget to say it.
_lease: ContextVar[Lease | None] = ContextVar("lease", default=None)


async def _nothing(_transaction: Transaction) -> None:
    return


class Store:
    """One SQLite file; opened once, closed once. `told` gets what was told in a transaction, once that is committed."""

    def __init__(
        self,
        path: Path,
        told: Callable[[list[Event]], None] = lambda _events: None,
        clock: Callable[[], float] = time.time,
        worker: str = MAIN_WORKER,
    ) -> None:
        self.fenced = asyncio.Event()
        self.lost = asyncio.Event()
        self._told = told
        self._clock = clock
        self._fence = Fence(worker)
        self._before_writing: Callable[[Transaction], Awaitable[None]] = _nothing
        # SQLite lets writers of one process wait by asking again; in turn they wait here.
        self._writer = asyncio.Lock()
        self._path = path
        self._engine: AsyncEngine = create_async_engine(URL.create("sqlite+aiosqlite", database=str(path)))
        event.listen(self._engine.sync_engine, "connect", _prepare)
        event.listen(self._engine.sync_engine, "begin", _begin)

    async def open(self) -> None:
        """Make the file, for its owner's eyes, with its tables; SchemaError if it has other ones."""
        self._path.touch(mode=0o600)
        try:
            async with self._connect(is_writing=True) as connection:
                await connection.run_sync(schema.prepare)
        except BaseException:
            await self.close()
            raise

    async def take_fence(self) -> None:
        """Become the one process that may issue offers and change assignments, in place of those before."""
        async with self._connect(is_writing=True) as connection:
            await self._fence.take(connection, int(self._clock()))

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        """Open a transaction that sees one state of the database, and must not write."""
        async with self._connect(is_writing=False) as connection:
            yield Transaction(connection, may_offer=False)

    def before_writing(self, follow: Callable[[Transaction], Awaitable[None]]) -> None:
        """Call this at the beginning of every transaction that writes: what other processes wrote may matter to it."""
        self._before_writing = follow

    @contextmanager
    def under(self, lease: Lease) -> Iterator[None]:
        """Let what this task writes, and what tasks write that it starts from here on, be refused once the lease is lost."""
        token = _lease.set(lease)
        try:
            yield
        finally:
            _lease.reset(token)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Transaction]:
        """Open a transaction that is committed at the end of the block, or undone if it raises.

        FencedError, before anything is read, if another process of this name has taken the fence since this one did, or
        another process has the lease that the task works under.
        """
        async with self._writer, self._connect(is_writing=True) as connection:
            transaction = Transaction(connection, may_offer=self._fence.is_taken)
            await self._require(connection, transaction)
            await self._before_writing(transaction)
            yield transaction
            await transaction.keep_told(int(self._clock()))
        self._told(transaction.told)

    async def _require(self, connection: AsyncConnection, transaction: Transaction) -> None:
        lease = _lease.get()
        try:
            await self._fence.require(connection)
            if lease is not None:
                await transaction.leases.require(lease)
        except LeaseLostError:
            self.lost.set()
            raise
        except FencedError:
            self.fenced.set()
            raise

    @asynccontextmanager
    async def _connect(self, *, is_writing: bool) -> AsyncIterator[AsyncConnection]:
        async with self._engine.connect() as connection:
            await connection.execution_options(is_writing=is_writing)
            async with connection.begin():
                yield connection


def _prepare(dbapi_connection: Any, _record: Any) -> None:
    # The driver's own idea of when a transaction begins is off: `_begin` says it.
    dbapi_connection.isolation_level = None
    cursor = dbapi_connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _begin(connection: Connection) -> None:
    is_writing = connection.get_execution_options().get("is_writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")
