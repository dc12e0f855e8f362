"""One connection to the broker: what is published, what is asked for, the newest offer and anchor that arrived.

Retained messages are fetched by subscribing to their topics, a window at a time; each is handed to its handler
in the reader's call, so a block is checked and written before the next one is read.
"""

import asyncio
import gc

from pawl import codes
from pawl.compat import const
from pawl.errors import ManifestError, PawlError, StorageError, TransportError

WINDOW = const(8)


class Session:
    """Wraps an MQTT client made by `make_client(on_message)`."""

    answer_timeout_s = 30  # for a window of retained messages

    def __init__(self, make_client, offer_topic):
        self.client = make_client(self._on_message)
        self.offer_topic = offer_topic
        self.offer = None
        self.anchor_topic = None
        self.anchor = None
        self.fault = None
        self._handlers = {}
        self._news = asyncio.Event()
        self._reader = None

    async def open(self, anchor_topic=None):
        """Connect, start reading, subscribe to the next anchor and then to this device's offers."""
        await self.client.connect()
        self._reader = asyncio.create_task(self._read())
        await self.follow_anchor(anchor_topic)
        await self.client.subscribe([self.offer_topic], 1)

    async def follow_anchor(self, topic):
        """Follow one anchor topic (None: none) in place of the one before.

        A broker answers requests in their order: after the second one, what is retained on the topic has come.
        """
        before, self.anchor_topic, self.anchor = self.anchor_topic, topic, None
        if topic is not None:
            await self.client.subscribe([topic], 1)
        if before is not None:
            await self.client.unsubscribe([before])

    def take_anchor(self):
        """Return the document that came on the anchor topic; nothing more is taken from that topic."""
        file, self.anchor = self.anchor, None
        return file

    async def _read(self):
        try:
            await self.client.run()
        except PawlError as error:
            self.fault = error
        except Exception as error:
            self.fault = TransportError(codes.REASON_LINK_LOST, "the reader ended: " + repr(error))
        self.fault = self.fault or TransportError(codes.REASON_LINK_LOST, "the broker closed the connection")
        self._news.set()

    def close(self):
        """Drop the connection."""
        if self._reader is not None:
            self._reader.cancel()
        self.client.close()

    async def _on_message(self, topic, payload, _):
        if topic == self.offer_topic:
            # One byte too many is enough to be refused by, and counted like any other.
            self.offer = bytes(payload[: codes.OFFER_MAX_BYTES + 1])
        elif topic == self.anchor_topic:
            self.anchor = bytes(payload[: codes.ANCHOR_MAX_BYTES + 1])
        elif topic in self._handlers:
            try:
                self._handlers.pop(topic)(payload)
            except PawlError as error:
                self.fault = self.fault or error
            except MemoryError:
                gc.collect()
                self.fault = StorageError(codes.REASON_OUT_OF_MEMORY, topic)
        else:
            return
        self._news.set()

    async def _wait(self, is_done, timeout_s):
        """Wait until something holds; raises what a handler or the reader met, or that time is up."""
        try:
            await asyncio.wait_for(self._watch(is_done), timeout_s)
        except asyncio.TimeoutError:
            raise TransportError(codes.REASON_LINK_TIMEOUT, "no answer from the broker") from None

    async def _watch(self, is_done):
        while True:
            fault = self.fault
            if fault is not None:
                if not isinstance(fault, TransportError):
                    self.fault = None  # theirs: the link is as good as before
                raise fault
            if is_done():
                return
            self._news.clear()
            await self._news.wait()

    async def fetch(self, handlers):
        """Fetch retained messages: `handlers` is a list of at most WINDOW (topic, handler(payload view)).

        Raises what a handler raised, or TransportError if a message does not come.
        """
        topics = [pair[0] for pair in handlers]
        for topic, handler in handlers:
            self._handlers[topic] = handler
        await self.client.subscribe(topics, 0)
        try:
            await self._wait(lambda: not self._handlers, self.answer_timeout_s)
        finally:
            self._handlers.clear()
            # One of several handlers was heard: what another one met meanwhile is no fault of the next fetch.
            if not isinstance(self.fault, TransportError):
                self.fault = None
        await self.client.send_unsubscribe(topics)  # nobody has to wait for the answer

    async def fetch_one(self, topic, most):
        """Return one retained message of at most `most` bytes as a copy."""
        got = []

        def keep(payload):
            if len(payload) > most:
                raise ManifestError(codes.REASON_TOO_LARGE, topic)
            got.append(bytes(payload))

        await self.fetch([(topic, keep)])
        return got[0]

    async def next_offer(self, timeout_s):
        """Return the newest offer that has not been taken yet, as a copy; None if none comes in time.

        Also None if an anchor comes: that goes first, and the offer waits.
        """
        try:
            await self._wait(lambda: self.offer is not None or self.anchor is not None, timeout_s)
        except TransportError as error:
            if error.code == codes.REASON_LINK_TIMEOUT:
                return None
            raise
        if self.anchor is not None:
            return None
        offer, self.offer = self.offer, None
        return offer
