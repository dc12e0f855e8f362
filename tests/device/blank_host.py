"""A scripted host at the line of a blank board, and the port of that board; plain code that runs on both interpreters."""

import hashlib

from pawl import line

IDLE_MAX = 50
IDENTITY = {
    "device": "one",
    "vendor": bytes(16),
    "class_id": bytes(16),
    "certificate": b"c" * 700,
    "tls_key": b"k" * 121,
    "host": "localhost",
    "port": 8883,
    "report_key": bytes(32),
    "anchor_file": b"a" * 900,
    "floor": {1: 1},
    "anchor_port": 8884,
}


class PowerCutError(Exception):
    """The power went."""


class Board:
    """The port of a board; `is_reset` after a reset."""

    def __init__(self):
        self.is_reset = False
        self.fed = 0

    def reset(self):
        self.is_reset = True

    def feed(self):
        self.fed += 1

    def log(self, text):
        pass


class Host:
    """A line whose other end is a script: its first frames are sent when the board says BLANK, the next when those were answered.

    A slow one takes and gives a few bytes at a time, and sometimes none. `heard`: (kind, payload) of all frames of the board.
    """

    def __init__(self, script, is_slow=True):
        self.is_slow = is_slow
        self.script = list(script)
        self.heard = []
        self._known = []
        self._frames = line.Frames()
        self._coming = b""
        self._turn = 0
        self._idle = 0

    def readinto(self, buffer):
        self._turn += 1
        if not self._coming or self._is_busy():
            self._idle += 1
            if self._idle == IDLE_MAX:
                raise PowerCutError
            return None
        self._idle = 0
        part = self._coming[: min(len(buffer), 300)]
        buffer[: len(part)] = part
        self._coming = self._coming[len(part) :]
        return len(part)

    def write(self, view):
        self._turn += 1
        if self._is_busy():
            return None
        part = bytes(view[: 7 if self.is_slow else 1024])
        room = self._frames.room()
        room[: len(part)] = part
        self._frames.add(len(part))
        while (found := self._frames.next()) is not None:
            self._hear((found[0], bytes(found[3])))
        return len(part)

    def _is_busy(self):
        return self.is_slow and self._turn % 13 == 0

    def _hear(self, frame):
        is_again = frame in self._known  # an answer to what was sent twice, or a sign of life
        self.heard.append(frame)
        self._known.append(frame)
        if frame[0] == line.FAULT:
            self._known = self.heard[:1]
        elif frame[0] == line.DONE or is_again:
            return
        if not self.script:
            raise PowerCutError
        self._coming += self.script.pop(0)


def in_order(content, regions, erased=b"\xff"):
    """Return (offset, bytes) of what isn't erased in a flash, in the order that a board wants."""
    found = []
    places = sorted([regions[name] for name in regions if name[:8] != "identity"])
    for start, size in places + [regions["identity_b"]]:
        for at in range(start, start + size, 992):
            data = content[at : min(at + 992, start + size)]
            if data != erased * len(data):
                found.append((at, data))
    return found


def payload(offset, data):
    """Return what a WRITE carries."""
    return offset.to_bytes(4, "big") + data


def frames_of(parts):
    """Return the frames that write these spans, and the DONE behind them."""
    digest = hashlib.sha256()
    frames = []
    for offset, data in parts:
        digest.update(payload(offset, data))
        frames.append(line.frame(line.WRITE, 0, 0, payload(offset, data)))
    return frames + [line.frame(line.DONE, 0, 0, digest.digest())]
