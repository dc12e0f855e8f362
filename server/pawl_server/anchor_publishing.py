"""Puts the trust anchor documents on the broker, retained: before any offer names them, and again after each reconnect.

An offer that names an anchor that no device can fetch would stop every device: so who sends offers asks `ensure` first.
"""

import asyncio
import logging

from pawl import topics
from pawl_server.domain.changes import Outgoing
from pawl_server.publishing import Publish
from pawl_server.trust_chain import TrustChain

_log = logging.getLogger(__name__)


class AnchorPublisher:
    """Puts every trust anchor document on the broker, retained: devices walk from theirs. None is ever withdrawn."""

    def __init__(self, chain: TrustChain, publish: Publish, *, retry_s: float) -> None:
        self._chain = chain
        self._publish = publish
        self._retry_s = retry_s
        self._published: set[int] = set()
        self._publishing = asyncio.Lock()
        self._has_news = asyncio.Event()
        self._has_news.set()

    def wake(self) -> None:
        """Say that an anchor was imported."""
        self._has_news.set()

    def on_reconnected(self) -> None:
        """Take nothing on the broker for granted any more."""
        self._published = set()
        self.wake()

    async def ensure(self) -> None:
        """Return when the broker has every anchor; asked before each offer is sent, as it may name any of them."""
        async with self._publishing:
            while missing := self._missing():
                for version, file in missing:
                    await self._put(version, file)

    async def run(self) -> None:
        """Publish until cancelled: at start, after an import, after a reconnect."""
        while True:
            await self._has_news.wait()
            self._has_news.clear()
            try:
                await self.ensure()
            except Exception:  # noqa: BLE001  # whatever it was, the files are still there
                _log.exception("the trust anchors were not published; again in %g s", self._retry_s)
                await asyncio.sleep(self._retry_s)
                self._has_news.set()

    def _missing(self) -> list[tuple[int, bytes]]:
        references = self._chain.references
        chain = [(one.version, file) for one, file in zip(references, self._chain.files, strict=True)]
        return [(version, file) for version, file in chain if version not in self._published]

    async def _put(self, version: int, file: bytes) -> None:
        published = self._published
        await self._publish(
            Outgoing(topic=topics.anchor(version), payload=file, device=None, is_retained=True)
        )
        published.add(version)  # of the connection on which it began: a reconnect has made another set
