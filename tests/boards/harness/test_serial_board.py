"""Real boards: the driver against a pseudo-terminal, which is a serial port without control lines."""

import os
import tty
from argparse import Namespace

import pytest

from pawl_boards.errors import BoardDiedError, BoardError, NotPossibleError
from pawl_boards.serial_board import SerialBench, SerialBoard, Wiring


@pytest.fixture
def wire():
    """Both ends of a pseudo-terminal: (descriptor of the board's end, name of the host's)."""
    board_end, host_end = os.openpty()
    tty.setraw(host_end)
    yield board_end, os.ttyname(host_end)
    os.close(host_end)
    os.close(board_end)


def test_console_starts_and_reset(wire, tmp_path):
    """Lines come with the start that printed them; a board without a power command is switched on by a reset."""
    board_end, port = wire
    with SerialBoard("real", Wiring(console=port, line="/dev/line"), tmp_path) as board:
        board.power_on()
        os.write(board_end, b"hello \xff\r\nhalf")
        assert board.console.wait_for("hello", 5).text == r"hello \xff"
        board.reset()
        os.write(board_end, b"again\n")
        assert board.console.wait_for("again", 5).start == board.starts == 2
        assert board.line == "/dev/line" and board.is_running


def test_what_is_not_wired_is_refused(wire, tmp_path):
    """Power, flash and line: each refusal names what is missing."""
    with SerialBoard("real", Wiring(console=wire[1]), tmp_path) as board:
        for refused, named in (
            (board.power_off, "--power-command"),
            (board.read_flash, "can't be read"),
            (lambda: board.write_flash(b"x"), "can't be written"),
            (lambda: board.line, "--line-port"),
        ):
            with pytest.raises(NotPossibleError, match=named):
                refused()


def test_power_command(wire, tmp_path):
    """The command is called with `on` and `off`; one that fails is told."""
    script = tmp_path / "power"
    script.write_text(f'#!/bin/sh\necho "$1" >>{tmp_path}/called\n')
    script.chmod(0o755)
    options = Namespace(port=wire[1], line_port=None, power_command=str(script))
    bench = SerialBench("real", options, tmp_path / "boards")
    board = bench.board()
    board.power_on()
    board.power_off()
    assert not board.is_running
    board.power_on()
    bench.close()
    assert (tmp_path / "called").read_text().split() == ["on", "off", "on", "off"]
    failing = SerialBoard("real", Wiring(console=wire[1], power_on="false"), tmp_path)
    with failing, pytest.raises(BoardError, match="power command failed"):
        failing.power_on()


def test_port_that_is_not_there(tmp_path):
    """The error names the port."""
    with pytest.raises(BoardError, match=r"no-port.*can't be opened"):
        SerialBoard("real", Wiring(console=str(tmp_path / "no-port")), tmp_path)


def test_board_that_is_pulled_out_is_reported(tmp_path):
    """When the port vanishes, a wait ends at once."""
    board_end, host_end = os.openpty()
    tty.setraw(host_end)
    name = os.ttyname(host_end)
    with SerialBoard("real", Wiring(console=name), tmp_path) as board:
        board.power_on()
        os.close(host_end)
        os.close(board_end)
        with pytest.raises(BoardDiedError, match="is gone"):
            board.console.wait_for("never", 10)


def test_bench_has_one_board(wire, tmp_path):
    """There is one board at a port, and it runs what was flashed."""
    options = Namespace(port=wire[1], line_port="loop://", power_command=None)
    bench = SerialBench("real", options, tmp_path / "boards")
    with pytest.raises(NotPossibleError, match="what was flashed"):
        bench.board(heap_bytes=1)
    bench.board()
    with pytest.raises(NotPossibleError, match="no board 'two'"):
        bench.board("two")
    bench.close()
