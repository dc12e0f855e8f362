"""What devices said becomes rows and offers: a batch of messages, one transaction.

A bad message is dropped, counted under a name, and never stops the others. The link acknowledges the batch after the
commit, so a batch may come twice: hellos may repeat, a report that comes again is refused as replayed.

    await ingest.take(batch)
"""

import time
from collections.abc import Callable, Iterable

from pawl.errors import PawlError
from pawl_server.batch import Batch, Known, Rules
from pawl_server.domain.clones import REPORT_NUMBER_FORKED
from pawl_server.domain.registration import Registration
from pawl_server.inbound import Kind, RefusedError, read_address, report_digest
from pawl_server.mqtt.inbox import Message
from pawl_server.offering import OfferDesk
from pawl_server.rates import Limits
from pawl_server.store import Store, Transaction


class Ingest:
    """Takes batches from the link; the clock gives seconds since 1970, `ticks` seconds that never go back."""

    def __init__(
        self,
        store: Store,
        desk: OfferDesk,
        clock: Callable[[], float],
        *,
        registration: Registration = Registration.PRE_REGISTERED,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._limits = Limits(ticks)
        self._rules = Rules(desk=desk, limits=self._limits, registration=registration)
        self._clock = clock

    async def take(self, messages: list[Message]) -> None:
        """Store what a batch of messages says and what it leads to, and tell it."""
        now_s = int(self._clock())
        state = self._limits.state_of(_senders(messages))
        try:
            await self._take(messages, now_s)
        except BaseException:
            self._limits.restore(state)  # they come again
            raise

    async def _take(self, messages: list[Message], now_s: int) -> None:
        async with self._store.writing() as transaction:
            batch = Batch(await _known(transaction, messages), self._rules, now_s)
            for message in messages:
                batch.take(message)
            for name in await transaction.reports.forked(batch.doubtful, batch.changes.reports):
                batch.flag(name, REPORT_NUMBER_FORKED)
            await transaction.write(batch.changes, now_s)
            transaction.tell(*batch.events)


async def _known(transaction: Transaction, messages: list[Message]) -> Known:
    names = list(_senders(messages))
    return Known(
        devices=await transaction.devices(names),
        assignments=await transaction.every_assignment(names),
        reports=await transaction.reports.known(names, _report_digests(messages)),
    )


def _report_digests(messages: Iterable[Message]) -> set[bytes]:
    """Return the digests of what may be reports; whether they are is judged when their turn comes."""
    digests = set()
    for message in messages:
        try:
            if read_address(message.topic).kind is Kind.REPORT:
                digests.add(report_digest(message.payload))
        except (RefusedError, PawlError):
            continue
    return digests


def _senders(messages: Iterable[Message]) -> set[str]:
    senders = set()
    for message in messages:
        try:
            senders.add(read_address(message.topic).device)
        except RefusedError:
            continue
    return senders
