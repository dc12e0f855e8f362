"""First code of a board under test, in the agent's place: what `_board` promises, one step per start, told on the console.

The step is the byte at the start of the data flash: each one clears its next bit there, and ends in another kind of reset.
"""

import os
import sys

import _board
import layout
import uctypes
from _pawl_native import verify

NOWHERE = 0xF0000000  # neither memory nor a device, on any of these boards


def refuses(kind, call, *args):
    """Require an exception."""
    try:
        call(*args)
    except kind:
        return
    raise SystemExit(f"not refused: {call!r} {args!r}")


def check_flash():
    """Whole units, whole sectors, bits that only fall, a view that is read only."""
    view, sector = _board.flash_view(), layout.ERASE_BYTES
    _board.flash_program(sector, bytes(range(64)))
    _board.flash_program(2 * sector - 32, bytes(64))  # over the border of two sectors
    refuses(ValueError, _board.flash_program, sector, b"\xff" * 32)
    refuses(ValueError, _board.flash_program, sector + 1, bytes(32))
    refuses(ValueError, _board.flash_program, sector, bytes(31))
    refuses(ValueError, _board.flash_program, layout.FLASH_BYTES, bytes(32))
    refuses(ValueError, _board.flash_program, -32, bytes(32))
    refuses(ValueError, _board.flash_erase, sector + 32)
    refuses(ValueError, _board.flash_erase, layout.FLASH_BYTES)
    refuses(TypeError, put, view)
    assert bytes(view[sector : sector + 64]) == bytes(range(64))
    _board.flash_erase(sector)
    erased = b"\xff" * 4096
    assert all(view[place : place + 4096] == erased for place in range(sector, 2 * sector, 4096))
    assert bytes(view[2 * sector : 2 * sector + 32]) == bytes(32)
    _board.flash_erase(2 * sector)


def put(view):
    """Write where nobody may."""
    view[0] = 0


def recurse():
    """Never end."""
    return recurse()


def check_rest():
    """Recursion without end is an exception; the native signature check is there and refuses nonsense."""
    refuses(RuntimeError, recurse)
    assert not verify(bytes(32), bytes(32), b"message", bytes(64))
    assert _board.random(16) != _board.random(16) != os.urandom(16)
    refuses(ValueError, _board.random, -1)


def wait():
    """Hold on until the watchdog, without a sleep."""
    while True:
        pass


def stay():
    """Be fed for ever."""
    print("all steps done")  # noqa: T201 (the console is what is looked at)
    while True:
        _board.feed()


STEPS = (_board.reset, lambda: uctypes.bytes_at(NOWHERE, 4), lambda: 1 // 0, wait, stay)


def run():
    """Take the next step."""
    mark = _board.flash_view()[0]
    step = 0
    while not mark >> step & 1:
        step += 1
    if step == 0:
        check_flash()
        check_rest()
    random = "".join(f"{byte:02x}" for byte in _board.random(8))
    print("step", step, "cause", _board.reset_cause(), "random", random)  # noqa: T201 (as above)
    _board.flash_program(0, bytes((mark & mark - 1,)) + b"\xff" * 31)
    STEPS[step]()


sys.path[:] = [".frozen"]
run()
