"""What tests of the harness do with a board that runs bare_program.c."""

import re
import socket

from pawl_boards import maps

START_S = 60
LAYOUT = maps.load("virt_rv32")
SECTOR = LAYOUT.ERASE_BYTES
WROTE = re.compile("wrote [0-9a-f]{8}")


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
