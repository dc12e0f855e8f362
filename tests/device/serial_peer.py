"""A serial line in memory, and a bridge at its other end that does what a test says."""

import asyncio

from support import Ticks

from pawl import line
from pawl.ports.firmware import net


class Link:
    """One end of a line: what `_board.Line` is. Takes at most `most` bytes at a time, and none while it is `blocked`."""

    def __init__(self, incoming, outgoing, most=4096):
        self._incoming = incoming
        self._outgoing = outgoing
        self.most = most
        self.is_blocked = False

    def any(self):
        """Return how many bytes wait."""
        return len(self._incoming[0])

    def readinto(self, buffer):
        """Read what is there."""
        piece = self._incoming[0][: len(buffer)]
        self._incoming[0] = self._incoming[0][len(piece) :]
        buffer[: len(piece)] = piece
        return len(piece) or None

    def write(self, data):
        """Take some of it."""
        taken = 0 if self.is_blocked else min(self.most, len(data))
        self._outgoing[0] += bytes(data[:taken])
        return taken or None


class Port(Ticks):
    """Ticks that go on by themselves, and no randomness."""

    step_ms = 10

    def ticks_ms(self):
        """Each look takes a while."""
        self.now_ms += self.step_ms
        return self.now_ms

    def random(self, count):
        """Return zeros."""
        return bytes(count)


class Bridge:
    """The other end: reads frames, and answers as it is told. `window` is the credit it gives."""

    def __init__(self, link, window=8192):
        self.link = link
        self.window = window
        self.end = None
        self.frames = line.Frames()
        self.came = b""  # payloads of DATA
        self.kinds = []  # of every frame that came, with the reason of a CLOSE
        self.targets = []
        self.is_answering = True

    def turn(self):
        """Take everything that came."""
        while self.link.any():
            self.frames.add(self.link.readinto(self.frames.room()))
            while (found := self.frames.next()) is not None:
                self._take(found[0], found[1], found[2], bytes(found[3]))

    def _take(self, kind, connection, sequence, payload):
        self.kinds.append((kind, connection, payload[0] if kind == line.CLOSE else 0))
        if kind == line.OPEN:
            self.end = line.End(connection, self.window)
            self.targets.append(payload[0])
        if self.end is None or connection != self.end.connection:
            return
        assert self.end.accept(kind, sequence, payload), "a gap"
        if kind == line.OPEN and self.is_answering:
            self.say(self.end.opened())
        elif kind == line.DATA:
            self.came += payload

    def say(self, frame):
        """Write a frame to the board."""
        at = 0
        while at < len(frame):
            at += self.link.write(frame[at:])

    def send(self, content):
        """Send as much as there is credit for; return how many bytes."""
        sent = 0
        while sent < len(content) and self.end.room() > 0:
            piece = content[sent : sent + self.end.room()]
            self.say(self.end.data(piece))
            sent += len(piece)
        return sent

    def grant(self, size):
        """Give credit."""
        self.end._granted += size
        self.say(self.end._frame(line.CREDIT, size.to_bytes(2, "big")))


class Bench:
    """A board's wire and a bridge, at both ends of one line."""

    def __init__(self, most=4096, window=8192):
        up, down = [b""], [b""]
        self.port = Port()
        self.link = Link(down, up, most)
        self.wire = net.Wire(self.link, self.port)
        self.bridge = Bridge(Link(up, down), window)

    async def open(self, target=line.BROKER):
        """Return an open stream."""
        task = asyncio.create_task(net.connect(self.wire, target))
        await self.turn_until(task.done)
        return await task

    async def turn_until(self, is_over):
        """Let the bridge take its turns beside whatever runs."""
        while not is_over():
            self.bridge.turn()
            await asyncio.sleep(0.001)
