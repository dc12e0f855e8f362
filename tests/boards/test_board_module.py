"""What firmware promises the agent of any board: flash with the rules of NOR, causes of resets, entropy, a watchdog."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
FIRST_CODE = Path(__file__).parent / "board_module.py"
CAUSES = ["0", "1", "2", "2", "2"]  # power, asked, fault, exception, watchdog
WATCHDOG_S = 4
TIMEOUT_S = 60

pytestmark = pytest.mark.emulators(
    "qemu"
)  # Renode raises no fault where nothing is; a real board has a firmware of its own


@pytest.fixture
def image(bench):
    """Firmware of this kind of board with that first code."""
    subprocess.run(
        [sys.executable, PROJECT / "scripts" / "firmware", bench.kind, "--boot", FIRST_CODE], check=True
    )
    return PROJECT / "build" / "firmware" / f"{bench.kind}-{FIRST_CODE.stem}" / "firmware.bin"


def test_board_keeps_its_promises(bench, image):
    """Each reset has its cause, no two starts the same random bytes, and what was programmed survives a power cut."""
    board = bench.board(image=image, watchdog_s=WATCHDOG_S)
    board.power_on()
    board.console.wait_for("all steps done", timeout_s=TIMEOUT_S)
    steps = re.findall(r"^step (\d) cause (\d) random (\w{16})$", board.console.text, re.MULTILINE)
    assert [cause for _, cause, _ in steps] == CAUSES
    assert len({random for _, _, random in steps}) == len(CAUSES)
    for printed in ("firmware: fault", "ZeroDivisionError", "firmware: watchdog"):
        assert board.console.text.count(printed) == 1, printed
    board.power_off()
    assert board.read_flash(0, 2) == b"\xe0\xff"
