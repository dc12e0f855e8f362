"""What must agree with the memory map of mps2_an385: Renode's platform, the README's table."""

import re
from pathlib import Path

from pawl_tools import layouts

FOLDER = Path(__file__).parents[2] / "boards" / "mps2_an385"
LAYOUT = layouts.load("mps2_an385")
ADDRESSES = {
    "firmware": LAYOUT.FIRMWARE_ADDRESS,
    "ram": LAYOUT.RAM_ADDRESS,
    "flash": LAYOUT.FLASH_ADDRESS,
    "nvic": 0xE000E000,  # of the architecture
    "console": LAYOUT.CONSOLE_ADDRESS,
    "line": LAYOUT.LINE_ADDRESS,
    "timer": LAYOUT.TIMER_ADDRESS,
}
_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20}


def test_platform_of_renode_has_the_addresses_of_the_map():
    """Every device of the .repl lies where layout.py says, with its size, clock and interrupt; none is left out."""
    text = (FOLDER / "mps2_an385.repl").read_text()
    found = re.findall(r"^(\w+): .* @ sysbus (0x\w+)$", text, re.MULTILINE)
    assert {name: int(address, 16) for name, address in found} == ADDRESSES
    sizes = re.findall(r"^(\w+): Memory.MappedMemory .*\n    size: (0x\w+)$", text, re.MULTILINE)
    assert {name: int(size, 16) for name, size in sizes} == {
        "firmware": LAYOUT.FIRMWARE_BYTES,
        "ram": LAYOUT.RAM_BYTES,
        "flash": LAYOUT.FLASH_BYTES,
    }
    interrupts = [int(number) for number in re.findall(r"-> nvic@(\d+)$", text, re.MULTILINE)]
    assert interrupts == [LAYOUT.LINE_RECEIVE_INTERRUPT, LAYOUT.LINE_SEND_INTERRUPT, LAYOUT.TIMER_INTERRUPT]
    assert {int(clock) for clock in re.findall(r"^    frequency: (\d+)$", text, re.MULTILINE)} == {
        LAYOUT.CLOCK_HZ
    }
    assert f"systickFrequency: {LAYOUT.TICK_HZ}\n" in text


def test_readme_shows_the_flash_as_it_is():
    """The table has every region and every gap, in order, up to the end."""
    rows = re.findall(
        r"^0x(\w+)   (?:(\d+) (\wiB) +)?(\S+)(?: .*)?$", (FOLDER / "README.md").read_text(), re.MULTILINE
    )
    told = [(int(start, 16), int(size) * _UNITS[unit], name) for start, size, unit, name in rows if size]
    assert [row for row in told if row[2] != "(free)"] == sorted(
        (start, size, name) for name, (start, size) in LAYOUT.REGIONS.items()
    )
    ends = [start + size for start, size, _ in told]
    assert [start for start, _, _ in told] == [0, *ends[:-1]] and ends[-1] == LAYOUT.FLASH_BYTES
