"""The harness against real emulators: power, reset, flash, console, line, and what is left behind: nothing."""

import os
import re
import signal
import socket
import struct
import time
from pathlib import Path

import pytest

from pawl_boards import drivers, maps, qemu
from pawl_boards.board import BoardPlan
from pawl_boards.errors import BoardDiedError, BoardError, ConsoleTimeoutError
from pawl_boards.parameters import MAGIC

pytestmark = pytest.mark.emulators("qemu", "renode")  # a real board has a firmware of its own
START_S = 60
LAYOUT = maps.load("virt_rv32")
SECTOR = LAYOUT.ERASE_BYTES
WROTE = re.compile("wrote [0-9a-f]{8}")


@pytest.fixture
def board(bench, bare_program):
    return bench.board(image=bare_program)


def start(board, mode=b"\xff"):
    """Switch a board on, with the mode of bare_program.c."""
    board.write_flash(mode)
    board.power_on()
    return board


def page_of(board):
    """Return (magic, heap bytes, first word of entropy) as the board printed them."""
    words = board.console.wait_for("magic", START_S).text.split()
    return tuple(int(word, 16) for word in words[1::2])


def connect(board):
    port = int(board.line.rpartition(":")[2])
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def written_numbers(content):
    """Return how many numbered units lie there without a gap; behind them all must be erased."""
    count = 0
    while content[4 * count : 4 * count + 4] == struct.pack("<I", count):
        count += 1
    assert set(content[4 * count :]) == {0xFF}
    return count


def test_parameters_page_has_heap_and_fresh_entropy(bench, bare_program):
    """Each start sees the magic, the heap that was asked for, and entropy that no start had before."""
    board = bench.board(image=bare_program, heap_bytes=96 * 1024)
    pages = []
    for _ in range(2):
        start(board)
        pages.append(page_of(board))
        board.power_off()
    assert [page[:2] for page in pages] == [(MAGIC, 96 * 1024)] * 2
    assert pages[0][2] != pages[1][2]


def test_power_off_in_the_middle_of_writes_keeps_what_was_written(board):
    """Whatever the board said it wrote is in its flash after the power was cut, and stays there."""
    start(board, b"W")
    board.console.wait_for("wrote 00000040", START_S)
    board.power_off()
    said = [line.text for line in board.console.lines if WROTE.fullmatch(line.text)]
    count = written_numbers(board.read_flash(SECTOR, SECTOR))
    assert count >= int(said[-1].split()[1], 16) + 1
    start(board)
    page_of(board)
    board.power_off()
    assert written_numbers(board.read_flash(SECTOR, SECTOR)) == count


def test_flash_is_erased_and_can_be_written_in_part_while_off(board):
    """A new board's flash is erased and whole; content beyond its end is refused."""
    assert board.read_flash().count(b"\xff") == LAYOUT.FLASH_BYTES
    board.write_flash(b"part", 2 * SECTOR)
    assert board.read_flash(2 * SECTOR - 1, 6) == b"\xffpart\xff"
    with pytest.raises(BoardError, match="don't fit"):
        board.write_flash(b"12", LAYOUT.FLASH_BYTES - 1)


def test_what_needs_a_board_that_is_off_is_refused_while_on(board):
    """Flash isn't read or written under a running board, which isn't switched on twice; one that is off isn't reset."""
    with pytest.raises(BoardError, match="off and can't be reset"):
        board.reset()
    start(board)
    for refused in (board.power_on, board.read_flash, lambda: board.write_flash(b"x")):
        with pytest.raises(BoardError, match="switch it off first"):
            refused()
    assert board.is_running and board.starts == 1


def test_resets_from_outside_are_starts(board):
    """A reset starts the program again in the same process, and lines tell which start printed them."""
    start(board)
    first = board.console.wait_for("line open", START_S)
    board.reset()
    second = board.console.wait_for("line open", START_S)
    assert (first.start, second.start, board.starts) == (1, 2, 2)
    assert board.console.text.count("magic") == 2


def test_board_resets_itself_and_keeps_its_ram(board):
    """The test device resets the machine: RAM keeps its content, the page is the same; it is no start from here."""
    start(board, b"R")
    before = page_of(board)
    board.console.wait_for("resetting", START_S)
    assert page_of(board) == before
    board.console.wait_for("was reset", START_S)
    assert board.starts == 1


@pytest.mark.emulators("qemu")
def test_resets_of_the_machine_are_seen(board):
    """QEMU tells of each reset, whoever asked for it."""
    start(board, b"R")
    board.console.wait_for("was reset", START_S)
    assert board.resets_seen == 1


def test_line_carries_bytes_and_its_port_stays(board):
    """The second UART is a socket; it is the same one after a power cut, refused between."""
    line = board.line
    for _ in range(2):
        start(board)
        board.console.wait_for("line open", START_S)
        with connect(board) as connection:
            connection.sendall(b"\x00")
            assert connection.recv(1) == b"\x00"
        board.power_off()
        with pytest.raises(ConnectionRefusedError):
            connect(board)
    assert board.line == line


def test_several_boards_at_once_are_apart(bench, bare_program):
    """Three boards run together; a byte on one's line reaches that one only; one's power cut leaves the others."""
    boards = [start(bench.board(name, image=bare_program)) for name in ("one", "two", "three")]
    assert len({board.line for board in boards}) == 3
    for number, board in enumerate(boards):
        board.console.wait_for("line open", START_S)
        with connect(board) as connection:
            connection.sendall(bytes([number]))
            board.console.wait_for(f"line {number:08x}", START_S)
    boards[0].power_off()
    assert [board.is_running for board in boards] == [False, True, True]
    assert [board.console.text.count("line 0") for board in boards] == [1, 1, 1]
    with pytest.raises(ValueError, match="own name"):
        bench.board("one", image=bare_program)


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
    board.power_on()  # what was noticed is over with the next start
    board.power_off()


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
    board.console.on_line(lambda line: board.process.kill() if "00000010" in line.text else None)
    start(board, b"W")
    board.console.wait_for("wrote 00000010", START_S)
    board.power_off()
    assert board.console.death == ""
    start(board)
    page_of(board)
    board.power_off()


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
