"""What provisioning over a line writes into an erased flash: in which order, and what it takes for complete.

`identity_b` is taken after everything else, `identity_a` never: when the digest fits, it becomes a copy of `identity_b`.
"""

import hashlib

from pawl import codes, identity
from pawl.compat import const
from pawl.errors import StorageError

OFFSET_BYTES = const(4)
_PART = const(1024)


class Writing:
    """One run over an erased flash, from the first span to the digest: spans rise, those of `identity_b` come last."""

    def __init__(self, storage):
        self.regions = storage.regions
        self._sha256 = hashlib.sha256()
        self._last = None
        self._is_last_region = False
        self._end = 0
        self._sector = None

    def write(self, payload):
        """Program one span, its offset before its bytes; the last one again is no fault: its answer was lost."""
        offset = int.from_bytes(payload[:OFFSET_BYTES], "big")
        data = payload[OFFSET_BYTES:]
        name, region = self._region(offset, len(data))
        at = offset - region.start
        if offset == self._last and region.view(at, len(data)) == data:
            return
        self._require_order(offset, len(data), name == "identity_b")
        self._clear(region, at, len(data))
        region.program(at, data)
        self._sha256.update(payload)
        self._last = offset

    def _region(self, offset, size):
        unit = self.regions["identity_a"].flash.program_bytes
        for name in self.regions:
            region = self.regions[name]
            if region.start <= offset and offset + size <= region.start + region.size:
                if name == "identity_a":
                    raise StorageError(codes.REASON_FLASH_RANGE, "identity_a is written by the board alone")
                if size == 0 or size % unit or offset % unit:
                    break
                return name, region
        raise StorageError(
            codes.REASON_FLASH_RANGE, "0x%x: %d bytes fit no region of this board" % (offset, size)
        )

    def _require_order(self, offset, size, is_last_region):
        if is_last_region and not self._is_last_region:
            self._is_last_region = True
            self._end = 0
        if offset < self._end or is_last_region != self._is_last_region:
            raise StorageError(codes.REASON_FLASH_RANGE, "0x%x: out of order" % offset)
        self._end = offset + size

    def _clear(self, region, at, size):
        """Erase each sector before its first byte, also if it reads as erased: what a cut left may read otherwise later."""
        end = at + size
        while at < end:
            start, length = region.sector(at)
            if start != self._sector:
                region.erase(at, 1)
                self._sector = start
            at = start - region.start + length

    def complete(self, digest, feed):
        """Make the board what was written; StorageError unless it is what was meant, with an identity that is whole."""
        if self._sha256.digest() != bytes(digest):
            raise StorageError(codes.REASON_FLASH_READ_BACK, "the digest is not that of what was written")
        source, target = self.regions["identity_b"], self.regions["identity_a"]
        identity.load([source])
        target.erase()
        for at in range(0, source.size, _PART):
            feed()
            # A copy in memory: flash that is being programmed can't be read.
            target.program(at, bytes(source.view(at, min(_PART, source.size - at))))
