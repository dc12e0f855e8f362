"""What tests of the harness itself run: a program of one page, without the firmware."""

import subprocess
import sys
from pathlib import Path

import pytest

from pawl_boards import drivers, maps

sys.path.insert(0, str(Path(__file__).parent))

PROGRAM = Path(__file__).parent / "bare_program.c"
NAMES = (
    "FLASH_ADDRESS CONSOLE_ADDRESS PARAMETERS_ADDRESS RESET_ADDRESS RAM_ADDRESS"
    " PCI_CONFIG_ADDRESS ERASE_BYTES LINE_ADDRESS"
)
COMPILE = "riscv64-unknown-elf-gcc -march=rv32imac_zicsr -mabi=ilp32 -mcmodel=medany -O1 -Wall -Werror -ffreestanding -nostdlib"


@pytest.fixture(scope="session")
def bare_program(pytestconfig, tmp_path_factory):
    """The program of bare_program.c as an image of flash unit 0."""
    layout = maps.load("virt_rv32")
    folder = tmp_path_factory.mktemp("bare")
    start = layout.FIRMWARE_ADDRESS
    defines = [f"-D{name}={getattr(layout, name):#x}" for name in NAMES.split()]
    if pytestconfig.getoption("--emulator") == drivers.QEMU:
        defines.append("-DLINE_ON_PCI")
    places = f"-Wl,--build-id=none,-e,start,--section-start=.start={start:#x},-Ttext={start + 0x100:#x}"
    elf, image = folder / "program.elf", folder / "program.bin"
    subprocess.run([*COMPILE.split(), *defines, places, "-o", elf, PROGRAM], check=True)
    subprocess.run(["riscv64-unknown-elf-objcopy", "-O", "binary", elf, image], check=True)
    return image


@pytest.fixture
def board(bench, bare_program):
    """A board with that program, off."""
    return bench.board(image=bare_program)
