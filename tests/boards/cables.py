"""What lies between a board and the broker, to be broken: a cable that can be unplugged, and a bridge that can be killed."""

import asyncio
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from pawl_tools.site import HOST

_PAWL = Path(sys.executable).with_name("pawl")
_CHUNK_BYTES = 4096


class Cable:
    """A line whose bytes are lost while it is unplugged; nobody is told. `async with Cable(board) as cable`: `cable.line`."""

    def __init__(self, board):
        self._port = board.line_port
        self._server = None
        self._tasks = set()
        self.is_plugged = True

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._join, HOST, 0)
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def line(self):
        """The bridge's end, as pyserial names it."""
        return f"socket://{HOST}:{self._server.sockets[0].getsockname()[1]}"

    async def _join(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            with suppress(OSError):
                board_reader, board_writer = await asyncio.open_connection(HOST, self._port)
                await asyncio.gather(self._carry(reader, board_writer), self._carry(board_reader, writer))
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _carry(self, reader, writer):
        try:
            while piece := await reader.read(_CHUNK_BYTES):
                if self.is_plugged:
                    writer.write(piece)
                    await writer.drain()
        finally:
            writer.close()


class BridgeProcess:
    """`pawl bridge` as operators run it, for one line."""

    def __init__(self, line, port):
        self._arguments = [_PAWL, "bridge", line, "--broker", f"{HOST}:{port}", "--connects-per-minute", "6000"]
        self._process = None

    def start(self):
        """Start it."""
        self._process = subprocess.Popen(self._arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self):
        """Kill it, whatever it does."""
        self._process.kill()
        self._process.wait()
