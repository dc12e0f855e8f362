"""The reference of `flash_wear`: an updater that swaps two slots over a scratch sector, on the same NOR model.

As MCUboot's design document describes swap-using-scratch: from the last sector to the first, secondary to scratch,
primary to secondary, scratch to primary, each target erased first. The sectors of its trailers are left out, which can
only make it look better.
"""

from collections import Counter

from pawl_sim.flash import NorFlash
from pawl_sim.geometry import GEOMETRIES, Plan

_SECTOR_BYTES = 4096


class ScratchSwap:
    """A device whose slots have room for images of `image_bytes`."""

    def __init__(self, image_bytes: int) -> None:
        self._sectors = -(-image_bytes // _SECTOR_BYTES)
        slot_bytes = self._sectors * _SECTOR_BYTES
        regions = {
            "primary": (0, slot_bytes),
            "secondary": (slot_bytes, slot_bytes),
            "scratch": (2 * slot_bytes, _SECTOR_BYTES),
        }
        size = 2 * slot_bytes + _SECTOR_BYTES
        self._plan = Plan(
            geometry=GEOMETRIES["unix"],
            regions=regions,
            sectors=dict.fromkeys(range(0, size, _SECTOR_BYTES), _SECTOR_BYTES),
            size=size,
        )
        self._flash = NorFlash(self._plan)

    def update(self, image: bytes) -> None:
        """Download an image into the secondary slot, then swap the slots."""
        primary, secondary, scratch = (self._plan.regions[name][0] for name in self._plan.regions)
        padded = image.ljust(self._sectors * _SECTOR_BYTES, b"\xff")
        for at in range(0, len(padded), _SECTOR_BYTES):
            self._write(secondary + at, padded[at : at + _SECTOR_BYTES])
        for at in reversed(range(0, len(padded), _SECTOR_BYTES)):
            self._copy(secondary + at, scratch)
            self._copy(primary + at, secondary + at)
            self._copy(scratch, primary + at)
        assert self._flash.view(primary, len(padded)) == padded, "not swapped"  # noqa: S101

    def _copy(self, source: int, target: int) -> None:
        self._write(target, bytes(self._flash.view(source, _SECTOR_BYTES)))

    def _write(self, offset: int, data: bytes) -> None:
        self._flash.erase(offset)
        self._flash.program(offset, data)

    def busiest(self) -> dict[str, int]:
        """Return the erases of each region's busiest sector so far."""
        found: Counter[str] = Counter()
        for start, count in self._flash.erases.items():
            name = self._plan.region_at(start)
            found[name] = max(found[name], count)
        return dict(found)
