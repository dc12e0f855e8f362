"""Sends what the database says must be sent, until the broker has it; started again, it goes on.

At least once: a kill between acknowledgement and mark sends a message twice, which offers and retained content bear.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from pawl_server.domain.changes import Outgoing
from pawl_server.events import OfferSent
from pawl_server.store import Queued, Store

_log = logging.getLogger(__name__)

POLL_S = 1.0

Publish = Callable[[Outgoing], Awaitable[None]]


class OutboxSender:
    """The one task that empties the outbox; `publish` returns when the broker has the message.

    `prepare` returns when the broker has what the messages speak of.
    """

    def __init__(
        self,
        store: Store,
        publish: Publish,
        *,
        retry_s: float,
        poll_s: float = POLL_S,
        prepare: Callable[[], Awaitable[None]],
    ) -> None:
        self._prepare = prepare
        self._store = store
        self._publish = publish
        self._retry_s = retry_s
        self._poll_s = poll_s
        self._has_unsent = asyncio.Event()
        self._has_unsent.set()  # what the last run left

    def wake(self) -> None:
        """Say that something was put into the outbox."""
        self._has_unsent.set()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            with suppress(TimeoutError):  # what another process put there is found by looking
                await asyncio.wait_for(self._has_unsent.wait(), self._poll_s)
            self._has_unsent.clear()
            try:
                await self._send_all()
            except Exception:  # noqa: BLE001  # whatever it was, the rows are still there
                _log.exception("the outbox was not sent; again in %g s", self._retry_s)
                await asyncio.sleep(self._retry_s)
                self._has_unsent.set()

    async def _send_all(self) -> None:
        while queued := await self._unsent():
            await self._prepare()
            await self._send(queued)

    async def _unsent(self) -> list[Queued]:
        async with self._store.reading() as transaction:
            return await transaction.unsent()

    async def _send(self, queued: list[Queued]) -> None:
        """Publish in order and forget what the broker has; the first failure is raised when that is done."""
        attempts = [self._publish(one.message) for one in queued]
        results = await asyncio.gather(*attempts, return_exceptions=True)
        sent = [one for one, result in zip(queued, results, strict=True) if result is None]
        async with self._store.writing() as transaction:
            await transaction.mark_sent([one.id for one in sent])
            transaction.tell(*[OfferSent(device=one.message.device) for one in sent if one.message.device])
        for result in results:
            if result is not None:
                raise result
