"""Many devices at once, without flash: each speaks MQTT over TLS under its own certificate, and signs its own reports.

The MQTT client is the device's own. What a client says to an offer follows from `answers`: a reason by release; None for
silence. It takes no image, so that hundreds fit into a test.
"""

import asyncio
import os
import ssl
import time
from contextlib import suppress

from pawl import codes, messages
from pawl.errors import TransportError
from pawl.mqtt import Client as MqttClient
from pawl.ports.host.verifier import verify

WAIT_S = 20
KEEPALIVE_S = 60
BUFFER_BYTES = 8192
# What a device says after it went back; everything else that is no success is refused, in the boot that was asked.
_REVERTS = {codes.REASON_TRIALS, codes.REASON_APP_CRASHED, codes.REASON_UNWELL}


class TlsStream:
    """What the device's MQTT client asks of a stream, over asyncio's."""

    def __init__(self, reader, writer):
        self._reader, self._writer = reader, writer
        self.write = lambda packet: writer.write(bytes(packet))
        self.close = writer.close

    @classmethod
    async def open(cls, port, context):
        """Connect; TransportError if either side refuses the other's certificate."""
        try:
            return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=context))
        except OSError as error:
            raise TransportError(codes.REASON_LINK_TLS, str(error)) from error

    async def readinto(self, view):
        """Read what there is; 0 at the end."""
        try:
            content = await self._reader.read(len(view))
        except OSError as error:
            raise TransportError(codes.REASON_LINK_LOST, str(error)) from error
        view[: len(content)] = content
        return len(content)

    async def drain(self):
        """Wait for room."""
        try:
            await self._writer.drain()
        except OSError as error:
            raise TransportError(codes.REASON_LINK_LOST, str(error)) from error


def tls_context(folder, certificate, authority="device-ca.pem"):
    """Return what a device connects with; no certificate if there is no name."""
    context = ssl.create_default_context(cafile=str(folder / authority))
    if certificate:
        context.load_cert_chain(folder / f"{certificate}.crt", folder / f"{certificate}.key")
    return context


class Client:
    """One device; a copy of it is another Client over the same `device`, and counts for itself."""

    def __init__(self, bench, anchor, device, answers=None):
        self.device = device
        self.name = device.name
        self.answers = answers or {}
        self.boots, self.number = 1, 0
        self.nonce = None
        self.confirmed = None
        self.offers = []  # all that came, opened
        self.raw = []  # the same, as it came
        self.retained = {}
        self.sent = (0, 0)
        self._bench, self._anchor = bench, anchor
        self._mqtt = None
        self._failed = {}  # release -> attempt
        self._tasks = []
        self._has_come = asyncio.Event()

    async def connect(self, certificate=None):
        """Open a session and listen for offers; TransportError if the broker doesn't want it."""
        await self.close()
        context = tls_context(self._bench.folder, certificate or self.name)
        stream = await TlsStream.open(self._bench.settings.device_port, context)
        buffer = bytearray(BUFFER_BYTES)
        self._mqtt = MqttClient(stream, self.name, KEEPALIVE_S, buffer, self._on_message, ticks_ms)
        await self._mqtt.connect()
        self._todo = asyncio.Queue()
        self._tasks = [asyncio.create_task(quiet(work)) for work in (self._mqtt.run(), self._live())]
        await self.subscribe(self.device.offer_topic)

    async def close(self):
        """End without a goodbye."""
        if self._mqtt is not None:
            self._mqtt.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def subscribe(self, *topics):
        """Return when all that was on its way has come: the broker answers in order."""
        await self._mqtt.subscribe(list(topics), 1)

    async def publish(self, kind, payload, qos=1):
        """Say something on a topic of its own."""
        await self._mqtt.publish(self.device.topic(kind), payload, qos)

    async def hello(self, nonce=None):
        """Say hello and return the offer that answers it."""
        self.nonce = nonce or os.urandom(messages.NONCE_BYTES)
        seen = len(self.offers)
        await self.publish("hello", self.device.hello(self.nonce, boots=self.boots))
        async with asyncio.timeout(WAIT_S):
            while not any(offer.nonce == self.nonce for offer in self.offers[seen:]):
                self._has_come.clear()
                await self._has_come.wait()
        return self.offers[-1]

    async def report(self, event, subject=None, reason=codes.REASON_OK, accepted=None):
        """Say something signed, in this boot."""
        await self.publish("report", self.signed(event, subject, reason, accepted))

    def signed(self, event, subject=None, reason=codes.REASON_OK, accepted=None):
        """Return the next report of this boot."""
        self.number += 1
        self.sent = (self.boots, self.number)
        fields = {"boots": self.boots, "number": self.number, "reason": reason, "accepted": accepted}
        return self.device.report(event, digest=self.confirmed, subject=subject, **fields)

    async def done(self):
        """Return when it has answered every offer that came."""
        await self._todo.join()

    def installs(self, release=None):
        """Return the offers to install a release, or any."""
        found = [offer for offer in self.offers if offer.action == codes.OFFER_INSTALL]
        return [offer for offer in found if release in {None, bytes(offer.digest)}]

    async def _on_message(self, topic, payload, _retained):
        if topic != self.device.offer_topic:
            self.retained[topic] = bytes(payload)
            return
        offer = messages.open_offer(payload, self._anchor.directors, verify)
        self.raw.append((topic, bytes(payload)))
        self.offers.append(offer)
        self._todo.put_nowait(offer)
        self._has_come.set()

    async def _live(self):
        while True:
            offer = await self._todo.get()
            if offer.action == codes.OFFER_INSTALL and offer.nonce == self.nonce:
                await self._answer(offer)
            self._todo.task_done()

    async def _answer(self, offer):
        release = bytes(offer.digest)
        reason = self.answers.get(release)
        if reason is None or release == self.confirmed or offer.attempt <= self._failed.get(release, 0):
            return
        if reason != codes.REASON_OK and reason not in _REVERTS:
            await self.report(codes.EVENT_REFUSED, release, reason, (offer.nonce, offer.number))
            return
        self.boots, self.number = self.boots + 1, 0
        if reason == codes.REASON_OK:
            self.confirmed = release
            await self.report(codes.EVENT_INSTALLED, release)
        else:
            self._failed[release] = offer.attempt
            await self.report(codes.EVENT_REVERTED, release, reason)
        await self.hello()


def ticks_ms():
    """Return a clock for the MQTT client."""
    return int(time.monotonic() * 1000)


async def quiet(work):
    """Run until the link ends, which is what happens to devices."""
    with suppress(TransportError):
        await work
