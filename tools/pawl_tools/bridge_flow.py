"""What bounds a bridge's line: a bucket for what passes in a second, an outbox for what waits to be written."""

import asyncio
from collections import deque

WINDOW_BYTES = 8192


class Bucket:
    """So much a second and no more, of bytes or of anything; the first second's worth may come at once."""

    def __init__(self, per_second: float | None, burst: float | None = None) -> None:
        self._rate = per_second
        self._most = burst or per_second or 0.0
        self._left = self._most
        self._seen_s = asyncio.get_running_loop().time()

    async def take(self, amount: int) -> None:
        """Return at once, and let the next one wait until this one's share is there again."""
        if self._rate is None:
            return
        if (left := self._fill()) <= 0:
            await asyncio.sleep(-left / self._rate)
        self._left -= amount

    def try_take(self) -> bool:
        """Take one if there is one."""
        if self._rate is None:
            return True
        if self._fill() < 1:
            return False
        self._left -= 1
        return True

    def _fill(self) -> float:
        now_s = asyncio.get_running_loop().time()
        self._left = min(self._most, self._left + (now_s - self._seen_s) * (self._rate or 0.0))
        self._seen_s = now_s
        return self._left


class Outbox:
    """Frames on their way to a line, in the order in which they were numbered."""

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()

    def put(self, frame: memoryview | bytes) -> None:
        """Add a frame; whoever adds many waits for `room` before each."""
        self._frames.append(bytes(frame))
        self._bytes += len(frame)
        self._note()

    def clear(self) -> None:
        """Forget what is meant for a connection that is over."""
        self._frames.clear()
        self._bytes = 0
        self._note()

    async def room(self) -> None:
        """Return when less than a window waits here."""
        await self._has_room.wait()

    async def next(self) -> bytes:
        """Return the oldest frame; waits for one."""
        await self._filled.wait()
        frame = self._frames.popleft()
        self._bytes -= len(frame)
        self._note()
        return frame

    def _note(self) -> None:
        for event, is_so in (
            (self._filled, bool(self._frames)),
            (self._has_room, self._bytes < WINDOW_BYTES),
        ):
            if is_so:
                event.set()
            else:
                event.clear()
