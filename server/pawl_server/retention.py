"""Keeps the database from growing for ever: every hour, what is more or older than is kept is deleted.

In small batches with pauses between them, so that updates never wait for it. Deletes nothing that anything is decided by.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from pawl_server.settings import RetentionSettings
from pawl_server.store import Store
from pawl_server.store.retention import BATCH_ROWS, Excess, RetentionRows

_log = logging.getLogger(__name__)

PAUSE_S = 0.05

_Find = Callable[[RetentionRows, int, str], Awaitable[Excess]]
_Forget = Callable[[RetentionRows, list[int]], Awaitable[None]]
_ForgetOld = Callable[[RetentionRows, int], Awaitable[int]]


class Retention:
    """One pass after the other, until cancelled; the clock gives seconds since 1970."""

    def __init__(self, store: Store, clock: Callable[[], float], kept: RetentionSettings) -> None:
        self._store = store
        self._clock = clock
        self._kept = kept

    async def run(self) -> None:
        """Look again and again."""
        while True:
            try:
                await self.look()
            except Exception:  # noqa: BLE001  # whatever it was, the next pass finds the same rows
                _log.exception("old rows were not deleted; again in %g s", self._kept.pass_s)
            await asyncio.sleep(self._kept.pass_s)

    async def look(self) -> None:
        """Delete what is too much now."""
        kept, now_s = self._kept, int(self._clock())
        await self._prune(
            kept.history_rows_per_device, RetentionRows.excess_history, RetentionRows.forget_history
        )
        await self._prune(kept.reports_per_device, RetentionRows.excess_reports, RetentionRows.forget_reports)
        await self._prune_events()
        await self._forget(now_s - kept.answers_kept_s, RetentionRows.forget_answers)
        await self._forget(now_s - kept.candidates_kept_s, RetentionRows.forget_candidates)

    async def _prune(self, kept: int, find: _Find, forget: _Forget) -> None:
        after: str | None = ""
        while after is not None:
            async with self._store.reading() as transaction:
                excess = await find(transaction.retention, kept, after)
            await self._delete(excess.ids, forget)
            after = excess.after

    async def _prune_events(self) -> None:
        while True:
            async with self._store.reading() as transaction:
                ids = await transaction.retention.excess_events(self._kept.events_kept)
            if not ids:
                return
            await self._delete(ids, RetentionRows.forget_events)

    async def _delete(self, ids: list[int], forget: _Forget) -> None:
        if ids:
            async with self._store.writing() as transaction:
                await forget(transaction.retention, ids)
        await asyncio.sleep(PAUSE_S if ids else 0)

    async def _forget(self, before_s: int, forget: _ForgetOld) -> None:
        is_more = True
        while is_more:
            async with self._store.writing() as transaction:
                is_more = await forget(transaction.retention, before_s) == BATCH_ROWS
            await asyncio.sleep(PAUSE_S if is_more else 0)
