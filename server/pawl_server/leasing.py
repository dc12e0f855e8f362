"""Runs the works that this process has the lease of: takes what it may, stops what it lost, gives back what is too much.

A work is a coroutine function that runs until it is cancelled, and says by `begun` when it does what it is for. One that
returns is done for good, and has begun when that is written. One that raises is begun again while the lease is held. All that a work writes is written under
its lease, so that a process that was paused, and believes that it still has it, writes nothing.

    leasing = Leasing(store, "main", {"engine": run_engine}, clock, terms=Terms(term_s=10))
    await leasing.start()                      # what could be taken has begun
    await leasing.run()                        # until cancelled, or this process was replaced
    await leasing.stop()
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from sqlalchemy.exc import SQLAlchemyError

from pawl_server.domain.leases import Lease, Terms, Turn, choose
from pawl_server.store import FencedError, Store

_log = logging.getLogger(__name__)

LOOK_S = 1.0
RETRY_S = 1.0

Begun = Callable[[], None]
Work = Callable[[Begun], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class _Running:
    """A work with its lease; `fault` is why it could not begin the first time."""

    lease: Lease
    task: asyncio.Task[None] | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    fault: Exception | None = None


class Leasing:
    """The one task that takes leases for this process; `clock` gives seconds since 1970."""

    def __init__(
        self,
        store: Store,
        worker: str,
        works: Mapping[str, Work],
        clock: Callable[[], float],
        *,
        terms: Terms,
    ) -> None:
        self._store = store
        self._worker = worker
        self._works = works
        self._clock = clock
        self._terms = terms
        self._running: dict[str, _Running] = {}

    @property
    def held(self) -> dict[str, Lease]:
        """What this process does, by work, as far as it knows."""
        return {work: one.lease for work, one in self._running.items()}

    async def start(self) -> None:
        """Take what is free and return when it has begun; raises what kept a work from it."""
        while taken := await self.look():
            for one in taken:
                await one.begun.wait()
                if one.fault is not None:
                    raise one.fault

    async def run(self) -> None:
        """Look every second, and at once when something was lost; until cancelled, or this process was replaced."""
        while not self._store.fenced.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._store.lost.wait(), LOOK_S)
            self._store.lost.clear()
            try:
                await self.look()
            except FencedError:
                continue
            except SQLAlchemyError as error:
                _log.warning("leases were not looked at, again in %g s: %s", LOOK_S, error)

    async def stop(self) -> None:
        """Stop every work, and let others take them at once."""
        await self._stop(self.held)
        try:
            async with self._store.writing() as transaction:
                await transaction.leases.leave(self._worker)
        except FencedError:
            return
        except SQLAlchemyError as error:
            _log.warning("leases were not given back, and end in %d s: %s", self._terms.term_s, error)

    async def look(self) -> list[_Running]:
        """Do one turn; return what was taken in it."""
        turn, taken = await self._turn()
        await self._stop(turn.lost)
        for lease in taken.values():
            self._begin(lease)
        await self._give_back([self._running[work].lease for work in turn.give_back])
        return [self._running[work] for work in taken if work in self._running]

    async def _turn(self) -> tuple[Turn, dict[str, Lease]]:
        """Say what this turn is; what there is to write is decided again where it is written."""
        now_s = int(self._clock())
        async with self._store.reading() as transaction:
            turn = choose(await transaction.leases.board(), self._worker, self.held, self._terms, now_s)
        if not turn.writes:
            return turn, {}
        until_s = now_s + self._terms.term_s
        async with self._store.writing() as transaction:
            leases = transaction.leases
            board = await leases.board()
            turn = choose(board, self._worker, self.held, self._terms, now_s)
            kept = self.held.keys() - set(turn.lost)
            taken = await leases.take(turn.take, board, self._worker, until_s)
            await leases.renew(kept, self._worker, until_s)
            await leases.see(self._worker, now_s)
        for work in kept:
            one = self._running[work]
            one.lease = replace(one.lease, until_s=until_s)
        return turn, taken

    def _begin(self, lease: Lease) -> None:
        running = self._running[lease.work] = _Running(lease=lease)
        running.task = asyncio.create_task(self._keep(running))

    async def _keep(self, running: _Running) -> None:
        """Run a work until it is cancelled, done, or lost; one that fails begins again."""
        lease = running.lease
        while True:
            try:
                with self._store.under(lease):
                    await self._works[lease.work](running.begun.set)
                    async with self._store.writing() as transaction:
                        await transaction.leases.finish(lease)
            except FencedError:
                _log.warning("%s was lost to another worker", lease.work)
                return
            except Exception as error:  # noqa: BLE001  # whatever it was, what the work is for is still there
                running.fault = error
                _log.warning("%s failed, again in %g s: %s", lease.work, RETRY_S, error)
                await asyncio.sleep(RETRY_S)
            else:
                return
            finally:
                running.begun.set()

    async def _stop(self, works: Iterable[str]) -> None:
        """End works and wait until they have ended: what is at hand is finished, or refused."""
        tasks = [self._running.pop(work).task for work in list(works)]
        started = [task for task in tasks if task is not None]
        for task in started:
            task.cancel()
        await asyncio.gather(*started, return_exceptions=True)

    async def _give_back(self, leases: Collection[Lease]) -> None:
        """End works, and let others have them."""
        if not leases:
            return
        await self._stop([lease.work for lease in leases])
        async with self._store.writing() as transaction:
            for lease in leases:
                await transaction.leases.give_back(lease)
