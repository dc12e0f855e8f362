"""The serial line: frames, and one end of a connection over them; the same on a board and on the bridge.

A board without a network opens one connection at a time to a bridge, which carries the bytes of TLS to the broker and back.
Nothing here is trusted or secret: the check value finds noise on a wire, TLS finds everything else.

    frame = magic c5 3a, kind 1, connection 1, sequence 1, payload length 2, payload, CRC-32 4 (of kind to payload)

Numbers are big endian, a payload has at most PAYLOAD_MAX bytes. A board chooses the connection's number with OPEN, another
one than before; a frame of another connection is answered by CLOSE `unknown`. Each side counts its frames of a connection
from 0, modulo 256: a gap ends the connection, and so does DATA beyond the credit. DATA is sent against credit only, in
bytes of whole frames, so that the other side always has room for it; OPEN and OPENED give the first credit, CREDIT gives
more. A CLOSE is never answered.
"""

import binascii

from pawl import codes
from pawl.compat import const

PAYLOAD_MAX = const(1024)
OVERHEAD = const(11)  # bytes of a frame that aren't payload
FRAME_MAX = const(1035)
_HEAD = const(7)
_CHECK = const(4)
_MAGIC_0 = const(0xC5)
_MAGIC_1 = const(0x3A)

# Kinds. A connection:
OPEN = const(1)  # board: where to 1, credit 2
OPENED = const(2)  # bridge: credit 2
DATA = const(3)
CREDIT = const(4)  # bytes 2, on top of what is left
CLOSE = const(5)  # reason 1
# Provisioning of a blank board; connection and sequence are 0:
BLANK = const(16)  # board: its name
WRITE = const(17)  # host: offset 4, data
WRITTEN = const(18)  # board: offset 4
DONE = const(19)  # host: SHA-256 of everything written, board: nothing
FAULT = const(20)  # board: why, in words

# Where to.
BROKER = codes.SERVER_BROKER
ANCHORS = codes.SERVER_ANCHORS

# Reasons of CLOSE.
ENDED = const(0)  # the other side of the connection closed it
UNREACHABLE = const(1)  # the bridge can't reach the server
LOST = const(2)  # a frame is missing, or makes no sense here
UNKNOWN = const(3)  # no such connection
REFUSED = const(4)  # an OPEN against the bridge's limits, or to nowhere
REASON_NAMES = ("ended", "unreachable", "lost", "unknown", "refused")


def frame_into(buffer, kind, connection, sequence, payload) -> int:
    """Write a frame into a bytearray of at least FRAME_MAX bytes; return its length."""
    size = len(payload)
    assert size <= PAYLOAD_MAX, "payload too long for a frame"
    buffer[0] = _MAGIC_0
    buffer[1] = _MAGIC_1
    buffer[2] = kind
    buffer[3] = connection
    buffer[4] = sequence
    buffer[5] = size >> 8
    buffer[6] = size & 0xFF
    view = memoryview(buffer)
    view[_HEAD : _HEAD + size] = payload
    view[_HEAD + size : _HEAD + size + _CHECK] = _check(view[2 : _HEAD + size])
    return OVERHEAD + size


def frame(kind, connection, sequence, payload) -> bytes:
    """Return a frame."""
    buffer = bytearray(FRAME_MAX)
    return bytes(buffer[: frame_into(buffer, kind, connection, sequence, payload)])


def _check(content) -> bytes:
    return (binascii.crc32(content) & 0xFFFFFFFF).to_bytes(4, "big")


