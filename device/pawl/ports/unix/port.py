"""What the agent asks of the unix board: sockets, randomness, reset, and the file that stands for a watchdog."""

import os
import sys

from pawl import p256
from pawl.ports import tcp
from pawl.ports.board import Board
from pawl.ports.unix import layout


class Port(Board):
    """The unix board. `watchdog` is the file that feeding writes to. mbedTLS goes by the system's clock."""

    def __init__(self, watchdog):
        super().__init__(os.urandom, tcp.open_stream)
        self.watchdog = watchdog

    sign = staticmethod(p256.sign)

    def reset(self):
        """Reset the board: the launcher starts it again."""
        sys.exit(layout.RESET_EXIT_CODE)

    def feed(self):
        """Feed the watchdog."""
        self.watchdog.write(b".")
