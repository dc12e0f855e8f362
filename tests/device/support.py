"""What device tests share: plain code that runs on both interpreters."""

from pawl.clock import Clock
from pawl.errors import PawlError
from pawl.flash import MemoryFlash, Region


def refused(function, *arguments):
    """Return the reason code with which a call is refused, or None if it isn't."""
    try:
        function(*arguments)
    except PawlError as error:
        return error.code
    return None


class Ticks:
    """Ticks that a test moves."""

    def __init__(self):
        self.now_ms = 0

    def ticks_ms(self):
        """Return the test's time."""
        return self.now_ms

    def ticks_diff(self, one, other):
        """Subtract."""
        return one - other


def new_region(sectors=2):
    """Return an erased region."""
    return Region(MemoryFlash(sectors * 4096), 0, sectors * 4096)


def new_clock():
    """Return a clock that never ran; its `port` is moved by the test."""
    return Clock(new_region(), Ticks())
