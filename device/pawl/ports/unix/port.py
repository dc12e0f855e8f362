"""What the agent asks of the unix board: connection, randomness, ticks, reset, log."""

import os
import sys
import time

from pawl import codes, mqtt, p256
from pawl.compat import const
from pawl.errors import TransportError
from pawl.index import b64u
from pawl.ports.unix import layout, net

_KEEPALIVE_S = const(60)
_PACKET_MAX_BYTES = const(20480)
_CONNECT_TIMEOUT_S = const(20)
_NAME_BYTES = const(15)


class Port:
    """The unix board. `watchdog` is the file that feeding writes to."""

    def __init__(self, watchdog):
        self.watchdog = watchdog
        self._attempts = 0
        # Made first, and once: later the heap has no room for it in one piece.
        self._buffer = bytearray(_PACKET_MAX_BYTES)

    ticks_ms = staticmethod(time.ticks_ms)
    ticks_diff = staticmethod(time.ticks_diff)
    random = staticmethod(os.urandom)
    sign = staticmethod(p256.sign)

    def print_exception(self, error):
        """Tell the console where an application crashed."""
        sys.print_exception(error)

    async def connect(self, identity, anchor):
        """Return a function that makes the MQTT client of a new TLS connection, given `on_message`.

        An anchor may name several servers: each attempt takes the next name.
        """
        if anchor is None:
            raise TransportError(
                codes.REASON_ANCHOR_INVALID, "no readable trust anchor: provision the device again"
            )
        self._attempts += 1
        stream = await net.connect(
            identity.host,
            identity.port,
            anchor.server_names[self._attempts % len(anchor.server_names)],
            anchor.ca,
            identity.certificate,
            identity.tls_key,
            _CONNECT_TIMEOUT_S,
        )

        def make_client(on_message):
            return mqtt.Client(stream, identity.device, _KEEPALIVE_S, self._buffer, on_message, time.ticks_ms)

        return make_client

    async def connect_anchors(self, identity):
        """Return an anchor session under a name of one use: nobody can take its place by knowing the device's."""
        name = b64u(os.urandom(_NAME_BYTES))

        def make_client(stream, on_message):
            return mqtt.Client(stream, name, _KEEPALIVE_S, self._buffer, on_message, time.ticks_ms)

        return await net.connect_anchors(identity.host, identity.anchor_port, make_client, _CONNECT_TIMEOUT_S)

    def reset(self):
        """Reset the board: the launcher starts it again."""
        sys.exit(layout.RESET_EXIT_CODE)

    def feed(self):
        """Feed the watchdog."""
        self.watchdog.write(b".")

    def log(self, text):
        """Write one line to the console."""
        print("pawl:", text)
