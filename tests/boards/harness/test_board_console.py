"""The console of a board: waits, callbacks, and what a test reads when a board dies."""

import os
import signal
import time

import pytest
from bare_board import START_S, page_of, start

from pawl_boards.errors import BoardDiedError, BoardError, ConsoleTimeoutError

pytestmark = pytest.mark.emulators("qemu", "renode")  # a real board has a firmware of its own


def test_wait_that_times_out_tells_the_end_of_the_console(board):
    """The error names what was waited for and shows the last lines."""
    start(board)
    board.console.wait_for("line open", START_S)
    with pytest.raises(ConsoleTimeoutError, match=r"(?s)no line in 0.1 s with 'never'.*line open$"):
        board.console.wait_for("never", timeout_s=0.1)


def test_bytes_that_are_no_utf8_are_shown(board):
    """The console shows such bytes as escapes and goes on."""
    start(board)
    assert board.console.wait_for("no UTF-8", START_S).text == r"no UTF-8: \xff\xfe"
    board.console.wait_for("line open", START_S)


def test_emulator_that_dies_is_reported(board):
    """A wait ends at once with how the process died; the board counts as off and starts again."""
    start(board)
    board.console.wait_for("line open", START_S)
    os.killpg(board.process.process_id, signal.SIGKILL)
    began = time.monotonic()
    with pytest.raises(BoardDiedError, match=r"(?s)ended by itself by signal 9.*last lines"):
        board.console.wait_for("never", START_S)
    assert time.monotonic() - began < START_S / 2
    assert not board.is_running
    with pytest.raises(BoardError, match="by signal 9"):
        board.reset()
    start(board)
    page_of(board)


@pytest.mark.emulators("qemu")
def test_machine_that_ends_itself_is_reported_with_its_unfinished_line(board):
    """A program can end the machine: that is a death too, and what it printed last isn't lost."""
    start(board, b"D")
    with pytest.raises(BoardDiedError, match="with exit code 0"):
        board.console.wait_for("never", START_S)
    assert board.console.lines[-1].text == "dying, in the middle of a li"
    start(board)  # what was noticed is over with the next start
    board.console.wait_for("line open", START_S)


def test_death_that_nobody_noticed_fails_the_test(bench, bare_program, tmp_path):
    """A bench that is closed over a dead board says so."""
    other = type(bench)(bench.kind, bench._driver, tmp_path / "other")
    board = start(other.board(image=bare_program))
    board.console.wait_for("line open", START_S)
    os.killpg(board.process.process_id, signal.SIGKILL)
    with pytest.raises(BoardDiedError):
        board.console.wait_for("never", START_S)
    with pytest.raises(BoardDiedError, match="board 'board'"):
        other.close()


def test_callback_sees_each_line_and_its_failure_is_raised(board):
    """A callback is called in order; what it raises reaches the test, and the console goes on."""
    seen = []

    def take(line):
        seen.append(line.text)
        if "magic" in line.text:
            raise RuntimeError("out of order")

    board.console.on_line(take)
    start(board)
    with pytest.raises(BoardError, match="out of order"):
        board.console.wait_for("never", START_S)
    board.console.wait_for("line open", START_S)
    assert seen == [line.text for line in board.console.lines]


def test_callback_can_cut_the_power(board):
    """At a line is when power cuts are aimed: the callback's thread does it, the next start is clean."""
    board.console.on_line(lambda line: board.power_off() if "00000010" in line.text else None)
    start(board, b"W")
    board.console.wait_for("wrote 00000010", START_S)
    board.power_off()
    assert board.console.death == ""
    start(board)
    page_of(board)
    board.power_off()
