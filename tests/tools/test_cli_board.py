"""`pawl board test`: which pytest run it starts."""

import subprocess
import sys

PAWL = [sys.executable, "-c", "from pawl_tools.cli import main; main()", "board", "test"]


def run(*arguments):
    done = subprocess.run([*PAWL, *arguments], check=False, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_options_reach_pytest():
    """The chosen tests run on the chosen emulator and board."""
    code, output = run("--board", "virt_rv32", "--emulator", "qemu", "-k", "unknown_board")
    assert code == 0 and "1 passed" in output


def test_failure_is_exit_1():
    """A run that isn't a success is one line with pytest's exit code."""
    code, output = run("-k", "no_test_has_this_name")
    assert code == 1 and "pytest's exit code 5" in output


def test_port_belongs_to_a_real_board():
    """A serial run without a port, or a port with an emulator, is refused with an example."""
    for arguments in (("--emulator", "serial"), ("--emulator", "qemu", "--port", "/dev/ttyUSB0")):
        code, output = run(*arguments)
        assert code == 2 and "--port /dev/ttyUSB0" in output


def test_port_alone_means_serial():
    """With --port the tests run on the board there: what is for emulators isn't among them."""
    for options, status in (((), 0), (("--port", "/dev/ttyUSB0"), 1)):
        code, output = run(*options, "-k", "test_flash_is_erased")
        assert code == status and ("pytest's exit code 5" if status else "1 passed") in output
