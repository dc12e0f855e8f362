"""What is derived from a board's memory map agrees with it; the same source gives the same firmware in whatever folder."""

import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from pawl_boards import firmware, maps

ROOT = Path(__file__).resolve().parents[2]
BOARD = "virt_rv32"
README = ROOT / "boards" / BOARD / "README.md"
HEADER = ROOT / "boards" / "firmware" / "layout_header.py"


def constants(layout):
    """Return the integers of a memory map by name."""
    return {name: value for name, value in vars(layout).items() if name.isupper() and isinstance(value, int)}


def test_header_has_every_number_of_the_map():
    """C and the linker script see each constant under its name, and nothing else."""
    path = ROOT / "boards" / BOARD / "layout.py"
    header = subprocess.run([sys.executable, HEADER, path], capture_output=True, text=True, check=True).stdout
    found = re.findall(r"^#define LAYOUT_(\w+) (0x[0-9a-f]+)$", header, re.MULTILINE)
    assert len(found) == len(header.splitlines())
    assert {name: int(value, 16) for name, value in found} == constants(maps.load(BOARD))


def test_picture_of_the_flash_is_that_of_the_map():
    """Every region with its offset and sectors, in order; what is free behind them; the end."""
    layout, text = maps.load(BOARD), README.read_text()
    rows = re.findall(r"^(0x[0-9a-f]{7}) +(\d*) +(\(?\w+\)?)", text, re.MULTILINE)
    regions = sorted((start, size, name) for name, (start, size) in layout.REGIONS.items())
    behind = regions[-1][0] + regions[-1][1]
    expected = [(start, str(size // layout.ERASE_BYTES), name) for start, size, name in regions]
    expected.append((behind, str((layout.FLASH_BYTES - behind) // layout.ERASE_BYTES), "(free)"))
    expected.append((layout.FLASH_BYTES, "", "(end)"))
    assert [(int(offset, 16), count, name) for offset, count, name in rows] == expected


def test_text_about_the_memory_names_its_addresses():
    """Both flashes, the RAM and its two last pages, and the size of a sector and of the heap."""
    layout, text = maps.load(BOARD), README.read_text()
    for name in ("FLASH", "FIRMWARE", "RAM", "KEPT", "PARAMETERS"):
        assert f"{getattr(layout, f'{name}_ADDRESS'):#x}" in text, name
    assert f"sectors of {layout.ERASE_BYTES >> 10} KiB" in text
    assert f"units of {layout.PROGRAM_BYTES} bytes" in text
    assert f"0: {layout.HEAP_BYTES >> 10} KiB" in text
    assert f"exactly {layout.FLASH_BYTES >> 20} MiB" in text


def test_memories_do_not_overlap():
    """Both flashes and the RAM lie apart; the pages that outlive a reset are the last ones of the RAM."""
    layout = maps.load(BOARD)
    places = sorted(
        (getattr(layout, f"{name}_ADDRESS"), getattr(layout, f"{name}_BYTES"))
        for name in ("FLASH", "FIRMWARE", "RAM")
    )
    assert all(start + size <= following for (start, size), (following, _) in itertools.pairwise(places))
    end = layout.RAM_ADDRESS + layout.RAM_BYTES
    assert (end - 0x2000, end - 0x1000) == (layout.KEPT_ADDRESS, layout.PARAMETERS_ADDRESS)
    assert firmware.find(BOARD).stat().st_size <= layout.FIRMWARE_BYTES


def test_another_build_gives_the_same_bytes(tmp_path):
    """A copy of the source in another folder, with an empty cache: the firmware is the same, byte by byte."""
    here = tmp_path / "elsewhere"
    for name in ("boards", "device", "scripts"):
        shutil.copytree(ROOT / name, here / name, ignore=shutil.ignore_patterns("__pycache__"))
    (here / "build").mkdir()
    (here / "build" / "micropython").symlink_to(ROOT / "build" / "micropython")
    cache = tmp_path / "cache" / "pawl"
    cache.mkdir(parents=True)
    source = (ROOT / "build" / "micropython" / "src").resolve().parent
    (cache / source.name).symlink_to(source)
    environment = os.environ | {"XDG_CACHE_HOME": str(cache.parent)}
    subprocess.run([sys.executable, here / "scripts" / "firmware", BOARD], env=environment, check=True)
    built = here / "build" / "firmware" / BOARD / "firmware.bin"
    assert built.resolve().is_relative_to(cache)
    assert built.read_bytes() == (ROOT / "build" / "firmware" / BOARD / "firmware.bin").read_bytes()
