"""A blank board takes its first content over the serial line, and only a blank one does.

Blank is a board whose region `identity_a` is erased as a whole. It says so with BLANK and its name, once a second. The
first WRITE erases what is in the way; every one is answered by WRITTEN, or by FAULT, after which the board is blank again.
DONE brings the SHA-256 of all WRITE payloads in order. If it fits, and the identity that was written is whole, the board
copies it from `identity_b` to `identity_a`, answers DONE and resets.

`identity_b` is taken after everything else, `identity_a` never: it is only copied. So a cut at any point leaves a board
that is still blank, or one that is complete.
"""

import asyncio

from pawl import codes, line
from pawl.compat import const
from pawl.errors import StorageError
from pawl.first_content import OFFSET_BYTES, Writing

_POLL_S = 0.005
_ANNOUNCE_POLLS = const(200)
_GIVE_UP_POLLS = const(2000)  # without a byte: the host is gone
_PART = const(1024)


async def serve(port, storage, link, name):
    """Take the board's first content from `link`, then reset it; StorageError if it has an identity already.

    `link` has `readinto(buffer)`, None if nothing came, and `write(view)` -> bytes taken; `name` is the board's.
    """
    _require_blank(storage)
    port.log("blank: waiting to be provisioned over the line")
    desk = _Desk(port, storage, link, name)
    while not await desk.step():
        port.feed()
    port.log("provisioned: reset")
    port.reset()


def _require_blank(storage):
    if not storage.is_blank():
        raise StorageError(codes.REASON_FLASH_PROGRAM, "a board that has an identity takes no other")


class _Desk:
    """The board's side of the line."""

    def __init__(self, port, storage, link, name):
        self.port = port
        self.storage = storage
        self.link = link
        self.name = name.encode()
        self.writing = None
        self._quiet = _ANNOUNCE_POLLS - 1
        self._frames = line.Frames()
        self._out = bytearray(line.FRAME_MAX)

    async def step(self):
        """Read once, answer what came; True when the board is complete."""
        got = self.link.readinto(self._frames.room())
        if not got:
            await self._wait()
            return False
        self._quiet = 0
        self._frames.add(got)
        while (found := self._frames.next()) is not None:
            if await self._answer(found[0], found[3]):
                return True
        await asyncio.sleep(0)
        return False

    async def _wait(self):
        self._quiet += 1
        if self._quiet % _ANNOUNCE_POLLS == 0:
            self._frames.forget()  # of a frame whose rest didn't come within a second
            if self._quiet >= _GIVE_UP_POLLS:
                self.writing = None
            if self.writing is None:
                await self._send(line.BLANK, self.name)
        await asyncio.sleep(_POLL_S)

    async def _answer(self, kind, payload):
        try:
            if kind == line.WRITE:
                writing = self.writing or await self._start()
                writing.write(payload)
                await self._send(line.WRITTEN, payload[:OFFSET_BYTES])
            elif kind == line.DONE:
                self._complete(payload)
                await self._send(line.DONE, b"")
                return True
        except StorageError as error:
            self.writing = None
            await self._send(line.FAULT, error.detail.encode())
        return False

    async def _start(self):
        """Begin a run: erase what isn't erased, `identity_a` before everything: while that is not sure, nothing else may go."""
        _require_blank(self.storage)
        self.storage.regions["identity_a"].erase()
        blank = bytes((self.storage.regions["identity_a"].flash.erased,)) * _PART
        for region, at, size in _sectors(self.storage.regions):
            self.port.feed()
            if not _is_erased(region.view(at, size), blank):
                region.erase(at, size)
                await self._send(line.BLANK, self.name)  # a sign of life: this may take minutes
        self.writing = Writing(self.storage)
        return self.writing

    def _complete(self, digest):
        if self.writing is None:
            raise StorageError(codes.REASON_RECORD_LOST, "nothing was written since this board started")
        self.writing.complete(digest, self.port.feed)

    async def _send(self, kind, payload):
        size = line.frame_into(self._out, kind, 0, 0, payload)
        at = 0
        while at < size:
            at += self.link.write(memoryview(self._out)[at:size]) or 0
            if at < size:
                self.port.feed()
                await asyncio.sleep(_POLL_S)


def _sectors(regions):
    for name in regions:
        region = regions[name]
        at = 0
        while at < region.size:
            size = region.sector(at)[1]
            yield region, at, size
            at += size


def _is_erased(view, blank):
    for at in range(0, len(view), _PART):
        part = view[at : at + _PART]
        if part != blank[: len(part)]:
            return False
    return True
