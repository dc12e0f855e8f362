"""The blocks of one image on their way into a slot: each is checked before it reaches it, and fetched once.

A download that was cut goes on where it stopped, because what is in the slot is compared with the index, not with
notes about it.
"""

from pawl import codes, index, topics
from pawl.errors import StorageError
from pawl.session import WINDOW

_NOT_KEPT = (codes.REASON_FLASH_PROGRAM, codes.REASON_FLASH_READ_BACK)


class Download:
    """One image of a manifest, for one slot; `note_block()` is called for each block that was written."""

    def __init__(self, slot, image, note_block):
        self.note_block = note_block
        self.slot = slot
        self.image = image
        self.region = slot.region(image.component)
        self.digest = index.digest_of(image.uri)
        self._room = None

    async def fetch(self, session, report_progress, done, total):
        """Fetch the index, then what the slot lacks; `done` of `total` blocks were there before.

        What flash doesn't keep is fetched once more, into sectors that are erased whatever they read: a cut may have left
        them such that they read otherwise each time.
        """
        raw = await session.fetch_one(topics.index(self.digest), codes.INDEX_MAX_BYTES)
        listing = index.read(raw, self.image.uri, self.image.size)
        self._make_inflate_room(listing)
        try:
            await self._fetch(session, listing, self._make_room(listing), report_progress, done, total)
            if not self._missing(listing):
                return
        except StorageError as error:
            if error.code not in _NOT_KEPT:
                raise
        self.slot.forget_room()
        await self._fetch(session, listing, self._make_room(listing), report_progress, done, total)

    def _make_inflate_room(self, listing):
        """Take the memory to inflate blocks in once; where there is none, they are fetched as they are."""
        try:
            self._room = bytearray(index.INFLATE_BYTES)
        except MemoryError:
            listing.best = listing.plain

    async def _fetch(self, session, listing, missing, report_progress, done, total):
        done += listing.blocks - len(missing)
        for at in range(0, len(missing), WINDOW):
            report_progress(done + at, total)
            await self._fetch_window(session, listing, missing[at : at + WINDOW])

    async def _fetch_window(self, session, listing, numbers):
        """Fetch these blocks; where memory runs out, these and all that follow as they are: that takes less."""
        while True:
            variant = listing.best.number
            wanted = [
                (topics.block(self.digest, variant, number), self._writer(listing, number))
                for number in numbers
            ]
            try:
                return await session.fetch(wanted)
            except StorageError as error:
                if error.code != codes.REASON_OUT_OF_MEMORY or listing.best is listing.plain:
                    raise
            except MemoryError:
                if listing.best is listing.plain:
                    raise
            listing.best = listing.plain
            self._room = None

    def _make_room(self, listing):
        """Return the numbers of the blocks that the slot lacks, once the sectors that they share with others are erased."""
        missing = self._missing(listing)
        places = [number * codes.BLOCK_BYTES for number in missing]
        shared = [place for place in places if self.region.is_shared(place, codes.BLOCK_BYTES)]
        for place in shared:
            self.slot.make_room(place, self.image.component)
        return self._missing(listing) if shared else missing

    def _missing(self, listing):
        return [number for number in range(listing.blocks) if not self._has(listing, number)]

    def _has(self, listing, number):
        stored = self.region.view(number * codes.BLOCK_BYTES, listing.block_size(number))
        return listing.is_block(number, stored)

    def _writer(self, listing, number):
        def write(payload):
            block = listing.decode(listing.best, number, payload, self._room)
            self.slot.write_block(number * codes.BLOCK_BYTES, block, self.image.component)
            self.note_block()

        return write
