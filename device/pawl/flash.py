"""Flash as the device sees it: NOR rules, bounded regions, and every write read back.

A `Flash` of a port has `program_bytes` (the unit, 1 to 32 bytes), `erased` (what erased bytes read: 0xFF, on some parts
0x00) and four methods:

    view(offset, size) -> memoryview of what is stored, without a copy
    sector(offset) -> (start, size) of the sector that holds this byte: sizes may differ
    program(offset, data)           data is whole program units; bits only leave the erased value
    erase(offset)                   the one sector that begins there

A `Region` is the only way the rest of the package touches it.
"""

from pawl import codes
from pawl.compat import const
from pawl.errors import StorageError

ERASED = const(0xFF)
_CHUNK = const(256)
_RISEN = b"\xff" * _CHUNK  # once for all regions
_FALLEN = bytes(_CHUNK)


def check_program(old, new):
    """Assert the one rule of NOR flash: programming only lets bits fall, and only whole buffers of equal size."""
    assert len(old) == len(new), "program of another size"
    for at in range(0, len(new), _CHUNK):
        wanted = int.from_bytes(new[at : at + _CHUNK], "big")
        kept = wanted & int.from_bytes(old[at : at + _CHUNK], "big")
        assert kept == wanted, "a bit would have to rise: erase first"


class MemoryFlash:
    """NOR flash in a bytearray: what a flash image is made in on a host, and what tests run on."""

    erased = ERASED

    def __init__(self, size, erase_bytes=4096, program_bytes=32):
        self.erase_bytes = erase_bytes
        self.program_bytes = program_bytes
        self.store = bytearray(size)
        for offset in range(0, size, erase_bytes):
            self.erase(offset)

    def view(self, offset, size):
        """Return a view of the stored bytes."""
        return memoryview(self.store)[offset : offset + size]

    def sector(self, offset):
        """Return (start, size) of the sector that holds this byte."""
        return offset - offset % self.erase_bytes, self.erase_bytes

    def program(self, offset, data):
        """Program whole units under the NOR rule."""
        assert offset % self.program_bytes == 0 and len(data) % self.program_bytes == 0, "not whole units"
        check_program(self.view(offset, len(data)), data)
        self.store[offset : offset + len(data)] = data

    def erase(self, offset):
        """Erase the sector that begins at `offset`."""
        assert offset % self.erase_bytes == 0, "not a sector"
        self.store[offset : offset + self.erase_bytes] = b"\xff" * self.erase_bytes


class Region:
    """A run of whole sectors; raises StorageError for anything outside it or not kept.

    `before_erase()` is called for each sector: one may take seconds, and how many there are is bounded by the memory map only.
    """

    def __init__(self, flash, start, size, before_erase=None):
        self.flash = flash
        self.start = start
        self.size = size
        self._before_erase = before_erase
        self._erased = _FALLEN if flash.erased == 0 else _RISEN

    def _check(self, offset, size):
        if offset < 0 or size < 0 or offset + size > self.size:
            raise StorageError(codes.REASON_FLASH_RANGE, "outside the region")

    def view(self, offset, size):
        """Return the stored bytes as a view: valid until they are written."""
        self._check(offset, size)
        return self.flash.view(self.start + offset, size)

    def is_erased(self, offset, size):
        """Return whether every byte reads as erased."""
        view = self.view(offset, size)
        for at in range(0, size, _CHUNK):
            part = view[at : at + _CHUNK]
            if part != self._erased[: len(part)]:
                return False
        return True

    def program(self, offset, data):
        """Program erased bytes, padded to whole units with the erased value, and read them back.

        Begins at the first unit that isn't the erased value: a unit that was programmed and reads as erased would be
        programmed a second time after a cut, which flash with ECC doesn't allow.
        """
        unit = self.flash.program_bytes
        if len(data) % unit:
            data = bytes(data) + self._erased[: -len(data) % unit]
        self._check(offset, len(data))
        if not self.is_erased(offset, len(data)):
            raise StorageError(codes.REASON_FLASH_PROGRAM, "the bytes are not erased")
        first = 0
        while first < len(data) and data[first : first + unit] == self._erased[:unit]:
            first += unit
        if first < len(data):
            self.flash.program(self.start + offset + first, memoryview(data)[first:])
        if self.view(offset, len(data)) != data:
            raise StorageError(codes.REASON_FLASH_READ_BACK, "flash did not keep what was programmed")

    def erase(self, offset=0, size=None):
        """Erase the sectors that hold a span (the whole region by default) and check that they are."""
        size = self.size - offset if size is None else size
        self._check(offset, size)
        at = self.start + offset
        while at < self.start + offset + size:
            start, length = self.flash.sector(at)
            self._check(start - self.start, length)
            if self._before_erase is not None:
                self._before_erase()
            self.flash.erase(start)
            if not self.is_erased(start - self.start, length):
                raise StorageError(codes.REASON_FLASH_READ_BACK, "flash did not erase")
            at = start + length

    def sector(self, offset):
        """Return (start, size) of the sector that holds this byte; the start is the flash's, not the region's."""
        return self.flash.sector(self.start + offset)

    def is_shared(self, offset, size):
        """Return whether the sector that holds the begin of this span holds more than it."""
        start, length = self.sector(offset)
        return start != self.start + offset or length > size
