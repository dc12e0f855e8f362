"""A server in memory that plays a script through the client's stream; runs on both interpreters."""

import asyncio

from pawl import codes
from pawl import mqtt_codec as codec
from pawl.errors import TransportError

CONNACK = b"\x20\x02\x00\x00"


def publish(topic, payload, packet_id=0, retain=0):
    """Return a PUBLISH as a server sends it."""
    packet = codec.encode_publish(topic, payload, 1 if packet_id else 0, packet_id)
    packet[0] |= retain
    return bytes(packet)


class Clock:
    """Ticks that a test sets; they wrap like those of a 32-bit port."""

    def __init__(self, now=0x3FFFFFFF - 500):
        self.now = now

    def __call__(self):
        """Return the ticks."""
        return self.now

    def advance(self, ms):
        """Let time pass, across the wrap if need be."""
        self.now = (self.now + ms) & 0x3FFFFFFF


class Peer:
    """The stream adapter with a server behind it: `answer(packet)` returns the bytes that a packet is answered with.

    `piece` is the most bytes that one read gives. `sent` lists the packets that the client wrote, whole and in order.
    """

    def __init__(self, piece=1000000, answer=None):
        self.sent = []
        self.is_closed = False
        self.is_stuck = False
        self._answer = answer or standard_answer
        self._piece = piece
        self._written = b""
        self._incoming = bytearray()
        self._arrived = asyncio.Event()

    def feed(self, data):
        """Let the client read these bytes; empty bytes close the connection."""
        self._incoming.extend(data)
        if not data:
            self.is_closed = True
        self._arrived.set()

    async def readinto(self, view):
        """Give at most `piece` bytes; 0 when closed."""
        while not self._incoming:
            if self.is_closed:
                return 0
            self._arrived.clear()
            await self._arrived.wait()
        count = min(len(view), self._piece, len(self._incoming))
        view[:count] = self._incoming[:count]
        self._incoming = self._incoming[count:]
        return count

    def write(self, packet):
        """Keep what the client writes until it drains."""
        if self.is_closed:
            raise TransportError(codes.REASON_LINK_LOST, "written after the end")
        self._written += bytes(packet)

    async def drain(self):
        """Cut what was written into packets, and answer each."""
        while self.is_stuck:  # noqa: ASYNC110  # set by the test, at any time
            await asyncio.sleep(0.01)
        await asyncio.sleep(0)
        while self._written:
            length, start = codec.parse_length(self._written, 1, len(self._written))
            packet, self._written = self._written[: start + length], self._written[start + length :]
            self.sent.append(packet)
            if answer := self._answer(packet):
                self.feed(answer)

    def close(self):
        """End the stream for the client."""
        self.is_closed = True
        self._arrived.set()


def standard_answer(packet):
    """Answer as a server that grants everything."""
    kind = packet[0]
    if kind == codec.CONNECT:
        return CONNACK
    if kind == codec.PUBLISH | 2:
        topic_end = 4 + (packet[2] << 8 | packet[3])
        return b"\x40\x02" + packet[topic_end : topic_end + 2]
    if kind == codec.SUBSCRIBE:
        return bytes((codec.SUBACK, 2 + packet.count(b"t/"))) + packet[2:4] + b"\x01" * packet.count(b"t/")
    if kind == codec.UNSUBSCRIBE:
        return b"\xb0\x02" + packet[2:4]
    if packet == codec.PINGREQ_PACKET:
        return b"\xd0\x00"
    return b""
