"""What TLS runs over on a board without a network: one connection at a time over the serial line, to a bridge.

`pawl.line` says what is on the line. A connection that ended keeps its TransportError in `fault`, because TLS only passes
numbers on. Buffers are made once, with the Wire; whoever opens a connection ends the one before.

    wire = Wire(_board.Line(), port)
    stream, below = await open_stream(wire, context, line.BROKER, "updates.example")
"""

import asyncio
import io

from pawl import codes, line
from pawl.compat import const
from pawl.errors import TransportError

WINDOW = const(2048)
OPEN_TIMEOUT_MS = 15000  # a bridge has 10 s to reach the server
_PARTIAL_MAX_MS = const(500)
_READS_MAX = const(4)  # at once: noise must not keep anybody else from running
_FRAMES_MAX = const(8)
_POLL_S = 0.005

# MicroPython's numbers for `ioctl`, and for what it returns below zero.
_POLL = const(3)
_CLOSE = const(4)
_READABLE = const(1)
_WRITABLE = const(4)
_INVALID = const(22)
_RESET = const(104)

_NO_BRIDGE = "no bridge answers on the line: is `pawl bridge` running, and on this line?"
_WORDS = {
    line.UNREACHABLE: "the bridge can't reach the server: is the broker up, and its address right?",
    line.LOST: "bytes were lost on the line",
    line.UNKNOWN: "the bridge knows no such connection: was it started again?",
    line.REFUSED: "the bridge refuses: see its log",
}


class Wire:
    """The line and what is on its way: frames that come, and the one that goes.

    `link` has any, readinto and write, and never blocks; `port` has random, ticks_ms and ticks_diff.
    """

    def __init__(self, link, port):
        self._link = link
        self._port = port
        self._frames = line.Frames()
        self.buffer = bytearray(line.FRAME_MAX)  # what a connection builds its frames in
        self.inbox = bytearray(WINDOW)
        self._stream = None
        self._number = 0
        self._rest = None
        self._heard_ms = self.now_ms()

    def new_stream(self):
        """Return a stream for the next connection, which has another number; the one before is closed."""
        if self._stream is not None:
            self._stream.close()
        step = 1 + self._port.random(1)[0] % 254
        self._number = (self._number + step - 1) % 255 + 1  # 0 is that of provisioning
        self._stream = SerialStream(self, self._number)
        return self._stream

    def past_ms(self, since_ms):
        """Return the time since some ticks."""
        return self._port.ticks_diff(self.now_ms(), since_ms)

    def now_ms(self):
        """Return the ticks."""
        return self._port.ticks_ms()

    def next(self):
        """Return (kind, connection, sequence, payload) of the next frame that came, or None."""
        for _ in range(_READS_MAX):
            found = self._frames.next()
            if found is not None or not self._read():
                return found
        return None

    def _read(self):
        """Return whether there is more to look at than before."""
        got = self._link.readinto(self._frames.room()) if self._link.any() else None
        if got:
            self._frames.add(got)
            self._heard_ms = self.now_ms()
            return True
        if self._frames.is_partial() and self.past_ms(self._heard_ms) > _PARTIAL_MAX_MS:
            self._frames.forget()  # whoever began it died
            return True
        return False

    def flush(self):
        """Write what is left of a frame; return whether all of it is written."""
        rest = self._rest
        while rest is not None:
            taken = self._link.write(rest)
            if not taken:
                break
            rest = rest[taken:] if taken < len(rest) else None
        self._rest = rest
        return rest is None

    def send(self, frame):
        """Begin to write a frame; the one before has to be written, see `flush`."""
        assert self._rest is None, "a frame is being written"
        self._rest = frame
        self.flush()


