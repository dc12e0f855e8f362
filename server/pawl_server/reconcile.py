"""Carries out what rollouts want: reads how far they are, asks `domain.rollout.step`, writes what it says.

What is wanted is in the database alone, and each pass begins from there. So a server may be killed at any point: the
next one goes on, and what was done already isn't done again.
"""

import asyncio
import logging

from pawl.errors import PawlError
from pawl_server.carrying import Carrier
from pawl_server.domain.rollout import Ask, Rollout
from pawl_server.judges import DisagreementError
from pawl_server.publishing import Publisher, is_newest
from pawl_server.store import Store

_log = logging.getLogger(__name__)

_UNUSABLE_RELEASE = (PawlError, DisagreementError, FileNotFoundError)


class Reconciler:
    """The one task that moves rollouts."""

    def __init__(
        self,
        store: Store,
        carrier: Carrier,
        publisher: Publisher,
        *,
        pass_s: float,
    ) -> None:
        self._store = store
        self._carrier = carrier
        self._publisher = publisher
        self._pass_s = pass_s
        self._has_news = asyncio.Event()
        self._reconnects = 0
        self._reconnects_served = 0

    def wake(self) -> None:
        """Say that a rollout or a device has changed."""
        self._has_news.set()

    def on_reconnected(self) -> None:
        """Say that the broker may have forgotten what it kept."""
        self._reconnects += 1
        self._publisher.on_reconnected()
        self.wake()

    async def run(self) -> None:
        """Reconcile until cancelled: at news, and every `pass_s` in case some were missed."""
        while True:
            self._has_news.clear()
            try:
                await self.reconcile()
            except Exception:  # noqa: BLE001  # whatever it was, what is wanted is still in the database
                _log.exception("rollouts were not reconciled; again in %g s", self._pass_s)
            try:
                await asyncio.wait_for(self._has_news.wait(), self._pass_s)
            except TimeoutError:
                continue

    async def reconcile(self) -> None:
        """Do what every rollout wants now."""
        reconnects = self._reconnects
        if reconnects != self._reconnects_served:
            await self._publisher.forget()
            self._reconnects_served = reconnects
        await self._publisher.restore()
        async with self._store.reading() as transaction:
            found = await transaction.rollouts.with_work()
        for one in found:
            while await self._advance(one.id):
                pass
        await self._publisher.withdraw_unneeded()

    async def _advance(self, number: int) -> bool:
        """Do one step of a rollout; return whether there was anything to do."""
        async with self._store.reading() as transaction:
            wanted, actions = await self._carrier.read(transaction, number)
        judged: int | None = None
        if any(isinstance(action, Ask) for action in actions):
            judged = await self._publish(wanted)
            if judged is None:
                return True
        async with self._store.writing() as transaction:
            # What was read is old by now: an operator may have paused it while its release was being published.
            current, actions = await self._carrier.read(transaction, number)
            if judged is not None and not await is_newest(transaction, judged):
                return True
            for action in actions:
                await self._carrier.carry_out(transaction, current, action)
        return bool(actions)

    async def _publish(self, wanted: Rollout) -> int | None:
        """Publish a release before the first device is asked for it, and return the anchor's version that judged it.

        One that can't be read, or that the newest anchor refuses, pauses the rollout: None.
        """
        try:
            return await self._publisher.ensure(wanted.release)
        except _UNUSABLE_RELEASE as error:
            async with self._store.writing() as transaction:
                await self._carrier.stop(transaction, wanted.id, f"the release can't be published: {error}")
            return None
