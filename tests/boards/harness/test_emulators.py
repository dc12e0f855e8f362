"""How emulators are started, and what they leave behind: nothing."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bare_board import LAYOUT, START_S, start

from pawl_boards import drivers, qemu
from pawl_boards.board import BoardPlan
from pawl_boards.errors import BoardError

pytestmark = pytest.mark.emulators("qemu", "renode")  # a real board has a firmware of its own
KILLED = """
import os, signal, sys
from pathlib import Path
from bare_board import LAYOUT
from pawl_boards.board import BoardPlan
from pawl_boards.qemu import QemuBoard

board = QemuBoard(BoardPlan(layout=LAYOUT, firmware=Path(sys.argv[1])), Path(sys.argv[2]))
board.power_on()
print(board.process.process_id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_nothing_is_left_behind(bench, bare_program):
    """A closed board leaves no process, no zombie and no port; what was killed outside is reaped too."""
    board = start(bench.board(image=bare_program))
    board.console.wait_for("line open", START_S)
    process_id, port = board.process.process_id, board.line_port
    board.close()
    assert not Path(f"/proc/{process_id}").exists()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", port))  # without SO_REUSEADDR: nobody holds it
        probe.listen()


@pytest.mark.emulators("qemu")
def test_qemu_that_refuses_its_arguments_is_told_with_its_words(bare_program, tmp_path):
    """What was started is stopped, and the error has QEMU's own."""
    plan = BoardPlan(layout=LAYOUT, firmware=bare_program)
    options = qemu.QemuOptions(arguments=("-no-such-option",))
    with qemu.QemuBoard(plan, tmp_path / "board", options) as board:
        with pytest.raises(BoardError, match="no-such-option"):
            board.power_on()
        assert not board.is_running


@pytest.mark.emulators("qemu")
def test_instruction_counts_repeat(bare_program, tmp_path):
    """With icount the same work takes the same number of instructions at each start."""
    plan = BoardPlan(layout=LAYOUT, firmware=bare_program)
    with qemu.QemuBoard(plan, tmp_path / "board", qemu.QemuOptions(icount=True)) as board:
        counts = []
        for _ in range(2):
            start(board)
            counts.append(board.console.wait_for("instructions", START_S).text)
            board.power_off()
    assert counts[0] == counts[1]


def test_firmware_must_exist_and_fit(tmp_path):
    """A missing firmware names the command that makes it; one that is too big is refused."""
    driver = drivers.EMULATORS[drivers.QEMU]
    with pytest.raises(BoardError, match="make firmware BOARD=virt_rv32"):
        driver(BoardPlan(layout=LAYOUT, firmware=tmp_path / "none.bin"), tmp_path / "board")
    big = tmp_path / "big.bin"
    with big.open("wb") as file:
        file.truncate(LAYOUT.FIRMWARE_BYTES + 1)
    with pytest.raises(BoardError, match="has room for"):
        driver(BoardPlan(layout=LAYOUT, firmware=big), tmp_path / "board")


@pytest.mark.emulators("qemu")
def test_emulator_dies_with_the_tests_that_are_killed(bare_program, tmp_path):
    """Tests that get SIGKILL can't clean up: the kernel ends their emulators."""
    command = [sys.executable, "-c", KILLED, bare_program, tmp_path / "board"]
    done = subprocess.run(command, cwd=Path(__file__).parent, check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    status = Path("/proc") / done.stdout.strip() / "status"
    deadline = time.monotonic() + 20
    while status.exists() and "State:\tZ" not in status.read_text():  # nobody may reap it here
        assert time.monotonic() < deadline, "QEMU still runs"
        time.sleep(0.05)
