"""Cuts a byte stream into MQTT packets inside one buffer that its owner made once.

Refuses to grow: a PUBLISH larger than the buffer is read away in pieces and only its packet id is kept, so one
huge message costs neither memory nor the connection. What a packet means is not decided here.

    frames = FrameReader(stream, bytearray(8192))
    head, body = await frames.next()      # body: memoryview, valid until the next call
"""

from pawl import codes, mqtt_codec
from pawl.errors import TransportError

OVERSIZED = 0  # no packet type: what `next` gives in place of a PUBLISH that didn't fit


class FrameReader:
    """A reader of packets; `received` counts bytes, so that a watcher can see whether the link is alive."""

    def __init__(self, stream, buffer):
        self._stream = stream
        self._view = memoryview(buffer)
        self._start = 0
        self._end = 0
        self.received = 0

    async def next(self):
        """Return (first byte, body), or (OVERSIZED, packet id or 0).

        Raises TransportError if the stream ends or the peer breaks the protocol.
        """
        head, length = await self._fixed_header()
        if length > len(self._view):
            return OVERSIZED, await self._discard(head, length)
        await self._need(length)
        body = self._view[self._start : self._start + length]
        self._start += length
        return head, body

    async def _fixed_header(self):
        await self._need(2)
        head = self._view[self._start]
        mqtt_codec.check_head(head)
        self._start += 1
        while (parsed := mqtt_codec.parse_length(self._view, self._start, self._end)) is None:
            await self._need(self._end - self._start + 1)
        length, self._start = parsed
        return head, length

    async def _need(self, count):
        """Read until `count` bytes (no more than the buffer holds) lie behind the read position."""
        if self._start == self._end:
            self._start = self._end = 0
        if self._start + count > len(self._view):
            held = self._end - self._start
            self._view[:held] = self._view[self._start : self._end]
            self._start, self._end = 0, held
        while self._end - self._start < count:
            await self._read_more()

    async def _read_more(self):
        got = await self._stream.readinto(self._view[self._end :])
        if not got:
            raise TransportError(codes.REASON_LINK_LOST, "the server closed the connection")
        self._end += got
        self.received += got

    async def _discard(self, head, length):
        if head & 0xF0 != mqtt_codec.PUBLISH:
            raise mqtt_codec.malformed("%d bytes in packet 0x%02x" % (length, head))
        has_id = head & 0x06
        topic_length = await self._take_uint16()
        rest = length - 2 - topic_length - (2 if has_id else 0)
        if rest < 0 or not topic_length:
            raise mqtt_codec.malformed("PUBLISH")
        await self._skip(topic_length)
        packet_id = await self._take_uint16() if has_id else 0
        if has_id and not packet_id:
            raise mqtt_codec.malformed("packet id 0")
        await self._skip(rest)
        return packet_id

    async def _take_uint16(self):
        await self._need(2)
        value = self._view[self._start] << 8 | self._view[self._start + 1]
        self._start += 2
        return value

    async def _skip(self, count):
        while count:
            await self._need(1)
            piece = min(count, self._end - self._start)
            self._start += piece
            count -= piece
