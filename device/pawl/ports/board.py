"""What the agent asks of any board and every port answers alike: MQTT connections over TLS, ticks, signing, console.

A port's Port is a Board with `reset()`, `feed()` and `sign(secret, message)`, as `pawl.p256` has it.
"""

import sys
import time

from pawl import codes, mqtt
from pawl.compat import const
from pawl.errors import TransportError
from pawl.index import b64u
from pawl.ports import tls

_KEEPALIVE_S = const(60)
_PACKET_MAX_BYTES = const(8704)  # the largest is the index of an image of 512 KiB: two variants of 128 blocks
_CONNECT_TIMEOUT_S = const(20)
_NAME_BYTES = const(15)


class Board:
    """The part that all ports share. `random(count)` returns random bytes fit for keys.

    `await open_stream(context, identity, target, server_name)` returns what `tls.connect` wants; `target` is
    codes.SERVER_BROKER or SERVER_ANCHORS. `packet_bytes`: the largest MQTT packet that is delivered, an index among them.
    """

    def __init__(self, random, open_stream, packet_bytes=_PACKET_MAX_BYTES):
        self.random = random
        self._open_stream = open_stream
        self._attempts = 0
        # Made first, and once: later the heap has no room for it in one piece.
        self._buffer = bytearray(packet_bytes)

    ticks_ms = staticmethod(time.ticks_ms)
    ticks_diff = staticmethod(time.ticks_diff)

    def log(self, text):
        """Write one line to the console."""
        print("pawl:", text)

    def print_exception(self, error):
        """Tell the console where an application crashed."""
        sys.print_exception(error)

    def set_time(self, now_s):
        """Take note of the time floor before a TLS connection.

        Ignored here: TLS of the port either has a clock of its own or compares no dates.
        """

    async def connect(self, identity, anchor, now_s):
        """Return a function that makes the MQTT client of a new TLS connection, given `on_message`.

        An anchor may name several servers: each attempt takes the next name. It is `now_s` at least.
        """
        if anchor is None:
            raise TransportError(
                codes.REASON_ANCHOR_INVALID, "no readable trust anchor: provision the device again"
            )
        self.set_time(now_s)
        self._attempts += 1
        name = anchor.server_names[self._attempts % len(anchor.server_names)]
        context = tls.context(anchor.ca, identity.certificate, identity.tls_key)
        stream = await self._connect(context, identity, codes.SERVER_BROKER, name)
        return lambda on_message: self._client(stream, identity.device, on_message)

    async def connect_anchors(self, identity):
        """Return an anchor session under a name of one use: nobody can take its place by knowing the device's."""
        from pawl.anchor_session import AnchorSession  # few devices ever need one

        name = b64u(self.random(_NAME_BYTES))
        stream = await self._connect(tls.anchor_context(), identity, codes.SERVER_ANCHORS, None)
        return AnchorSession(lambda on_message: self._client(stream, name, on_message))

    async def _connect(self, context, identity, target, server_name):
        opening = self._open_stream(context, identity, target, server_name)
        return await tls.connect(opening, _CONNECT_TIMEOUT_S)

    def _client(self, stream, name, on_message):
        return mqtt.Client(stream, name, _KEEPALIVE_S, self._buffer, on_message, time.ticks_ms)
