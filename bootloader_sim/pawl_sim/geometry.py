"""Flash parts as data: which sectors, units and erased value each has, and where a device's regions lie on it.

plan = lay_out(GEOMETRIES["ecc-16"])
Storage(NorFlash(plan), plan.regions)
"""

from collections.abc import Iterator
from dataclasses import dataclass

# What each region must hold, in bytes; those in two halves erase one while the other is kept.
WHOLE = {
    "identity_a": 3072,
    "identity_b": 3072,
    "anchor_a": 2048,
    "anchor_b": 2048,
    "page_a": 512,
    "page_b": 512,
    "envelope_a": 2048,
    "envelope_b": 2048,
}
HALVES = {"ratchet": 1536, "boots": 512, "quarantine": 1536, "clock": 1024, "log": 512}
IMAGES = {"image_a": 12288, "image_b": 12288, "data_a": 8192, "data_b": 8192}


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """A flash part. Sectors of `small_bytes` hold records, those of `large_bytes` images; on most parts they are equal."""

    name: str
    says: str
    small_bytes: int
    large_bytes: int
    unit_bytes: int
    erased: int = 0xFF
    is_program_once: bool = False


GEOMETRIES = {
    geometry.name: geometry
    for geometry in (
        Geometry(name="unix", says="the unix board", small_bytes=4096, large_bytes=4096, unit_bytes=32),
        Geometry(name="spi", says="serial NOR, bytewise", small_bytes=4096, large_bytes=4096, unit_bytes=1),
        Geometry(name="halfword", says="1 KiB sectors", small_bytes=1024, large_bytes=1024, unit_bytes=2),
        Geometry(name="word", says="nRF52 like", small_bytes=4096, large_bytes=4096, unit_bytes=4),
        Geometry(
            name="ecc-8",
            says="STM32G4 like: ECC over 8 bytes",
            small_bytes=2048,
            large_bytes=2048,
            unit_bytes=8,
            is_program_once=True,
        ),
        Geometry(
            name="ecc-16",
            says="STM32U5 like: ECC over 16 bytes, 8 KiB sectors",
            small_bytes=2048,
            large_bytes=8192,
            unit_bytes=16,
            is_program_once=True,
        ),
        Geometry(
            name="ecc-32",
            says="STM32H7 like: ECC over 32 bytes",
            small_bytes=4096,
            large_bytes=4096,
            unit_bytes=32,
            is_program_once=True,
        ),
        Geometry(
            name="mixed",
            says="STM32F4 like: small sectors, then large ones",
            small_bytes=1024,
            large_bytes=16384,
            unit_bytes=4,
        ),
        Geometry(
            name="zero",
            says="STM32L1 like: erased bytes read 0x00",
            small_bytes=512,
            large_bytes=4096,
            unit_bytes=4,
            erased=0x00,
        ),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A geometry with the regions of a device on it: {name: (start, size)}; `sectors` maps each start to its size."""

    geometry: Geometry
    regions: dict[str, tuple[int, int]]
    sectors: dict[int, int]
    size: int

    def region_at(self, offset: int) -> str:
        """Return the name of the region that holds this byte."""
        return next(name for name, (start, size) in self.regions.items() if start <= offset < start + size)


def lay_out(geometry: Geometry) -> Plan:
    """Place every region on whole sectors: records first, images behind them."""
    regions: dict[str, tuple[int, int]] = {}
    sectors: dict[int, int] = {}
    at = 0
    for name, sector_bytes, count in _wanted(geometry):
        regions[name] = (at, count * sector_bytes)
        for _ in range(count):
            sectors[at] = sector_bytes
            at += sector_bytes
    return Plan(geometry=geometry, regions=regions, sectors=sectors, size=at)


def _wanted(geometry: Geometry) -> Iterator[tuple[str, int, int]]:
    small, large = geometry.small_bytes, geometry.large_bytes
    for name, size in WHOLE.items():
        yield name, small, -(-size // small)
    for name, size in HALVES.items():
        yield name, small, 2 * -(-size // small)
    for name, size in IMAGES.items():
        yield name, large, -(-size // large)
