"""Power, resets and flash of a board, against real emulators."""

import struct
import time

import pytest
from bare_board import LAYOUT, SECTOR, START_S, WROTE, page_of, start

from pawl_boards.errors import BoardError
from pawl_boards.parameters import MAGIC

pytestmark = pytest.mark.emulators("qemu", "renode")  # a real board has a firmware of its own


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
    deadline = time.monotonic() + 10
    while board.resets_seen < 1 and time.monotonic() < deadline:  # it comes on a way of its own
        time.sleep(0.01)
    assert board.resets_seen == 1
