"""Puts releases on the broker, retained, and again whenever it may have forgotten them.

The broker keeps them only as well as its last save, so that nothing it had before this connection is taken for granted:
a release counts as published until the next start or reconnect, and is then published again before it is needed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from typing import Any

from pawl import topics
from pawl_server.domain.changes import Outgoing
from pawl_server.domain.fleet import Release
from pawl_server.errors import UnknownError
from pawl_server.events import JudgesDisagreed
from pawl_server.judges import DisagreementError
from pawl_server.repository import Repository
from pawl_server.store import Store, Transaction

Publish = Callable[[Outgoing], Awaitable[None]]


class Publisher:
    """Knows what the broker has; `publish` returns when the broker has the message."""

    def __init__(
        self,
        store: Store,
        repository: Repository,
        publish: Publish,
        clock: Callable[[], float],
        *,
        window: int,
    ) -> None:
        self._store = store
        self._repository = repository
        self._publish = publish
        self._clock = clock
        self._window = window
        self._connection = 0
        self._judged: dict[bytes, int] = {}

    def on_reconnected(self) -> None:
        """Let a release that is being published now be published whole again."""
        self._connection += 1

    async def forget(self) -> None:
        """Take nothing on the broker for granted any more."""
        async with self._store.writing() as transaction:
            await transaction.mark_all_unpublished()

    async def restore(self) -> None:
        """Publish what devices are asked to install and the broker may lack."""
        async with self._store.reading() as transaction:
            wanted = await transaction.wanted_releases()
        for digest in wanted:
            await self.publish(digest)

    async def ensure(self, digest: bytes) -> int:
        """Publish a release unless the broker has it; return the version of the anchor under which it was judged.

        Raises:
            UnknownError: it was not imported.
            ManifestError: under the newest anchor it is barred, or not signed well enough.
        """
        if (await self._imported(digest)).published_at_s is None:
            await self.publish(digest)
        version = self._repository.anchor_version
        if self._judged.get(digest) != version:
            await self._open(digest)
        return self._judged[digest]

    async def publish(self, digest: bytes) -> None:
        """Publish all of an imported release; doing it again puts the same there again."""
        await self._imported(digest)
        bundle = await self._open(digest)
        connection = -1
        # A broker that was replaced meanwhile has some parts only.
        while connection != self._connection:
            connection = self._connection
            parts = _parts_of(bundle)
            while window := list(islice(parts, self._window)):
                await asyncio.gather(*[self._publish(part) for part in window])
        async with self._store.writing() as transaction:
            if connection == self._connection:
                await transaction.mark_published(digest, int(self._clock()))

    async def _open(self, digest: bytes) -> Any:
        version = self._repository.anchor_version
        try:
            bundle = await asyncio.to_thread(self._repository.open, digest)
        except DisagreementError as error:
            async with self._store.writing() as transaction:
                transaction.tell(JudgesDisagreed.of(error))
            raise
        self._judged[digest] = version
        return bundle

    async def _imported(self, digest: bytes) -> Release:
        async with self._store.reading() as transaction:
            release = await transaction.release(digest)
        if release is None:
            raise UnknownError(f"no release {digest.hex()} was imported")
        return release


async def is_newest(transaction: Transaction, version: int) -> bool:
    """Return whether no anchor was imported since a release was judged under this one."""
    return await transaction.anchors.newest_version() in {None, version}


def _parts_of(bundle: Any) -> Iterator[Outgoing]:
    """Yield what devices fetch of a release; the envelope last, so that who finds it finds the rest."""
    for content in bundle.contents:
        topic = topics.index(content.digest)
        yield Outgoing(topic=topic, payload=bytes(content.index_bytes), device=None, is_retained=True)
    for digest, variant, number, payload in bundle.blocks():
        topic = topics.block(digest, variant.number, number)
        yield Outgoing(topic=topic, payload=bytes(payload), device=None, is_retained=True)
    topic = topics.release(bundle.envelope.digest)
    yield Outgoing(topic=topic, payload=bundle.wire_envelope(), device=None, is_retained=True)
