"""One connection of a device to the broker or to the anchors: bytes both ways, each against the other side's credit.

It holds at most a window of the device's bytes, and one frame of the server's. It never looks into them.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from pawl import line
from pawl_tools.bridge_flow import WINDOW_BYTES, Bucket, Outbox
from pawl_tools.bridge_wire import Address, dial

LINGER_S = 5.0


@dataclass(slots=True)
class Counts:
    """What happened on a line; bytes are those of connections, without frames."""

    up_bytes: int = 0
    down_bytes: int = 0
    connections: int = 0
    refused: int = 0
    unreachable: int = 0
    lost: int = 0  # connections that ended because a frame was missing
    noise_bytes: int = 0
    reopened: int = 0


async def first_of(*ways: Coroutine[None, None, None]) -> OSError | None:
    """Run both until one ends, and end the other; return the one's OSError, raise what is our own fault."""
    tasks = [asyncio.create_task(way) for way in ways]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for error in (task.exception() for task in done):
        if error is not None and not isinstance(error, OSError):
            raise error
    return next((error for task in done if isinstance(error := task.exception(), OSError)), None)


class Connection:
    """Carries one connection in a task of its own, until either side ends it."""

    def __init__(self, number: int, outbox: Outbox, bucket: Bucket, counts: Counts) -> None:
        self.end = line.End(number, WINDOW_BYTES)
        self._outbox = outbox
        self._bucket = bucket
        self._counts = counts
        self._inbox: deque[bytes] = deque()
        self._news = asyncio.Event()  # of data, credit, or the device's goodbye
        self._credited = asyncio.Event()
        self._is_left = False
        self._task: asyncio.Task[None] | None = None

    def start(self, address: Address, on_end: Callable[[int], None]) -> None:
        """Begin to connect; `on_end` is told why it ended, unless it was stopped."""
        self._task = asyncio.create_task(self._run(address, on_end))

    def take(self, kind: int, payload: memoryview) -> None:
        """Take a frame that `end` accepted: keep data, or notice credit."""
        if kind == line.DATA:
            self._inbox.append(bytes(payload))
            self._news.set()
        self._credited.set()

    def leave(self) -> None:
        """The device closed: what it sent before still goes out, for a short while."""
        self._is_left = True
        self._news.set()
        if self._task is not None:
            asyncio.get_running_loop().call_later(LINGER_S, self._task.cancel)

    async def stop(self) -> None:
        """End at once, or within a second if the device has said goodbye; returns when nothing of it runs any more."""
        if self._task is None:
            return
        if self._is_left:
            await asyncio.wait({self._task}, timeout=1)
        self._task.cancel()
        await asyncio.wait({self._task})

    def abort(self) -> None:
        """End at once, and don't wait for it."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self, address: Address, on_end: Callable[[int], None]) -> None:
        reason = await self._carry(address)
        if not self._is_left:
            self._outbox.put(self.end.close(reason))
        on_end(reason)

    async def _carry(self, address: Address) -> int:
        """Return why it ended."""
        try:
            server = await dial(address)
        except OSError:
            return int(line.UNREACHABLE)
        with server:
            self._outbox.put(self.end.opened())
            await first_of(self._up(server), self._down(server))
        return int(line.ENDED)

    async def _up(self, server: socket.socket) -> None:
        """Carry what the device sends; credit is given back when the server's socket has taken it."""
        loop = asyncio.get_running_loop()
        while self._inbox or not self._is_left:
            if not self._inbox:
                self._news.clear()
                await self._news.wait()
                continue
            payload = self._inbox.popleft()
            await self._bucket.take(len(payload))
            await loop.sock_sendall(server, payload)
            self._counts.up_bytes += len(payload)
            credit = self.end.consumed(len(payload))
            if credit is not None:
                self._outbox.put(credit)

    async def _down(self, server: socket.socket) -> None:
        """Carry what the server sends: nothing is read from it that the device has no room for."""
        loop = asyncio.get_running_loop()
        while True:
            await self._outbox.room()
            while self.end.room() <= 0:
                self._credited.clear()
                await self._credited.wait()
            payload = await loop.sock_recv(server, self.end.room())
            if not payload:
                return
            await self._bucket.take(len(payload))
            self._counts.down_bytes += len(payload)
            self._outbox.put(self.end.data(payload))
