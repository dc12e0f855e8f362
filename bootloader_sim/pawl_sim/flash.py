"""NOR flash behind the device's `Flash` protocol: its rules, its wear, and its bad luck.

Misuse by our code is an AssertionError, by the device's own rule (`pawl.flash.check_program`). Bad luck is injected:
`operating` is called before each operation and may raise `PowerCut`; what a cut leaves behind is in `tears`.

    flash = NorFlash(lay_out(GEOMETRIES["ecc-16"]))
"""

import random
from collections import Counter
from collections.abc import Callable
from hashlib import blake2b
from typing import NamedTuple

from pawl.flash import check_program
from pawl_sim.geometry import Plan


class PowerCut(BaseException):
    """The power went."""


class Operation(NamedTuple):
    """A program, or an erase of the sector that begins at `offset`: then data is None."""

    offset: int
    data: bytes | None


class Flicker(NamedTuple):
    """A span that reads differently each time, between what it was and what it was to be, until it is rewritten."""

    offset: int
    before: bytes
    after: bytes
    seed: int


class State(NamedTuple):
    """All that flash keeps without power. `used`: a byte for each program unit, 1 if it was programmed since its erase."""

    store: bytes
    used: bytes
    flickers: tuple[Flicker, ...] = ()

    def key(self) -> bytes:
        """Return what equal states have in common."""
        digest = blake2b(self.store, digest_size=16)
        digest.update(self.used)
        if self.flickers:
            digest.update(repr(self.flickers).encode())
        return digest.digest()


def nothing(_: Operation) -> None:
    """Let it happen."""


class NorFlash:
    """One flash part. `erases` counts by sector.

    What is broken: `stuck` maps a byte to the bits that never leave 0, `held` to those that never leave 1; `dead` holds the
    numbers of units that don't program; sectors in `worn` don't erase, of those in `half_worn` only the first half does.
    """

    def __init__(self, plan: Plan) -> None:
        geometry = plan.geometry
        self.plan = plan
        self.program_bytes = geometry.unit_bytes
        self.erased = geometry.erased
        self.store = bytearray(bytes([self.erased]) * plan.size)
        self._readable = memoryview(self.store).toreadonly()
        self.used = bytearray(plan.size // geometry.unit_bytes)
        self.operating: Callable[[Operation], None] = nothing
        self.erases: Counter[int] = Counter()
        self.stuck: dict[int, int] = {}
        self.held: dict[int, int] = {}
        self.dead: set[int] = set()
        self.worn: set[int] = set()
        self.half_worn: set[int] = set()
        self._flickers: list[Flicker] = []
        self._reads = 0

    def save(self) -> State:
        """Return what is kept; what flickers counts as what it was."""
        if not self._flickers:
            return State(bytes(self.store), bytes(self.used))
        store = bytearray(self.store)
        for flicker in self._flickers:
            store[flicker.offset : flicker.offset + len(flicker.before)] = flicker.before
        flickers = tuple(one._replace(seed=one.seed + self._reads) for one in self._flickers)
        return State(bytes(store), bytes(self.used), flickers)

    def load(self, state: State) -> None:
        """Become what was kept."""
        self.store[:] = state.store
        self.used[:] = state.used
        self._flickers = list(state.flickers)
        self._reads = 0
        self._hold()

    def flip(self, at: int, bits: int) -> None:
        """Flip bits of a byte at rest, past all rules."""
        self.store[at] ^= bits

    def mend(self) -> None:
        """Make whole what is broken; what is stored stays as it is."""
        for broken in (self.stuck, self.held, self.dead, self.worn, self.half_worn):
            broken.clear()

    def view(self, offset: int, size: int) -> memoryview:
        """Return a view of the stored bytes; a span that flickers may read differently at every look."""
        assert offset >= 0 and offset + size <= len(self.store), "outside of the flash"
        for flicker in self._flickers:
            if flicker.offset < offset + size and offset < flicker.offset + len(flicker.before):
                self._shake(flicker)
        return self._readable[offset : offset + size]

    def _shake(self, flicker: Flicker) -> None:
        self._reads += 1
        chance = random.Random(flicker.seed + self._reads)
        mood = chance.randrange(3)
        size = len(flicker.before)
        mask = (bytes(size), b"\xff" * size, chance.randbytes(size))[mood]
        self.store[flicker.offset : flicker.offset + size] = mixed(flicker.before, flicker.after, mask)

    def sector(self, offset: int) -> tuple[int, int]:
        """Return (start, size) of the sector that holds this byte."""
        sizes = self.plan.sectors
        start = offset if offset in sizes else max(at for at in sizes if at <= offset)
        return start, sizes[start]

    def program(self, offset: int, data: bytes | memoryview) -> None:
        """Program whole units; a bit that would go back to the erased value is our mistake, as is a unit programmed twice."""
        data = bytes(data)
        unit = self.program_bytes
        assert data and offset % unit == 0 and len(data) % unit == 0, "not whole units"
        old = self.store[offset : offset + len(data)]
        check_program(*((old, data) if self.erased else (data, old)))
        units = slice(offset // unit, (offset + len(data)) // unit)
        if self.plan.geometry.is_program_once:
            assert not any(self.used[units]), "a unit is programmed twice"
        self.operating(Operation(offset, data))
        self._settle(offset, len(data))
        for number in range(units.start, units.stop):
            if number in self.dead:
                at = number * unit - offset
                data = data[:at] + bytes(old[at : at + unit]) + data[at + unit :]
            else:
                self.used[number] = 1
        self._put(offset, data)

    def erase(self, offset: int) -> None:
        """Erase the sector that begins at `offset`."""
        assert offset in self.plan.sectors, "not a sector"
        self.operating(Operation(offset, None))
        self.erases[offset] += 1
        if offset in self.worn:
            return
        size = self.plan.sectors[offset] // (2 if offset in self.half_worn else 1)
        unit = self.program_bytes
        self._settle(offset, size)
        self.used[offset // unit : (offset + size) // unit] = bytes(size // unit)
        self._put(offset, bytes([self.erased]) * size)

    def _put(self, offset: int, data: bytes) -> None:
        self.store[offset : offset + len(data)] = data
        self._hold()

    def _hold(self) -> None:
        for at, bits in self.stuck.items():
            self.store[at] &= ~bits
        for at, bits in self.held.items():
            self.store[at] |= bits

    def _settle(self, offset: int, size: int) -> None:
        """What is rewritten flickers no more."""
        self._flickers = [part for one in self._flickers for part in _without(one, offset, size)]


def mixed(before: bytes, after: bytes, mask: bytes) -> bytes:
    """Return `after` where the mask has bits, `before` where it has none."""
    old, new, chosen = (int.from_bytes(part) for part in (before, after, mask))
    return (old & ~chosen | new & chosen).to_bytes(len(before))


def _without(flicker: Flicker, offset: int, size: int) -> list[Flicker]:
    """Return what is left of a span without another one."""
    first = max(0, offset - flicker.offset)
    last = min(len(flicker.before), offset + size - flicker.offset)
    if first >= last:
        return [flicker]
    parts = []
    if first > 0:
        parts.append(flicker._replace(before=flicker.before[:first], after=flicker.after[:first]))
    if last < len(flicker.before):
        parts.append(
            Flicker(flicker.offset + last, flicker.before[last:], flicker.after[last:], flicker.seed + 1)
        )
    return parts
