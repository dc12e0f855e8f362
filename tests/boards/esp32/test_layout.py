"""The ESP32's memory map and its partition table say the same, and both are such as the chip and MicroPython want them."""

import itertools
import runpy
from pathlib import Path

from pawl.flash import MemoryFlash
from pawl.ports.esp32 import wifi
from pawl.storage import Storage

BOARD = Path(__file__).resolve().parents[3] / "boards" / "esp32"
LAYOUT = runpy.run_path(str(BOARD / "layout.py"))
CHIP_BYTES = 4 << 20
MMU_PAGE = 0x10000


def partitions():
    """Return {name: (type, subtype, offset, size, flags)} of partitions.csv."""
    rows = {}
    for line in (BOARD / "partitions.csv").read_text().splitlines():
        if line and not line.startswith("#"):
            name, kind, subtype, offset, size, flags = (field.strip() for field in line.split(","))
            rows[name] = (kind, subtype, int(offset, 0), int(size, 0), flags)
    return rows


def test_the_partition_is_the_layouts():
    """Found by its label, of the layout's place and size; not encrypted: erased bytes couldn't be told from others."""
    kind, _, offset, size, flags = partitions()[LAYOUT["LABEL"]]
    assert (kind, offset, size, flags) == ("data", LAYOUT["FLASH_ADDRESS"], LAYOUT["FLASH_BYTES"], "")


def test_partitions_follow_one_another_within_the_chip():
    """No overlap, no gap; firmware and what is mapped begin on pages of the chip's memory map."""
    rows = sorted(partitions().values(), key=lambda row: row[2])
    for one, following in itertools.pairwise(rows):
        assert one[2] + one[3] == following[2]
    assert rows[-1][2] + rows[-1][3] == CHIP_BYTES
    assert all(row[2] % MMU_PAGE == 0 for row in rows if row[0] == "app" or row[2] == LAYOUT["FLASH_ADDRESS"])


def test_regions_fill_the_partition():
    """Whole sectors, one behind the other, none shared."""
    at = 0
    for start, size in sorted(LAYOUT["REGIONS"].values()):
        assert start == at and size and size % LAYOUT["ERASE_BYTES"] == 0
        at += size
    assert at == LAYOUT["FLASH_BYTES"]


def test_an_image_never_begins_the_partition():
    """MicroPython mounts a ROMFS image that begins there, before any Python runs: nothing that updates write may."""
    first = min(LAYOUT["REGIONS"], key=lambda name: LAYOUT["REGIONS"][name])
    assert first.startswith("identity")


def test_the_agent_finds_all_its_regions():
    """A device's storage opens on it, empty, with slots of the same size; Wi-Fi has its two copies."""
    flash = MemoryFlash(LAYOUT["FLASH_BYTES"], LAYOUT["ERASE_BYTES"], LAYOUT["PROGRAM_BYTES"])
    storage = Storage(flash, LAYOUT["REGIONS"])
    one, other = storage.slots
    for component in (b"app", b"data"):
        assert one.region(component).size == other.region(component).size
    storage.boot_counter().step()
    assert storage.boot_counter().value == 1
    assert storage.ratchet().has_room()
    assert storage.anchor_files() == [None, None]
    assert wifi.load([storage.regions[name] for name in wifi.REGIONS]) is None


def test_the_page_shows_the_map_as_it_is():
    """README.md has a row for every region, with its place on the chip and its size."""
    page = (BOARD / "README.md").read_text()
    for name, (start, size) in LAYOUT["REGIONS"].items():
        assert f"| {name} | {LAYOUT['FLASH_ADDRESS'] + start:#x} | {size // 1024} KiB |" in page
