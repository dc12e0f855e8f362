"""The unix board's flash: a file that is written by the rules of NOR, and read through a mapping."""

from pawl.flash import ERASED, check_program
from pawl.ports.unix import layout

_ERASED_SECTOR = bytes((ERASED,)) * layout.ERASE_BYTES


class FileFlash:
    """Flash in a file; `mapped` is a view of the same file, so that images run in place."""

    erased = ERASED
    program_bytes = layout.PROGRAM_BYTES

    def __init__(self, path, mapped):
        self.file = open(path, "r+b")
        self.mapped = memoryview(mapped)

    def view(self, offset, size):
        """Return what is stored, without a copy."""
        return self.mapped[offset : offset + size]

    def sector(self, offset):
        """Return (start, size) of the sector that holds this byte."""
        return offset - offset % layout.ERASE_BYTES, layout.ERASE_BYTES

    def program(self, offset, data):
        """Program whole units; a bit that would rise is our mistake."""
        assert offset % self.program_bytes == 0 and len(data) % self.program_bytes == 0, "not whole units"
        check_program(self.view(offset, len(data)), data)
        self._write(offset, data)

    def erase(self, offset):
        """Erase one sector."""
        assert offset % layout.ERASE_BYTES == 0, "not a sector"
        self._write(offset, _ERASED_SECTOR)

    def _write(self, offset, data):
        self.file.seek(offset)
        self.file.write(data)
        self.file.flush()
