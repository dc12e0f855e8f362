"""What the holders of two leases do: the engine moves rollouts, the sender empties the outbox."""

import asyncio
import logging

from pawl_server.anchor_publishing import AnchorPublisher
from pawl_server.anchors import Anchors
from pawl_server.freshness import FreshnessWatch
from pawl_server.leasing import Begun
from pawl_server.outbox import OutboxSender
from pawl_server.publishing import Publisher
from pawl_server.reconcile import Reconciler
from pawl_server.retention import Retention

_log = logging.getLogger(__name__)


class Engine:
    """Moves rollouts, and looks now and then for what became late or too old."""

    def __init__(
        self,
        publisher: Publisher,
        reconciler: Reconciler,
        freshness: FreshnessWatch,
        retention: Retention,
        *,
        watch_pass_s: float,
    ) -> None:
        self._publisher = publisher
        self._reconciler = reconciler
        self._freshness = freshness
        self._retention = retention
        self._watch_pass_s = watch_pass_s

    async def run(self, begun: Begun) -> None:
        """Work until cancelled."""
        # The broker may be another one than before, or have forgotten what it had.
        await self._publisher.forget()
        begun()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reconciler.run())
            group.create_task(self._watch())
            group.create_task(self._retention.run())

    async def _watch(self) -> None:
        """Look every minute for devices that became late."""
        while True:
            try:
                await self._freshness.look()
            except Exception:  # noqa: BLE001  # whatever it was, what devices proved is still in the database
                _log.exception("late devices were not looked for; again in %g s", self._watch_pass_s)
            await asyncio.sleep(self._watch_pass_s)


class Sender:
    """Sends offers and anchors: those of other processes, too."""

    def __init__(self, anchors: Anchors, anchor_publisher: AnchorPublisher, outbox: OutboxSender) -> None:
        self._anchors = anchors
        self._anchor_publisher = anchor_publisher
        self._outbox = outbox

    async def run(self, begun: Begun) -> None:
        """Work until cancelled."""
        begun()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._anchors.watch(self._anchor_publisher.wake))
            group.create_task(self._anchor_publisher.run())
            group.create_task(self._outbox.run())
