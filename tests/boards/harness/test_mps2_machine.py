"""The machine mps2_an385, which has no flash: the file behind its external RAM stands for one."""

from types import SimpleNamespace

import pytest

from pawl_boards.board import BoardPlan
from pawl_boards.qemu import QemuBoard

pytestmark = pytest.mark.emulators("qemu", "renode")  # a real board has a firmware of its own
LAYOUT = SimpleNamespace(
    NAME="mps2_an385",
    FLASH_ADDRESS=0x21000000,
    FLASH_BYTES=0x1000000,
    ERASE_BYTES=0x1000,
    ERASED=0xFF,
    FIRMWARE_ADDRESS=0,
    FIRMWARE_BYTES=0x400000,
    RAM_ADDRESS=0x20000000,
    RAM_BYTES=0x800000,
    PARAMETERS_ADDRESS=0x207FF000,
)
# Stack, start; then: store "PAWL" at 0x21000000, switch the first UART on (divisor 16), print "k\n", stay.
PROGRAM = bytes.fromhex(
    "00100020 09000000 4ff00450 06490160 4ff04020 10210161 01218160 6b210160 0a210160 fee70000 5041574c"
)


def test_what_it_wrote_survives_the_end_of_the_power(tmp_path):
    """The program writes a word, and the file has it after SIGKILL and at the next start."""
    image = tmp_path / "program.bin"
    image.write_bytes(PROGRAM)
    with QemuBoard(BoardPlan(layout=LAYOUT, firmware=image), tmp_path / "board") as board:
        for _ in range(2):
            board.power_on()
            board.console.wait_for("k", 30)
            board.power_off()
            assert board.read_flash(0, 6) == b"PAWL\xff\xff"
            board.write_flash(b"\xff" * 4)
