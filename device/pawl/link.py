"""The way to the broker: one session at a time, a pause that grows between attempts, anchor sessions where TLS fails.

A normal session is opened by `port.connect` alone, which checks chain and server name. An anchor session can only read
anchors, and ends before the next attempt.
"""

import asyncio

from pawl import codes, topics
from pawl.compat import const
from pawl.errors import TransportError
from pawl.session import Session

_PAUSE_MAX_S = const(300)


class Link:
    """`session` is the open Session, or None; `walk` says which anchor is followed on it; `clock` gives the time floor."""

    def __init__(self, port, loader, walk, clock):
        self.port = port
        self.loader = loader
        self.walk = walk
        self.clock = clock
        self.session = None
        self._pause_s = 1
        self._has_tls_failed = False

    async def open(self):
        """Return a new session, connected and subscribed; raises TransportError."""
        identity = self.loader.identity
        if self._has_tls_failed:
            await self._read_anchors(identity)
        anchor = self.loader.path_anchor
        make_client = await self.port.connect(identity, anchor, self.clock.floor(anchor))
        self.session = Session(make_client, topics.offer(identity.partition, identity.device))
        self.walk.connected()
        await self.session.open(self.walk.topic())
        return self.session

    async def _read_anchors(self, identity):
        """Between attempts that fail in TLS: the anchor that names the new authority is to be had without it."""
        self._has_tls_failed = False
        try:
            await self.walk.read(await self.port.connect_anchors(identity))
        except TransportError as error:
            self.port.log("anchor session %d %s" % (error.code, error.detail))

    async def lose(self, error):
        """Close what is left of the session and wait, each time longer, before the next attempt."""
        self.port.log("link %d %s" % (error.code, error.detail))
        self.close()
        self._has_tls_failed = error.code == codes.REASON_LINK_TLS
        spread = 0.5 + self.port.random(1)[0] / 256
        await asyncio.sleep(self._pause_s * spread)
        self._pause_s = min(2 * self._pause_s, _PAUSE_MAX_S)

    def note_well(self):
        """An offer was accepted: the next pause is short again."""
        self._pause_s = 1

    def close(self):
        """Drop the connection, if there is one."""
        if self.session is not None:
            self.session.close()
            self.session = None
