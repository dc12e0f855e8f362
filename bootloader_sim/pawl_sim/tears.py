"""What a power cut leaves of the operation that it cut: nothing, a part, all of it, or what reads differently each time.

Each tear is a function of the state before, the operation, and random numbers that follow from the seed of the cut; so the
same seed gives the same flash.
"""

import random
from collections.abc import Callable

from pawl_sim.flash import Flicker, Operation, State, mixed
from pawl_sim.geometry import Plan

# (before, after, chance) -> what is left of it; spans are of equal size
_Tear = Callable[[bytes, bytes, random.Random], bytes]


def _nothing(before: bytes, after: bytes, _: random.Random) -> bytes:
    return before


def _all(before: bytes, after: bytes, _: random.Random) -> bytes:
    return after


def _first_byte(before: bytes, after: bytes, _: random.Random) -> bytes:
    return after[:1] + before[1:]


def _first_half(before: bytes, after: bytes, _: random.Random) -> bytes:
    half = len(after) // 2
    return after[:half] + before[half:]


def _last_half(before: bytes, after: bytes, _: random.Random) -> bytes:
    half = len(after) // 2
    return before[:half] + after[half:]


def _all_but_the_end(before: bytes, after: bytes, chance: random.Random) -> bytes:
    """The last eight bytes are there by some of their bits only."""
    return after[:-8] + _some_bits(before[-8:], after[-8:], chance)


def _some_bits(before: bytes, after: bytes, chance: random.Random) -> bytes:
    return mixed(before, after, chance.randbytes(len(before)))


def _half_and_bits(before: bytes, after: bytes, chance: random.Random) -> bytes:
    half = len(after) // 2
    return after[:half] + _some_bits(before[half:], after[half:], chance)


_PROGRAM: dict[str, _Tear] = {
    "nothing": _nothing,
    "byte": _first_byte,
    "half": _first_half,
    "end": _all_but_the_end,
    "bits": _some_bits,
    "halfbits": _half_and_bits,
    "all": _all,
}
_ERASE: dict[str, _Tear] = {
    "nothing": _nothing,
    "half": _first_half,
    "tail": _last_half,
    "bits": _some_bits,
    "halfbits": _half_and_bits,
    "all": _all,
}
_FLICKER = "flicker"
PLAINEST_FIRST = tuple(dict.fromkeys((*_PROGRAM, *_ERASE, _FLICKER)))


def names(operation: Operation) -> tuple[str, ...]:
    """Return the tears that an operation can suffer."""
    return (*_ERASE, _FLICKER) if operation.data is None else tuple(_PROGRAM)


def tear(plan: Plan, state: State, operation: Operation, name: str, seed: int) -> State:
    """Return the flash after a cut inside an operation; ValueError if it can't be torn like that."""
    offset, data = operation
    known = _PROGRAM if data is not None else _ERASE
    if name == "nothing":
        return state
    after = bytes([plan.geometry.erased]) * plan.sectors[offset] if data is None else data
    before = state.store[offset : offset + len(after)]
    others = tuple(one for one in state.flickers if not _touches(one, offset, len(after)))
    if name == _FLICKER and data is None:
        used = _used_after(plan, state.used, operation, before, after)
        return State(state.store, used, (*others, Flicker(offset, before, after, seed)))
    if name not in known:
        raise ValueError(f"{name!r} is no tear of this operation: one of {', '.join(names(operation))}")
    left = known[name](before, after, random.Random(seed))
    store = state.store[:offset] + left + state.store[offset + len(after) :]
    return State(store, _used_after(plan, state.used, operation, before, left), others)


def _touches(flicker: Flicker, offset: int, size: int) -> bool:
    return flicker.offset < offset + size and offset < flicker.offset + len(flicker.before)


def _used_after(plan: Plan, used: bytes, operation: Operation, before: bytes, left: bytes) -> bytes:
    """Return the marks of used units: after an erase those that don't read as erased, after a program all up to the last change."""
    unit = plan.geometry.unit_bytes
    erased = bytes([plan.geometry.erased]) * unit
    marks = bytearray(used)
    first = operation.offset // unit
    count = len(left) // unit
    if operation.data is None:
        for at in range(count):
            marks[first + at] = left[at * unit : at * unit + unit] != erased
    else:
        changed = [
            at
            for at in range(count)
            if left[at * unit : at * unit + unit] != before[at * unit : at * unit + unit]
        ]
        for at in range(max(changed, default=-1) + 1):
            marks[first + at] = 1
    return bytes(marks)
