"""Memory maps, and what must agree with them."""

import re
from pathlib import Path

import pytest

from pawl_boards import machines, maps
from pawl_boards.errors import BoardError

REPL = Path(__file__).parents[3] / "boards" / "virt_rv32" / "virt_rv32.repl"
ADDRESSES = {
    "firmware": "FIRMWARE_ADDRESS",
    "flash": "FLASH_ADDRESS",
    "ram": "RAM_ADDRESS",
    "clint": "CLINT_ADDRESS",
    "plic": "PLIC_ADDRESS",
    "console": "CONSOLE_ADDRESS",
    "line": "LINE_ADDRESS",
    "finisher": "RESET_ADDRESS",
}


def test_platform_of_renode_has_the_addresses_of_the_map():
    """Every device of the .repl lies where layout.py says, with its size and interrupt; none is left out."""
    layout, text = maps.load("virt_rv32"), REPL.read_text()
    found = {
        name: int(address, 16)
        for name, address in re.findall(r"^(\w+): .* @ sysbus (0x\w+)$", text, re.MULTILINE)
    }
    assert found == {name: getattr(layout, field) for name, field in ADDRESSES.items()}
    sizes = dict(re.findall(r"^(\w+): Memory.MappedMemory .*\n    size: (0x\w+)$", text, re.MULTILINE))
    assert {name: int(size, 16) for name, size in sizes.items()} == {
        "firmware": layout.FIRMWARE_BYTES,
        "ram": layout.RAM_BYTES,
    }
    interrupts = dict(re.findall(r"^(\w+): UART.*\n.*\n    IRQ -> plic@(\d+)$", text, re.MULTILINE))
    assert {name: int(number) for name, number in interrupts.items()} == {
        "console": layout.CONSOLE_INTERRUPT,
        "line": layout.LINE_INTERRUPT,
    }


def test_unknown_board_names_the_known_ones():
    """A wrong name is answered with the right ones."""
    with pytest.raises(BoardError, match=r"unix.*virt_rv32"):
        maps.load("virt")


def test_board_without_hardware_is_no_emulated_one():
    """The unix board has a memory map, and nothing that an emulator could run."""
    with pytest.raises(BoardError, match="unix can't be emulated"):
        maps.load("unix")


def test_board_without_a_machine_in_qemu():
    """QEMU's machines are named when there is none."""
    with pytest.raises(BoardError, match=r"mps2_an385, virt_rv32"):
        machines.find("esp32")
