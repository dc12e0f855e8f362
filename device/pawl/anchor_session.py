"""The anchor session: a connection over which nothing is believed and nothing said, for a device whose TLS fails.

It reads anchor documents, which authenticate themselves, and can do nothing else: the client stays inside.

    session = await port.connect_anchors(identity)
    await session.open()
    file = await session.read("pawl/k/2")           # None: there is none
"""

import asyncio

from pawl import codes


class AnchorSession:
    """Wraps an MQTT client made by `make_client(on_message)`; nobody else may hold that client."""

    answer_timeout_s = 5  # for a document that may not be there

    def __init__(self, make_client):
        self._client = make_client(self._on_message)
        self._topic = None
        self._file = None
        self._news = asyncio.Event()
        self._reader = None

    async def open(self):
        """Connect and start reading."""
        await self._client.connect()
        self._reader = asyncio.create_task(self._read())

    async def _read(self):
        try:
            await self._client.run()
        except Exception:
            self._news.set()  # whoever waits gets nothing, and the next request raises why

    async def _on_message(self, topic, payload, _):
        if topic == self._topic and self._file is None and len(payload) <= codes.ANCHOR_MAX_BYTES:
            self._file = bytes(payload)
            self._news.set()

    async def read(self, topic):
        """Return the document that is retained on an anchor topic, or None if none of a fitting size comes."""
        self._topic, self._file = topic, None
        self._news.clear()
        await self._client.subscribe([topic], 0)
        try:
            await asyncio.wait_for(self._news.wait(), self.answer_timeout_s)
        except asyncio.TimeoutError:
            pass
        return self._file

    def close(self):
        """Drop the connection."""
        if self._reader is not None:
            self._reader.cancel()
        self._client.close()
