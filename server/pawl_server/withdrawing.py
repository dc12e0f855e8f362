"""Takes releases back from the broker when no rollout and no device asks for them any more.

Retained content is cleared by an empty message: first the envelope, then the rest, but for what a release that stays
shares. The release counts as withdrawn only when the broker has had time to save that: one that is killed comes back as
it was saved last. Whatever happens in between, `is_retained` still stands in the database, and all is cleared again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any

from pawl.errors import PawlError
from pawl_server.domain.changes import Outgoing
from pawl_server.parts import clearing, clearings, indexes_of
from pawl_server.repository import Repository
from pawl_server.settings import PublishLimits
from pawl_server.store import Store

_log = logging.getLogger(__name__)

_UNREADABLE_AGAIN_S = 60


class Withdrawal:
    """Finds what is unneeded and clears it; asked by the publisher, while nothing is published."""

    def __init__(
        self,
        store: Store,
        repository: Repository,
        send: Callable[[Iterable[Outgoing]], Awaitable[None]],
        clock: Callable[[], float],
        limits: PublishLimits,
    ) -> None:
        self._store = store
        self._repository = repository
        self._send = send
        self._clock = clock
        self._limits = limits
        self._cleared: dict[bytes, tuple[int, float]] = {}  # on which connection, and when
        self._unreadable: dict[bytes, float] = {}  # until when it isn't tried again
        self._indexes: dict[bytes, frozenset[bytes]] = {}

    def forget(self, digest: bytes) -> None:
        """Say that a release was published again."""
        self._cleared.pop(digest, None)

    def note(self, cleared: Collection[bytes], connection: int) -> None:
        """Say that the broker of this connection has nothing of these any more."""
        now_s = self._clock()
        self._cleared |= dict.fromkeys(cleared, (connection, now_s))

    async def is_due(self) -> bool:
        """Return whether the broker may have anything that nothing asks for."""
        async with self._store.reading() as transaction:
            return bool(await transaction.retained.unneeded(self._published_before_s()))

    async def clear(self, connection: int) -> list[bytes]:
        """Clear every unneeded release that wasn't on this connection; return those that were cleared now."""
        began_s = int(self._clock())
        unneeded, others = await self._begin(connection)
        kept = await self._kept(others)
        if kept is None:
            return []
        cleared = [digest for digest in unneeded if await self._clear(digest, kept)]
        if cleared:
            # Another process may have published meanwhile what shares blocks with these: it is published once more.
            async with self._store.writing() as transaction:
                await transaction.retained.mark_unpublished_since(began_s)
        return cleared

    async def _begin(self, connection: int) -> tuple[list[bytes], set[bytes]]:
        """Return what has to be cleared, and what stays on the broker; take back the marks of what is gone for sure."""
        async with self._store.writing() as transaction:
            unneeded = await transaction.retained.unneeded(self._published_before_s())
            found = sorted(digest for digest in unneeded if self._is_uncleared(digest, connection))
            for digest in found:
                # Who needs it from here on publishes it again.
                await transaction.retained.mark_unpublished(digest)
            for digest in unneeded - set(found):
                if self._is_settled(digest):
                    await transaction.retained.mark_withdrawn(digest)
            return found, await transaction.retained.all() - unneeded

    def _is_uncleared(self, digest: bytes, connection: int) -> bool:
        return self._cleared.get(digest, (-1, 0.0))[0] != connection

    def _is_settled(self, digest: bytes) -> bool:
        return self._clock() - self._cleared[digest][1] >= self._limits.settle_s

    async def _kept(self, others: Iterable[bytes]) -> set[bytes] | None:
        """Return the indexes of what stays; None if one of those can't be read: nothing of it must be cleared."""
        kept: set[bytes] = set()
        for digest in others:
            if digest not in self._indexes:
                bundle = await self._read(digest)
                if bundle is None:
                    return None
                self._indexes[digest] = indexes_of(bundle)
            kept |= self._indexes[digest]
        return kept

    async def _clear(self, digest: bytes, kept: Collection[bytes]) -> bool:
        bundle = await self._read(digest)
        if bundle is None:
            return False
        await self._send([clearing(bundle)])
        await self._send(clearings(bundle, kept))
        return True

    async def _read(self, digest: bytes) -> Any:
        """Return an imported bundle as it was published, or None if its file doesn't say what that was."""
        if self._clock() < self._unreadable.get(digest, 0):
            return None
        try:
            return await asyncio.to_thread(self._repository.unjudged, digest)
        except (PawlError, OSError) as error:
            self._unreadable[digest] = self._clock() + _UNREADABLE_AGAIN_S
            _log.warning(
                "release %s can't be read, so what lies on the broker stays there: %s; import it again",
                digest.hex(),
                error,
            )
            return None

    def _published_before_s(self) -> int:
        return int(self._clock()) - self._limits.grace_s
