"""What Renode is told of virt_rv32 is what its memory map says."""

import re
from pathlib import Path

import pytest

from pawl_boards import maps, renode_machine
from pawl_boards.errors import BoardError

FOLDER = Path(__file__).parents[3] / "boards" / "virt_rv32"
REPL = (FOLDER / "virt_rv32.repl").read_text()
RESC = (FOLDER / "virt_rv32.resc").read_text()
PCI_CONFIG_BYTES = 0x100000  # one bus
RESET_BYTES = 0x1000


def entries():
    """Return {name: text below it} of the platform's entries."""
    found = re.findall(r"^(\w+):.*\n((?: .*\n|'''.*\n|.*if request.*\n)*)", REPL, re.MULTILINE)
    return dict(found)


def number(entry, name):
    """Return a property of an entry."""
    return int(re.search(rf"^ +{name}: (\w+)$", entries()[entry], re.MULTILINE)[1], 0)


def test_every_size_is_that_of_the_map():
    """Memories, erase block, timer and interrupt lines; no entry has a size that isn't compared here."""
    layout = maps.load("virt_rv32")
    expected = {
        ("firmware", "size"): layout.FIRMWARE_BYTES,
        ("flash", "size"): layout.FLASH_BYTES,
        ("flash", "EraseBlockSize"): layout.ERASE_BYTES,
        ("ram", "size"): layout.RAM_BYTES,
        ("finisher", "size"): RESET_BYTES,
        ("clint", "frequency"): layout.TIMER_HZ,
    }
    assert {place: number(*place) for place in expected} == expected
    assert REPL.count(" size: ") == 4


def test_there_is_no_pci_and_no_warning_of_it():
    """What the firmware searches for a card is silent."""
    layout = maps.load("virt_rv32")
    start, end = re.search(r"SilenceRange <(0x\w+) (0x\w+)>", REPL).groups()
    assert (int(start, 0), int(end, 0)) == (
        layout.PCI_CONFIG_ADDRESS,
        layout.PCI_CONFIG_ADDRESS + PCI_CONFIG_BYTES,
    )


def test_execution_begins_in_the_firmware():
    """The image is loaded where the processor starts, at power on and after each reset."""
    layout = maps.load("virt_rv32")
    places = re.findall(r"(?:LoadBinary \$firmware|cpu PC) (0x\w+)", RESC)
    assert [int(place, 0) for place in places] == [layout.FIRMWARE_ADDRESS] * 2


def test_script_of_a_board_fills_its_parameters_page(tmp_path):
    """Word by word, from the page's first address; the flash is the folder's file."""
    layout = maps.load("virt_rv32")
    script = renode_machine.write(tmp_path, layout, tmp_path / "firmware.bin", bytes(range(8)))
    writes = re.findall(r"WriteDoubleWord (0x\w+) (0x\w+)", script.read_text())
    first = layout.PARAMETERS_ADDRESS
    assert writes == [(f"{first:#x}", "0x3020100"), (f"{first + 4:#x}", "0x7060504")]
    assert f'fileName: "{tmp_path / "flash.bin"}"' in (tmp_path / "board.repl").read_text()


def test_board_without_a_script_is_told():
    """The error names the file that isn't there."""
    with pytest.raises(BoardError, match=r"esp32\.resc"):
        renode_machine.find("esp32")
