"""The pytest plugin, in runs of its own: what a person reads when boards fail or emulators are absent."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FAILING = """
import pytest
from pathlib import Path

IMAGE = Path({image!r})

def test_fails(bench):
    board = bench.board(image=IMAGE)
    board.power_on()
    board.console.wait_for("line open", 60)
    bench.board("second", image=IMAGE)
    assert board.is_running and not "what it must"

@pytest.mark.emulators("qemu")
def test_of_qemu(bench):
    bench.board(image=IMAGE)

def test_without_a_board():
    pass
"""


@pytest.fixture
def run(tmp_path, bare_program):
    """Call pytest on that file; returns its exit code and output."""

    def run(*options, path=os.environ["PATH"]):
        (tmp_path / "test_boards.py").write_text(FAILING.format(image=str(bare_program)))
        environment = {**os.environ, "PATH": path}
        environment.pop("RENODE_HOME", None)
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "pawl_boards.plugin",
            "--rootdir",
            tmp_path,
            *options,
        ]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True
        )
        return done.returncode, done.stdout + done.stderr

    return run


def path_without(*names):
    """A PATH on which these programs aren't."""
    folders = os.environ["PATH"].split(os.pathsep)
    return os.pathsep.join(f for f in folders if not any((Path(f) / name).exists() for name in names))


def test_failure_keeps_logs_and_flash_and_names_them(run, tmp_path):
    """Console, line and flash of each board of the failed test are kept, and the report says where; nothing else is."""
    code, output = run("--emulator", "qemu", "-k", "test_fails or of_qemu")
    kept = list((tmp_path / "build" / "board-logs").iterdir())
    assert code == 1 and len(kept) == 1 and f"flash are kept in {kept[0]}" in output
    assert "line open" in (kept[0] / "board" / "console.log").read_text()
    assert {file.name for file in (kept[0] / "board").iterdir()} >= {
        "line.log",
        "flash.bin.gz",
        "emulator.log",
    }
    assert (kept[0] / "second" / "flash.bin.gz").stat().st_size < 1 << 20
    assert "1 failed, 1 passed" in output


def test_absent_renode_is_counted_in_the_last_lines(run):
    """Both with QEMU and with Renode asked for: tests that would have run on Renode are counted, others aren't."""
    path = path_without("renode")
    line = "1 board tests on Renode did not run: no renode on PATH or in RENODE_HOME"
    code, output = run("--emulator", "renode", path=path)
    assert code == 0 and [text for text in output.splitlines() if text][-2] == line
    assert "1 passed, 1 skipped, 1 deselected" in output
    code, output = run("-k", "test_without or of_qemu", path=path)
    assert code == 0 and "board tests on Renode" not in output


def test_missing_qemu_is_an_error(run):
    """Without QEMU a board test fails; it isn't skipped."""
    code, output = run("-k", "fails", path=path_without("qemu-system-riscv32"))
    assert code == 1 and "qemu-system-riscv32 can't be started" in output and "skipped" not in output


def test_serial_without_a_port_is_refused(run):
    """The refusal gives an example."""
    code, output = run("--emulator", "serial")
    assert code == 4 and "--port /dev/ttyUSB0" in output


def test_setpriv_is_there():
    """On Linux emulators die with the tests that started them."""
    assert shutil.which("setpriv")
