"""The second UART of a board, and several boards at once."""

import pytest
from bare_board import START_S, connect, start

pytestmark = pytest.mark.emulators("qemu", "renode")  # a real board has a firmware of its own


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
