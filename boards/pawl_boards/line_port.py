"""The TCP port of a board's line: the same one for all starts, and nobody else's while the board is off."""

import socket

ADDRESS = "127.0.0.1"


class LinePort:
    """A port kept by a socket that is bound and never listens: connecting is refused until an emulator listens there.

    Both sides set SO_REUSEADDR, so an emulator may bind it too; the system hands it to nobody who asks for any port.
    """

    def __init__(self) -> None:
        self._keeper = socket.socket()
        self._keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._keeper.bind((ADDRESS, 0))
        self.number: int = self._keeper.getsockname()[1]

    @property
    def url(self) -> str:
        """The port as pyserial names it."""
        return f"socket://{ADDRESS}:{self.number}"

    def close(self) -> None:
        """Give the port back."""
        self._keeper.close()
