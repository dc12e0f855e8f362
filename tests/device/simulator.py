"""The world around an agent, in memory: a broker with retained messages behind the MQTT client's interface, a director
that signs what it is told to, and a port. Tests change them as objects, between the agent's steps.
"""

import asyncio

import factory
from board import Board

from pawl import bundle, codes, cose, heard, messages, p256, topics, trust
from pawl.agent import Agent
from pawl.anchor_session import AnchorSession
from pawl.errors import TransportError


class ResetError(Exception):
    """The port was told to reset."""


class Broker:
    """Retained messages, and what was published up."""

    def __init__(self):
        self.retained = {}
        self.up = []
        self.client = None
        self.on_hello = None
        self.fetched = []  # without anchors
        self.subscribed = set()
        self.cut_after = None  # fetches until the link is lost
        self.on_fetch = None  # called with each topic before its message is delivered

    async def publish_up(self, topic, payload):
        """Take what the device says; a hello is answered by `on_hello`."""
        kind = topic.split("/")[-1]
        self.up.append((kind, bytes(payload)))
        if kind == "hello" and self.on_hello:
            await self.on_hello(heard.read_hello(payload))

    async def retain(self, topic, payload):
        """Keep a message, and hand it to a device that is subscribed to its topic."""
        self.retained[topic] = payload
        if topic in self.subscribed:
            await self.deliver(topic, payload)

    async def deliver(self, topic, payload):
        """Hand a message to the device."""
        await self.client.on_message(topic, memoryview(payload), False)


class Client:
    """The MQTT client's interface; delivery happens inside `subscribe`."""

    def __init__(self, broker, on_message):
        self.broker = broker
        self.on_message = on_message
        self.lost = asyncio.Event()
        broker.client = self
        broker.subscribed = set()

    async def connect(self):
        """Nothing to do in memory."""

    async def run(self):
        """Wait for the end of the link."""
        await self.lost.wait()
        raise TransportError(codes.REASON_LINK_LOST, "cut")

    async def subscribe(self, filters, qos):
        """Deliver what is retained on each topic."""
        for topic in filters:
            self.broker.subscribed.add(topic)
            if topic not in self.broker.retained:
                continue
            if self.broker.cut_after == 0:
                self.broker.cut_after = None
                self.lost.set()
                return
            if self.broker.cut_after:
                self.broker.cut_after -= 1
            if not topic.startswith("pawl/k/"):
                self.broker.fetched.append(topic)
            if self.broker.on_fetch:
                await self.broker.on_fetch(topic)
            await self.on_message(topic, memoryview(self.broker.retained[topic]), True)

    async def send_unsubscribe(self, filters):
        """Nothing is delivered later anyway."""

    async def unsubscribe(self, filters):
        """Forget the topics."""
        for topic in filters:
            self.broker.subscribed.discard(topic)

    async def publish(self, topic, payload, qos=1):
        """Hand it to the broker."""
        await self.broker.publish_up(topic, payload)

    def close(self):
        """End the reader."""
        self.lost.set()


class Port:
    """Randomness that counts, ticks that stand still, a reset that raises."""

    def __init__(self, broker):
        self.broker = broker
        self.lines = []
        self.drawn = 0
        self.now_ms = 0
        self.step_ms = 0
        self.authority = b"certificate"  # that signed the broker's certificate
        self.attempts = []

    def random(self, count):
        """Return bytes that differ each time."""
        self.drawn += 1
        return bytes([self.drawn & 255]) * count if count > 1 else b"\x00"

    def ticks_ms(self):
        """Return the test's time: it stands still unless `step_ms` says how far each look moves it."""
        self.now_ms += self.step_ms
        return self.now_ms

    def ticks_diff(self, one, other):
        """Subtract."""
        return one - other

    async def connect(self, identity, anchor, now_s):
        """Return the maker of a client, if the anchor names the broker's authority."""
        self.attempts.append("normal")
        if self.authority not in anchor.ca:
            raise TransportError(codes.REASON_LINK_TLS, "the server's CA isn't in the trust anchor")
        return lambda on_message: Client(self.broker, on_message)

    async def connect_anchors(self, identity):
        """Return an anchor session with the same broker."""
        self.attempts.append("anchors")
        return AnchorSession(lambda on_message: Client(self.broker, on_message))

    def sign(self, secret, message):
        """Sign as the device does."""
        return p256.sign(secret, message)

    def log(self, text):
        """Keep the line."""
        self.lines.append(text)

    def reset(self):
        """End the run."""
        raise ResetError


