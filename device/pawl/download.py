"""The blocks of one image on their way into a slot: each is checked before it reaches it, and fetched once.

A download that was cut goes on where it stopped, because what is in the slot is compared with the index, not with
notes about it.
"""

from pawl import codes, index, topics
from pawl.session import WINDOW


class Download:
    """One image of a manifest, for one slot; `note_block()` is called for each block that was written."""

    def __init__(self, slot, image, note_block):
        self.note_block = note_block
        self.slot = slot
        self.image = image
        self.region = slot.region(image.component)
        self.digest = index.digest_of(image.uri)

    async def fetch(self, session, report_progress, done, total):
        """Fetch the index, then what the slot lacks; `done` of `total` blocks were there before."""
        raw = await session.fetch_one(topics.index(self.digest), codes.INDEX_MAX_BYTES)
        listing = index.read(raw, self.image.uri, self.image.size)
        missing = self._make_room(listing)
        done += listing.blocks - len(missing)
        for at in range(0, len(missing), WINDOW):
            report_progress(done + at, total)
            await session.fetch(
                [
                    (topics.block(self.digest, listing.best.number, number), self._writer(listing, number))
                    for number in missing[at : at + WINDOW]
                ]
            )

    def _make_room(self, listing):
        """Return the numbers of the blocks that the slot lacks, once the sectors that several blocks share have room for them.

        Such a sector is erased unless it holds a block already and has room for the others: then it was erased as a whole.
        """
        region = self.region
        missing = self._missing(listing)
        places = [number * codes.BLOCK_BYTES for number in missing]
        shared = [place for place in places if region.is_shared(place, codes.BLOCK_BYTES)]
        if not shared:
            return missing
        held = [
            region.sector(number * codes.BLOCK_BYTES)
            for number in range(listing.blocks)
            if number not in missing
        ]
        for place in shared:
            sector = region.sector(place)
            size = listing.block_size(place // codes.BLOCK_BYTES)
            if sector not in held or not region.is_erased(place, size):
                region.erase(place, size)
                held.append(sector)
        return self._missing(listing)  # of a sector that had to be erased, others may be gone

    def _missing(self, listing):
        return [number for number in range(listing.blocks) if not self._has(listing, number)]

    def _has(self, listing, number):
        stored = self.region.view(number * codes.BLOCK_BYTES, listing.block_size(number))
        return listing.is_block(number, stored)

    def _writer(self, listing, number):
        def write(payload):
            block = listing.decode(listing.best, number, payload)
            self.slot.write_block(number * codes.BLOCK_BYTES, block, self.image.component)
            self.note_block()

        return write