class SerialStream(io.IOBase):
    """One connection, never blocking: what TLS reads and writes, and what it is polled by."""

    def __init__(self, wire, number):
        super().__init__()
        self.fault = None
        self._wire = wire
        self._end = line.End(number, WINDOW, wire.buffer)
        self._inbox = memoryview(wire.inbox)
        self._first = self._last = 0  # of what came and wasn't read
        self._taken = 0  # bytes of frames that were read, and the bridge doesn't know it
        self._frames_held = 0
        self._is_open = False
        self._is_over = False  # nothing more comes
        self._is_closed = False

    async def open(self, target):
        """Return once the bridge has reached the server; raises TransportError."""
        wire = self._wire
        began_ms = wire.now_ms()
        is_asked = False
        while not self._is_open:
            if not is_asked and wire.flush():
                wire.send(self._end.open(target))
                is_asked = True
            self._pump()
            if self._is_over:
                raise self.fault or TransportError(codes.REASON_LINK_LOST, "the server closed the connection")
            if wire.past_ms(began_ms) > OPEN_TIMEOUT_MS:
                raise TransportError(codes.REASON_LINK_LOST, _NO_BRIDGE)
            await asyncio.sleep(_POLL_S)

    # --- what TLS calls

    def readinto(self, view):
        """Read what is there; None: nothing yet, 0: the server closed, below 0: see `fault`."""
        if self._first == self._last:
            self._pump()
        count = min(len(view), self._last - self._first)
        if count:
            view[:count] = self._inbox[self._first : self._first + count]
            self._first += count
            if self._first == self._last:
                self._note_read()
            return count
        if self.fault is not None or self._is_closed:
            return -_RESET
        return 0 if self._is_over else None

    def write(self, data):
        """Write as much as credit and line take now; None: nothing, below 0: see `fault`."""
        if not self._can_write():
            return -_RESET if self._is_over else None
        count = min(self._end.room(), len(data))
        self._wire.send(self._end.data(memoryview(data)[:count]))
        return count

    def ioctl(self, request, argument):
        """Poll and close, as MicroPython's streams do."""
        if request == _CLOSE:
            self.close()
            return 0
        if request != _POLL:
            return -_INVALID
        ready = 0
        self._tell_credit()
        if self._first == self._last:
            self._pump()
        if argument & _READABLE and (self._last > self._first or self._is_over):
            ready |= _READABLE
        if argument & _WRITABLE and (self._can_write() or self._is_over):
            ready |= _WRITABLE
        return ready

    def close(self):
        """End the connection; a second call does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        if not self._is_over and self._wire.flush():
            self._wire.send(self._end.close(line.ENDED))
        self._is_over = True

    # --- frames

    def _can_write(self):
        if self._is_over or not self._wire.flush():
            return False
        if self._end.room() <= 0:
            self._pump()  # credit may wait behind data that nobody reads now
        return not self._is_over and self._end.room() > 0 and self._wire.flush()

    def _pump(self):
        """Take the frames that came; of data at most what the bridge had credit for."""
        for _ in range(_FRAMES_MAX):
            found = None if self._is_over else self._wire.next()
            if found is None:
                return
            kind, connection, sequence, payload = found
            if connection == self._end.connection:
                self._take(kind, sequence, payload)
            elif kind != line.CLOSE and self._wire.flush():
                self._refuse(connection)
            if kind == line.DATA:
                return

    def _take(self, kind, sequence, payload):
        is_sound = self._end.accept(kind, sequence, payload)
        if not is_sound or (kind == line.DATA and self._last + len(payload) > WINDOW):
            if self._wire.flush():
                self._wire.send(self._end.close(line.LOST))
            self._lose(line.LOST)
        elif kind == line.OPENED:
            self._is_open = True
        elif kind == line.CLOSE:
            self._lose(payload[0])
        elif kind == line.DATA:
            self._inbox[self._last : self._last + len(payload)] = payload
            self._last += len(payload)
            self._frames_held += 1

    def _lose(self, reason):
        self._is_over = True
        if reason != line.ENDED:
            words = _WORDS.get(reason) or "the bridge closed with reason %d" % reason
            self.fault = TransportError(codes.REASON_LINK_LOST, words)

    def _refuse(self, connection):
        """Answer a frame of a connection that the bridge alone knows."""
        length = line.frame_into(self._wire.buffer, line.CLOSE, connection, 0, bytes((line.UNKNOWN,)))
        self._wire.send(memoryview(self._wire.buffer)[:length])

    def _note_read(self):
        """Everything that came was read: room for as much again, told once there is enough of it."""
        self._taken += self._last + line.OVERHEAD * self._frames_held
        self._first = self._last = self._frames_held = 0
        self._tell_credit()

    def _tell_credit(self):
        if self._taken and not self._is_over and self._wire.flush():
            credit = self._end.consumed(self._taken - line.OVERHEAD)
            self._taken = 0
            if credit is not None:
                self._wire.send(credit)


async def open_stream(wire, context, target, server_name):
    """Return (asyncio stream over TLS, the SerialStream below it) once the bridge reached the server."""
    below = await connect(wire, target)
    try:
        above = context.wrap_socket(below, server_hostname=server_name, do_handshake_on_connect=False)
    except BaseException:
        below.close()
        raise
    return asyncio.StreamReader(above), below


async def connect(wire, target):
    """Return a SerialStream to the server that the bridge knows by `target`; raises TransportError."""
    stream = wire.new_stream()
    try:
        await stream.open(target)
    except BaseException:
        stream.close()
        raise
    return stream