async def run_for(living, timeout_s):
    """Let a coroutine live for so long at most; what it raises before that is raised.

    Within it, CPython 3.11's `wait_for` may lose a cancellation: there it is cancelled until it ends.
    """
    if not hasattr(asyncio, "wait"):  # MicroPython's loses none
        try:
            await asyncio.wait_for(living, timeout_s)
        except asyncio.TimeoutError:
            pass  # its time was over
        return
    task = asyncio.create_task(living)
    await asyncio.wait([task], timeout=timeout_s)
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)
    if not task.cancelled():
        await task


class World:
    """One device, one broker, one director; `run` runs the agent until it resets or has nothing left to do."""

    def __init__(self, anchor_values=None):
        self.board = Board(anchor_values=anchor_values)
        self.anchor = trust.load(self.board.anchor_file, factory.verify)
        self.broker = Broker()
        self.broker.on_hello = self.answer
        self.port = Port(self.broker)
        self.wanted = None
        self.nonce = None
        self.nonces = []
        self.number = 0
        self.changes = {}
        self.is_app_healthy = True

    async def check_health(self):
        """Answer for the application."""
        return self.is_app_healthy

    def publish(self, raw):
        """Put a release on the broker, and let the director want it; return its manifest digest."""
        release = bundle.Bundle(bundle.suit.Envelope(raw))
        digest = release.envelope.digest
        self.broker.retained[topics.release(digest)] = release.wire_envelope()
        for content in release.contents:
            self.broker.retained[topics.index(content.digest)] = bytes(content.index_bytes)
        for listing, variant, number, payload in release.blocks():
            self.broker.retained[topics.block(listing, variant.number, number)] = bytes(payload)
        self.wanted = digest
        return digest

    def publish_anchor(self, version, signers=(factory.ROOT,), **changes):
        """Put the anchor of a version on the broker, and let the director go by it; return its file."""
        file = factory.anchor_of(version, signers, **changes)
        self.broker.retained[topics.anchor(version)] = file
        self.anchor = factory.trust.load(file, factory.verify)
        return file

    def offer(self, **changes):
        """Return the director's signed offer of what is wanted, with changes to its fields."""
        values = {
            "device": "bench-1",
            "nonce": self.nonce,
            "number": self.number,
            "time": factory.ISSUED + 10,
            "anchor": (self.anchor.version, self.anchor.digest),
            "action": codes.OFFER_INSTALL if self.wanted else codes.OFFER_NONE,
            "digest": self.wanted,
            "attempt": 1 if self.wanted else None,
            "delay_s": None,
        }
        signer = changes.pop("signer", factory.DIRECTOR)
        values.update(changes)
        names = ("device", "nonce", "number", "time", "anchor", "action", "digest", "attempt", "delay_s")
        content = messages.write_offer(messages.Offer(*[values[name] for name in names]))
        return signer.sign(content, codes.AAD_OFFER, False)

    async def note(self, hello):
        """Take a hello and keep silent."""
        self.hello = hello
        self.nonces.append(hello.nonce)

    async def answer(self, hello):
        """Answer a hello with an offer under its nonce."""
        self.hello = hello
        self.nonce = hello.nonce
        self.number = 0
        await self.broker.deliver(topics.offer(partition(), "bench-1"), self.offer(**self.changes))

    def run(self, timeout_s=0.3):
        """Boot and run the agent; return the Bootloader. Ends at a reset, or when the agent only waits."""
        self.make_agent()
        self.is_reset = asyncio.run(self._run(timeout_s))
        return self.agent.loader

    def make_agent(self):
        """Boot; return the agent, which does nothing yet."""
        loader, decision = self.board.boot()
        self.agent = Agent(self.port, loader, decision, self.board.counter, self.check_health)
        return self.agent

    async def _run(self, timeout_s):
        try:
            await run_for(self.agent.run(), timeout_s)
        except ResetError:
            return True
        return False

    def reports(self):
        """Return what the device reported, as (event, reason), checked under its key, without answered check-ins."""
        return [
            (report.event, report.reason)
            for report in self.signed_reports()
            if report.event != codes.EVENT_CHECKED
        ]

    def checks(self):
        """Return what the device signed for each answered check-in: (nonce, number)."""
        return [report.accepted for report in self.signed_reports() if report.event == codes.EVENT_CHECKED]

    def signed_reports(self):
        """Return every Report, checked under the device's key."""
        x, y = p256.public_key(factory.STRANGER.secret)
        key = cose.Key(codes.KTY_EC2, codes.ALG_ESP256, codes.CRV_P256, x, y)
        return [
            heard.open_report(raw, key, factory.verify) for kind, raw in self.broker.up if kind == "report"
        ]


def partition():
    """Return the partition of bench-1."""
    from pawl.identity import partition_of

    return partition_of("bench-1")
