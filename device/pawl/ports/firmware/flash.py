"""The data flash of a board with our firmware: programmed and erased by the firmware's driver, read in place."""

import _board
import layout

from pawl import codes
from pawl.errors import StorageError


class BoardFlash:
    """Flash as `pawl.flash` wants it; what the controller reports as a fault is a StorageError."""

    erased = layout.ERASED
    program_bytes = layout.PROGRAM_BYTES

    def __init__(self):
        self._content = _board.flash_view()

    def view(self, offset, size):
        """Return what is stored, without a copy."""
        return self._content[offset : offset + size]

    def sector(self, offset):
        """Return (start, size) of the sector that holds this byte."""
        return offset - offset % layout.ERASE_BYTES, layout.ERASE_BYTES

    def program(self, offset, data):
        """Program whole units; a bit that would rise is our mistake, and a ValueError."""
        try:
            _board.flash_program(offset, data)
        except OSError as error:
            raise _fault("program", offset, error)

    def erase(self, offset):
        """Erase one sector."""
        try:
            _board.flash_erase(offset)
        except OSError as error:
            raise _fault("erase", offset, error)


def _fault(verb, offset, error):
    words = "the flash controller reports a fault: %s at 0x%x (%s)" % (verb, offset, error)
    return StorageError(codes.REASON_FLASH_READ_BACK, words)
