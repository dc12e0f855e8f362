"""A board whose idle time takes no time: QEMU counts instructions, and jumps to the next timer when the board sleeps.

Hours of its own time pass in seconds of ours, so nothing can be on the other end of its line meanwhile.

    quicken(board)
    board.power_on()
"""

from pawl_boards.qemu import QemuOptions


def quicken(board):
    """Let the time of this board jump, from the next start on."""
    board.options = QemuOptions(arguments=("-icount", "shift=3,sleep=off"))


def slow_down(board):
    """Let it take its time again, from the next start on."""
    board.options = QemuOptions()
