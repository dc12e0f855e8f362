"""One line of a bridge: opened again for as long as the bridge lives, and its frames given to one connection at a time."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pawl import line
from pawl_tools.bridge_connection import Connection, Counts, first_of
from pawl_tools.bridge_flow import Bucket, Outbox
from pawl_tools.bridge_wire import Address, LineSpec, Wire

FIRST_PAUSE_S = 0.2
LAST_PAUSE_S = 5.0
SILENCE_S = 0.5  # within a frame: its sender died
_TARGET_NAMES = {line.BROKER: "broker", line.ANCHORS: "anchors"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one line may use."""

    bytes_per_s: float | None = None
    connects_per_minute: int = 20

    def __post_init__(self) -> None:
        """Refuse limits under which nothing could ever pass."""
        if self.connects_per_minute < 1 or (self.bytes_per_s is not None and self.bytes_per_s <= 0):
            raise ValueError("a limit must be above 0")


Tell = Callable[[str, str, Counts], None]


class Carrier:
    """Carries one line. `targets` is all that it can reach; `tell` hears what changes: (line, words, counts)."""

    def __init__(self, spec: LineSpec, targets: Mapping[int, Address], limits: Limits, tell: Tell) -> None:
        self.spec = spec
        self._targets = targets
        self._tell_all = tell
        self._bucket = Bucket(limits.bytes_per_s)
        self._connects = Bucket(limits.connects_per_minute / 60, limits.connects_per_minute)
        self._counts = Counts()
        self._noise_before = 0
        self._told = ""  # why it can't be opened
        self._heard = 0  # frames since the line was opened
        self._frames = line.Frames()
        self._outbox = Outbox()
        self._connection: Connection | None = None
        self._left: Connection | None = None  # over for the device, may still run

    @property
    def counts(self) -> Counts:
        """Return what happened so far."""
        self._counts.noise_bytes = self._noise_before + self._frames.dropped
        return self._counts

    async def run(self, wire: Wire | None = None) -> None:
        """Keep the line open until cancelled; the pause before each attempt grows until something is heard."""
        pause_s = FIRST_PAUSE_S
        openings = 0
        while True:
            wire = wire or await self._opened()
            if wire is not None:
                self._counts.reopened = openings
                openings += 1
                pause_s = FIRST_PAUSE_S if await self._attend(wire) else pause_s
                wire = None
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LAST_PAUSE_S)

    async def _opened(self) -> Wire | None:
        try:
            wire = await self.spec.open()
        except OSError as error:
            words = f"can't be opened: {error or type(error).__name__}"
            if words != self._told:
                self._tell(words)
            self._told = words
            return None
        self._told = ""
        return wire

    async def _attend(self, wire: Wire) -> bool:
        """Serve the open line until it is gone; return whether anything was heard."""
        self._noise_before += self._frames.dropped
        self._frames = line.Frames()
        self._outbox = Outbox()
        self._tell("open")
        self._heard = 0
        try:
            fault = await first_of(self._read(wire), self._write(wire))
        finally:
            try:
                await self._end_all()
            finally:  # also if it is cancelled there
                wire.close()
        self._tell(f"gone: {fault or 'the other side closed it'}")
        return self._heard > 0

    async def _write(self, wire: Wire) -> None:
        while True:
            await wire.write(await self._outbox.next())

    async def _read(self, wire: Wire) -> None:
        reading: asyncio.Task[bytes] | None = None
        try:
            while True:
                reading = reading or asyncio.create_task(wire.read())
                silence_s = SILENCE_S if self._frames.is_partial() else None
                done, _ = await asyncio.wait({reading}, timeout=silence_s)
                if not done:
                    self._frames.forget()
                    await self._handle_all()
                    continue
                piece, reading = reading.result(), None
                if not piece:
                    return
                await self._cut(piece)
        finally:
            if reading is not None:
                reading.cancel()
                await asyncio.wait({reading})

    async def _cut(self, piece: bytes) -> None:
        rest = memoryview(piece)
        while rest:
            room = self._frames.room()
            count = min(len(room), len(rest))
            room[:count] = rest[:count]
            self._frames.add(count)
            rest = rest[count:]
            await self._handle_all()

    async def _handle_all(self) -> None:
        while (found := self._frames.next()) is not None:
            self._heard += 1
            await self._outbox.room()
            await self._handle(*found)

    async def _handle(self, kind: int, number: int, sequence: int, payload: memoryview) -> None:
        if kind == line.BLANK:
            self._tell("a blank board asks to be provisioned")
        elif kind == line.OPEN and sequence == 0:
            await self._open(number, bytes(payload))
        elif self._connection is not None and number == self._connection.end.connection:
            self._pass_on(self._connection, kind, sequence, payload)
        elif kind < line.BLANK and kind != line.CLOSE:
            self._outbox.put(line.End(number, 0).close(line.UNKNOWN))

    def _pass_on(self, connection: Connection, kind: int, sequence: int, payload: memoryview) -> None:
        if kind == line.CLOSE:
            self._connection, self._left = None, connection
            connection.leave()
        elif connection.end.note(kind, sequence, payload):
            connection.take(kind, payload)
        else:
            self._counts.lost += 1
            self._connection, self._left = None, connection
            connection.abort()
            self._outbox.put(connection.end.close(line.LOST))
            self._tell_end(connection, line.LOST)

    async def _open(self, number: int, payload: bytes) -> None:
        """A device opens one connection at a time: what was before is over, also if the device can't remember it."""
        await self._end_all()
        self._outbox.clear()
        connection = Connection(number, self._outbox, self._bucket, self._counts)
        is_whole = connection.end.note(line.OPEN, 0, memoryview(payload))
        address = self._targets.get(payload[0]) if is_whole else None
        if address is None or not self._connects.try_take():
            self._counts.refused += 1
            self._outbox.put(connection.end.close(line.REFUSED))
            why = "too many in a minute" if address else "it asks for nothing that a bridge reaches"
            self._tell(f"connection {number} refused: {why}")
            return
        self._counts.connections += 1
        self._connection = connection
        connection.start(address, lambda reason: self._ended(connection, reason))
        self._tell(f"connection {number} to the {_TARGET_NAMES[payload[0]]} at {address[0]}:{address[1]}")

    def _ended(self, connection: Connection, reason: int) -> None:
        if reason == line.UNREACHABLE:
            self._counts.unreachable += 1
        if self._connection is connection:
            self._connection = None
        self._tell_end(connection, reason)

    async def _end_all(self) -> None:
        for connection in (self._connection, self._left):
            if connection is not None:
                await connection.stop()
        self._connection = self._left = None

    def _tell_end(self, connection: Connection, reason: int) -> None:
        self._tell(f"connection {connection.end.connection} is over: {line.REASON_NAMES[reason]}")

    def _tell(self, words: str) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._tell_all(self.spec.name, words, self.counts)