class Frames:
    """Cuts what comes from a line into frames, in a buffer made once. `dropped` counts bytes that were no frame.

    got = line.readinto(frames.room())
    frames.add(got)
    while (found := frames.next()) is not None:
        kind, connection, sequence, payload = found     # the payload is a view, valid until the next call
    """

    def __init__(self):
        self._buffer = bytearray(FRAME_MAX)
        self._view = memoryview(self._buffer)
        self._held = 0
        self._used = 0
        self.dropped = 0

    def room(self):
        """Return the view that the next bytes are to be read into; never empty after `next` returned None."""
        self._drop(self._used)
        self._used = 0
        return self._view[self._held :]

    def add(self, count):
        """Say how many bytes were read into `room()`."""
        self._held += count

    def is_partial(self):
        """Return whether a frame has begun and isn't whole: if that lasts, its sender died, see `forget`."""
        return self._held > self._used

    def forget(self):
        """Give up the frame that has begun. A whole one behind it stays for `next`: its sender may wait for the answer."""
        self._drop(self._used)
        self._used = 0
        self._skip()
        while self._held >= 2 and not self._is_whole():
            self._skip()
        if self._held < 2:
            self.dropped += self._held
            self._held = 0

    def next(self):
        """Return (kind, connection, sequence, payload) of the next whole frame, or None: more bytes are needed."""
        self._drop(self._used)
        self._used = 0
        while self._held >= 2:
            length = self._length()
            if length is None:
                self._skip()
                continue
            if length > self._held:
                return None
            self._used = length
            view = self._view
            return view[2], view[3], view[4], view[_HEAD : length - _CHECK]
        return None

    def _is_whole(self):
        length = self._length()
        return length is not None and length <= self._held

    def _skip(self):
        """Drop the first byte, and those behind it that begin no frame."""
        count = 1
        while count < self._held and self._view[count] != _MAGIC_0:
            count += 1
        count = min(count, self._held)
        self.dropped += count
        self._drop(count)

    def _length(self):
        """Return the length of the frame that begins here, more than is held if that can't be told yet, None if it's none."""
        view = self._view
        if view[0] != _MAGIC_0 or view[1] != _MAGIC_1:
            return None
        if self._held < _HEAD:
            return FRAME_MAX
        size = view[5] << 8 | view[6]
        if size > PAYLOAD_MAX:
            return None
        end = _HEAD + size
        if self._held < end + _CHECK:
            return end + _CHECK
        return end + _CHECK if view[end : end + _CHECK] == _check(view[2:end]) else None

    def _drop(self, count):
        if count:
            left = self._held - count
            self._view[:left] = self._view[count : self._held]
            self._held = left


class End:
    """One end of a connection: numbers what it sends, finds gaps in what it gets, keeps both sides' credit.

    `window`: bytes of frames that this side has room for. Its methods return frames as views of one buffer, which whoever
    opens connections again and again makes once.
    """

    def __init__(self, connection, window, buffer=None):
        self.connection = connection
        self.credit = 0  # bytes of DATA frames that may still be sent
        self._window = window
        self._granted = 0  # bytes of DATA frames that may still come
        self._owed = 0
        self._next_out = 0
        self._next_in = 0
        self._buffer = bytearray(FRAME_MAX) if buffer is None else buffer
        self._view = memoryview(self._buffer)

    def open(self, target):
        """Return the OPEN of a board."""
        self._granted = self._window
        return self._frame(OPEN, bytes((target,)) + self._window.to_bytes(2, "big"))

    def opened(self):
        """Return the OPENED of the bridge."""
        self._granted = self._window
        return self._frame(OPENED, self._window.to_bytes(2, "big"))

    def close(self, reason):
        """Return the CLOSE."""
        return self._frame(CLOSE, bytes((reason,)))

    def room(self) -> int:
        """Return how many bytes of payload the next DATA may carry; 0 or less: wait for credit."""
        return min(PAYLOAD_MAX, self.credit - OVERHEAD)

    def data(self, payload):
        """Return a DATA of at most `room()` bytes."""
        self.credit -= OVERHEAD + len(payload)
        return self._frame(DATA, payload)

    def note(self, kind, sequence, payload) -> bool:
        """Note a frame of this connection; False if one is missing before it, it makes no sense or wasn't granted: LOST."""
        if sequence != self._next_in:
            return False
        self._next_in = (sequence + 1) & 0xFF
        if kind == OPEN:
            return len(payload) == 3 and self._grant(payload[1:])
        if kind in (OPENED, CREDIT):
            return len(payload) == 2 and self._grant(payload)
        if kind == DATA:
            self._granted -= OVERHEAD + len(payload)
            return self._granted >= 0
        return kind == CLOSE and len(payload) == 1

    def consumed(self, size):
        """Note that a DATA's payload of this size was used up; return a CREDIT, or None while it is too little to tell."""
        self._owed += OVERHEAD + size
        if self._owed < self._window // 2:
            return None
        owed, self._owed = self._owed, 0
        self._granted += owed
        return self._frame(CREDIT, owed.to_bytes(2, "big"))

    def _grant(self, payload) -> bool:
        self.credit += payload[0] << 8 | payload[1]
        return True

    def _frame(self, kind, payload):
        length = frame_into(self._buffer, kind, self.connection, self._next_out, payload)
        self._next_out = (self._next_out + 1) & 0xFF
        return self._view[:length]
