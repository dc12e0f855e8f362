"""What may be broken of a flash part besides a power cut, as data with a short text.

    worn-page_b-0          the first sector of the region doesn't erase any more
    half-image_a-1         of its second sector, only the first half erases
    dead-page_b-96         the program unit that holds byte 96 keeps nothing that is programmed
    stuck0-ratchet-517-3   bit 3 of byte 517 never leaves 0
    stuck1-ratchet-517-3   and here never 1
    flip-image_a-100-2     a bit that flipped at rest, once

The same text breaks the same thing; `places` draws them from a text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

from pawl.slots import UNIT_BYTES
from pawl_sim.flash import NorFlash
from pawl_sim.geometry import HALVES, IMAGES, WHOLE, Plan

SECTOR_KINDS = ("worn", "half")
PLACE_KINDS = ("dead", "stuck0", "stuck1", "flip")
ROT_KINDS = ("stuck0", "stuck1", "flip")
_TEXT = re.compile(r"([a-z]+[01]?)-([a-z_]+)-(\d{1,7})(?:-([0-7]))?")
_PAGE_UNITS = 15


@dataclass(frozen=True, slots=True, order=True)
class Defect:
    """`place`: a sector's number, or a byte's, in its region."""

    kind: str
    region: str
    place: int
    bit: int | None = None

    def __str__(self) -> str:
        return "-".join(map(str, (self.kind, self.region, self.place))) + (
            "" if self.bit is None else f"-{self.bit}"
        )

    def strike(self, flash: NorFlash) -> None:
        """Break the flash; IndexError if it has no such place."""
        start, size = flash.plan.regions[self.region]
        if self.kind in SECTOR_KINDS:
            sector = sectors_of(flash.plan, self.region)[self.place]
            (flash.worn if self.kind == "worn" else flash.half_worn).add(sector)
            return
        if self.place >= size:
            raise IndexError(f"{self.region} has {size} bytes only")
        at = start + self.place
        if self.kind == "dead":
            flash.dead.add(at // flash.program_bytes)
        elif self.kind == "flip":
            flash.flip(at, 1 << (self.bit or 0))
        else:
            (flash.stuck if self.kind == "stuck0" else flash.held)[at] = 1 << (self.bit or 0)
            flash.load(flash.save())


def parse(text: str) -> Defect:
    """Return the Defect of a text; ValueError says what could be there."""
    found = _TEXT.fullmatch(text)
    kinds = (*SECTOR_KINDS, *PLACE_KINDS)
    if found is None or found[1] not in kinds or (found[4] is not None) != (found[1] in ROT_KINDS):
        raise ValueError(
            f"{text!r} is no defect: write worn-page_b-0 or flip-image_a-100-2; kinds: {', '.join(kinds)}"
        )
    if found[2] not in {**WHOLE, **HALVES, **IMAGES}:
        raise ValueError(f"no region {found[2]!r}: one of {', '.join({**WHOLE, **HALVES, **IMAGES})}")
    return Defect(found[1], found[2], int(found[3]), None if found[4] is None else int(found[4]))


def sectors_of(plan: Plan, region: str) -> list[int]:
    """Return where the sectors of a region begin."""
    start, size = plan.regions[region]
    return [at for at in plan.sectors if start <= at < start + size]


def every_sector(plan: Plan) -> Iterator[Defect]:
    """Yield each sector of the flash as one that doesn't erase, and as one of which a half does."""
    for region in plan.regions:
        for number in range(len(sectors_of(plan, region))):
            for kind in SECTOR_KINDS:
                yield Defect(kind, region, number)


def in_every_region(plan: Plan, text: str, count: int) -> Iterator[Defect]:
    """Yield defects of a unit or a bit: `count` places of each part that a region is written in, the same for the same text."""
    for region in plan.regions:
        for first, size in _spans(plan, region):
            for kind in PLACE_KINDS:
                for number in range(count):
                    yield _drawn(kind, region, first, size, f"{text} {kind} {region} {first} {number}")


def _drawn(kind: str, region: str, first: int, size: int, text: str) -> Defect:
    chance = int.from_bytes(blake2b(text.encode(), digest_size=6).digest())
    return Defect(kind, region, first + chance // 8 % size, chance % 8 if kind in ROT_KINDS else None)


def _spans(plan: Plan, region: str) -> list[tuple[int, int]]:
    """Return the parts of a region that matter, as (first byte, size): each mark of a page, the head of a record, what follows."""
    if region.startswith("page_"):
        return [(number * UNIT_BYTES, UNIT_BYTES) for number in range(_PAGE_UNITS)]
    size = {**WHOLE, **HALVES, **IMAGES}[region]
    if region in HALVES:
        return [
            (half + at, part)
            for half in (0, plan.regions[region][1] // 2)
            for at, part in ((0, 64), (64, size - 64))
        ]
    return [(0, 64), (64, size // 4), (size // 4, size // 4)]
