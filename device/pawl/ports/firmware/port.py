"""What the agent asks of a board with our firmware: TLS over the serial line, and what `_board` gives."""

import _board
import layout

from pawl.ports.board import Board
from pawl.ports.firmware.net import Wire, open_stream

try:
    from _pawl_native import sign
except ImportError:
    from pawl.p256 import sign


class Port(Board):
    """A board. `link` is its serial line. mbedTLS has no clock here: what it judges "expired" by is told before a connection.

    It never judges "not yet valid": a floor can't say that.
    """

    def __init__(self):
        super().__init__(_board.random, self._open_stream, layout.PACKET_BYTES)
        self.link = _board.Line()
        self._wire = Wire(self.link, self)

    reset = staticmethod(_board.reset)
    feed = staticmethod(_board.feed)
    sign = staticmethod(sign)

    def set_time(self, now_s):
        """Tell mbedTLS the time floor."""
        _board.set_time(now_s)

    async def _open_stream(self, context, _, target, server_name):
        """The bridge knows where broker and anchor listener are."""
        return await open_stream(self._wire, context, target, server_name)
