"""Trust anchor documents in the database: read at start, extended by import, and what an import leads to.

A release that the new anchor bars, or that is not signed well enough under it, is offered no more: the open assignments of
it fail with that reason, in the transaction that adds the anchor.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from pawl import codes
from pawl.errors import ManifestError
from pawl_server.configuration import ConfigurationError
from pawl_server.domain import director
from pawl_server.events import AnchorImported
from pawl_server.failing import take_back
from pawl_server.judges import DisagreementError
from pawl_server.offering import OfferDesk
from pawl_server.repository import Repository
from pawl_server.store import Store, Transaction
from pawl_server.store.anchors import StoredAnchor
from pawl_server.trust_chain import TrustChain

POLL_S = 1.0


class Anchors:
    """Keeps chain and database together; what judges releases follows the newest anchor."""

    def __init__(
        self,
        store: Store,
        chain: TrustChain,
        repository: Repository,
        desk: OfferDesk,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._chain = chain
        self._repository = repository
        self._desk = desk
        self._clock = clock
        self._importing = asyncio.Lock()
        self._following = asyncio.Lock()

    async def open(self) -> None:
        """Read the chain, every step judged again; the configured anchor begins it.

        Raises:
            ConfigurationError: the database has another chain.
            TrustError, DirectorKeyError: a step doesn't hold, or the newest names none of our keys.
        """
        async with self._store.writing() as transaction:
            stored = await transaction.anchors.all()
            if not stored:
                await transaction.anchors.add(self._row(self._chain.newest, self._chain.files[0]))
        if stored and stored[0].digest != bytes(self._chain.newest.digest):
            raise ConfigurationError(
                "`trust` names another anchor than the one that this server began with: put that file back, and import "
                "newer ones with `pawl server anchors add`"
            )
        for anchor in stored[1:]:
            self._chain.read_again(anchor.file)
        self._chain.signer  # noqa: B018  # says now if there is no key
        self._repository.follow(self._chain.files[-1])
        self._store.before_writing(self.follow)

    async def refresh(self) -> None:
        """Go by what another process imported, if anything."""
        async with self._store.reading() as transaction:
            await self.follow(transaction)

    async def watch(self, on_news: Callable[[], None]) -> None:
        """Look for anchors that another process imported, until cancelled; the first look is news in any case."""
        told = 0
        while True:
            await self.refresh()
            # Any transaction may have seen them first.
            if told != self._chain.newest.version:
                told = self._chain.newest.version
                on_news()
            await asyncio.sleep(POLL_S)

    async def follow(self, transaction: Transaction) -> None:
        """Go by the newest anchor that this transaction sees, so that what it offers names that one.

        Asked at the beginning of every transaction that writes: anchors are imported by one process, and offers are made by
        all.
        """
        async with self._following:
            known = self._chain.newest.version
            if await transaction.anchors.newest_version() in {None, known}:
                return
            for anchor in await transaction.anchors.all():
                if anchor.version > self._chain.newest.version:
                    self._chain.read_again(anchor.file)
            self._repository.follow(self._chain.files[-1])

    async def all(self) -> list[StoredAnchor]:
        """Return the chain, the oldest first."""
        async with self._store.reading() as transaction:
            return await transaction.anchors.all()

    async def add(self, file: bytes) -> None:
        """Import the anchor that follows the newest; one that is known changes nothing.

        Raises:
            TrustError, DirectorKeyError: it may not follow; nothing was changed.
        """
        async with self._importing:
            if file in self._chain.files:
                return
            anchor = self._chain.judge(file)
            reasons: dict[bytes, int] = {}
            await self._judge_open_releases(file, reasons)
            while not await self._write(anchor, file, reasons):
                await self._judge_open_releases(file, reasons)
            # Some transaction may have seen it already.
            await self.refresh()

    async def _judge_open_releases(self, file: bytes, reasons: dict[bytes, int]) -> None:
        """Add what the anchor says of each release that devices are asked to install; 0 is that it may be."""
        async with self._store.reading() as transaction:
            wanted = {one.release for one in await transaction.open_assignments()}
        for release in wanted - reasons.keys():
            reasons[release] = await asyncio.to_thread(self._reason_under, file, release)

    def _reason_under(self, file: bytes, release: bytes) -> int:
        try:
            self._repository.under(file).open(release)
        except ManifestError as error:
            return int(error.code)
        except DisagreementError:  # the case was kept, and an error logged
            return int(codes.REASON_UNAUTHORISED)
        except FileNotFoundError:
            return 0  # who publishes it says so
        return 0

    async def _write(self, anchor: Any, file: bytes, reasons: dict[bytes, int]) -> bool:
        """Add the anchor and fail what it stops; False, and nothing was done, if a release was assigned that wasn't judged."""
        async with self._store.writing() as transaction:
            wanted = await transaction.open_assignments()
            if any(one.release not in reasons for one in wanted):
                return False
            await transaction.anchors.add(self._row(anchor, file))
            transaction.tell(AnchorImported(version=anchor.version))
            stopped = [one for one in wanted if reasons[one.release]]
            failed = [director.fail(one, reasons[one.release]) for one in stopped]
            await take_back(transaction, self._desk, failed, int(self._clock()))
        return True

    def _row(self, anchor: Any, file: bytes) -> StoredAnchor:
        return StoredAnchor(
            version=anchor.version,
            digest=bytes(anchor.digest),
            file=file,
            imported_at_s=int(self._clock()),
        )
