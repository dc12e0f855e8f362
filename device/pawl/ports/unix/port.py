"""What the agent asks of the unix board: sockets, randomness, reset, and the file that stands for a watchdog."""

import os
import sys

from pawl import codes
from pawl.ports.board import Board
from pawl.ports.unix import layout, net


class Port(Board):
    """The unix board. `watchdog` is the file that feeding writes to. mbedTLS goes by the system's clock."""

    def __init__(self, watchdog):
        super().__init__(os.urandom, _open_stream)
        self.watchdog = watchdog

    def reset(self):
        """Reset the board: the launcher starts it again."""
        sys.exit(layout.RESET_EXIT_CODE)

    def feed(self):
        """Feed the watchdog."""
        self.watchdog.write(b".")


async def _open_stream(context, identity, target, server_name):
    """Return a stream over TCP to the broker, or to the anchor listener on its host."""
    port = identity.port if target == codes.SERVER_BROKER else identity.anchor_port
    return await net.open_stream(context, identity.host, port, server_name)
