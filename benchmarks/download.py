"""Bytes of a whole download, index included: deflated block by block, beside plain blocks."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure
from pawl import bundle, index, suit
from pawl_tools import pack, release
from pawl_tools.site import CLASS, VENDOR
from pawl_tools.toolchain import Toolchain

_BLINKY = Path(__file__).resolve().parents[1] / "examples" / "blinky" / "2"
_STATEMENT = release.Statement(sequence=1, version=(1,), vendor=VENDOR, device_class=CLASS)


def measure(programs: Toolchain) -> list[Figure]:
    """Return the figures of the agent and of the smallest application."""
    images = {"agent": pack.pack_agent(programs), "blinky": pack.pack_application(_BLINKY, programs)}
    return [_figure(name, image) for name, image in images.items()]


def _figure(name: str, image: bytes) -> Figure:
    return Figure(
        name=f"download of {name}, deflate",
        value=release_bytes(image),
        unit="B",
        reference=f"{name}, plain",
        reference_value=len(index.write(image)) + len(image),
    )


def release_bytes(image: bytes) -> int:
    """Return the bytes of the index of a release of this image, and of the blocks that a device fetches."""
    made = bundle.Bundle(suit.Envelope(release.build(image, _STATEMENT, [])))
    listing = made.app().index
    sizes: Iterator[int] = (listing.payload_size(listing.best, number) for number in range(listing.blocks))
    return len(made.app().index_bytes) + sum(sizes)
