"""Puts releases on the broker, retained, and again whenever it may have forgotten them; has them taken back.

The broker keeps them only as well as its last save, so that nothing it had before this connection is taken for granted:
a release counts as published until the next start or reconnect, and is then published again before it is needed. That it
may still have them is never forgotten: `withdrawing` takes them back.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from pawl_server.domain.fleet import Release
from pawl_server.errors import UnknownError
from pawl_server.events import JudgesDisagreed
from pawl_server.faults import UNUSABLE, Faults, Unusable
from pawl_server.judges import DisagreementError
from pawl_server.parts import Publish, parts_of, send
from pawl_server.recoveries import is_recovery
from pawl_server.repository import Repository
from pawl_server.settings import PublishLimits
from pawl_server.store import Store, Transaction
from pawl_server.withdrawing import Withdrawal

__all__ = ["Publish", "Publisher", "is_newest", "is_ready"]


class Publisher:
    """Knows what the broker has; `publish` returns when the broker has the message.

    One release at a time is published or withdrawn: they share blocks.
    """

    def __init__(
        self,
        store: Store,
        repository: Repository,
        publish: Publish,
        clock: Callable[[], float],
        limits: PublishLimits,
    ) -> None:
        self._store = store
        self._repository = repository
        self._publish = publish
        self._clock = clock
        self._window = limits.window
        self._connection = 0
        self._judged: dict[bytes, int] = {}
        self._faults = Faults(clock)
        self._changing = asyncio.Lock()
        self._withdrawal = Withdrawal(store, repository, self._send, clock, limits)

    def on_reconnected(self) -> None:
        """Let a release that is being published now be published whole again."""
        self._connection += 1

    async def forget(self) -> None:
        """Take nothing on the broker for granted any more."""
        async with self._store.writing() as transaction:
            await transaction.retained.mark_all_unpublished()

    async def restore(self) -> dict[bytes, Unusable]:
        """Publish what devices are asked to install and the broker may lack; return what can't be published."""
        async with self._store.reading() as transaction:
            lacking = await transaction.retained.lacking()
        found = {digest: await self.ensure_or_tell(digest) for digest in lacking}
        return {digest: one for digest, one in found.items() if isinstance(one, Unusable)}

    def mended(self, digest: bytes) -> None:
        """Say that a release was imported, maybe again: what was wrong with it may be so no more."""
        self._faults.forget(digest)

    async def ensure_or_tell(self, digest: bytes) -> int | Unusable:
        """Ensure a release, or return what is wrong with it; then it isn't tried again for a while."""
        version = self._repository.anchor_version
        known = self._faults.known(digest, version)
        if known is not None:
            return known
        try:
            return await self.ensure(digest)
        except UNUSABLE as error:
            return self._faults.keep(digest, version, error)

    async def withdraw_unneeded(self) -> None:
        """Take back from the broker what nothing asks for any more."""
        if not await self._withdrawal.is_due():
            return
        async with self._changing:
            connection = self._connection
            # Of this connection: a broker that was replaced meanwhile may have it all again, and is cleared at the next pass.
            self._withdrawal.note(await self._withdrawal.clear(connection), connection)

    async def ensure(self, digest: bytes) -> int:
        """Publish a release unless the broker has it; return the version of the anchor under which it was judged.

        Raises:
            UnknownError: it was not imported.
            ManifestError: under the newest anchor it is barred, or not signed well enough.
        """
        if not await self._is_published(digest):
            async with self._changing:
                if not await self._is_published(digest):
                    await self._put(digest)
        version = self._repository.anchor_version
        if self._judged.get(digest) != version:
            await self.open(digest)
        return self._judged[digest]

    async def publish(self, digest: bytes) -> None:
        """Publish all of an imported release; doing it again puts the same there again."""
        await self._imported(digest)
        async with self._changing:
            await self._put(digest)

    async def open(self, digest: bytes) -> Any:
        """Return the bundle of an imported release that both judges accept now; who watches is told if they disagree."""
        version = self._repository.anchor_version
        try:
            bundle = await asyncio.to_thread(self._repository.open, digest)
        except DisagreementError as error:
            async with self._store.writing() as transaction:
                transaction.tell(JudgesDisagreed.of(error))
            raise
        self._judged[digest] = version
        return bundle

    async def _put(self, digest: bytes) -> None:
        bundle = await self.open(digest)
        async with self._store.writing() as transaction:
            await transaction.retained.begin(digest, is_recovery=is_recovery(bundle))
        self._withdrawal.forget(digest)
        connection = -1
        # A broker that was replaced meanwhile has some parts only.
        while connection != self._connection:
            connection = self._connection
            await self._send(parts_of(bundle))
        async with self._store.writing() as transaction:
            if connection == self._connection:
                await transaction.retained.mark_published(digest, int(self._clock()))

    async def _send(self, messages: Iterable[Any]) -> None:
        await send(messages, self._publish, self._window)

    async def _is_published(self, digest: bytes) -> bool:
        return (await self._imported(digest)).published_at_s is not None

    async def _imported(self, digest: bytes) -> Release:
        async with self._store.reading() as transaction:
            release = await transaction.release(digest)
        if release is None:
            raise UnknownError(f"no release {digest.hex()} was imported")
        return release


async def is_newest(transaction: Transaction, version: int) -> bool:
    """Return whether no anchor was imported since a release was judged under this one."""
    return await transaction.anchors.newest_version() in {None, version}


async def is_ready(transaction: Transaction, digest: bytes, version: int) -> bool:
    """Return whether a release that was ensured may be offered: it is still on the broker, and no anchor was imported."""
    release = await transaction.release(digest)
    is_published = release is not None and release.published_at_s is not None
    return is_published and await is_newest(transaction, version)
