"""What a simulated device talks to: a broker that keeps everything, and a director that wants one release.

Nothing here ever waits. The world keeps no state between boots: a device with the same flash meets the same world.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pawl import codes, heard, messages, topics
from pawl.errors import TransportError
from pawl_sim.supply import Supply

DEVICE = "sim-1"
_LOSSES_MAX = 4
_TIME = 1_700_000_100


class Rest(BaseException):
    """The device waits for something that will not come: it has nothing left to do."""


class Reset(BaseException):
    """The device resets itself."""


@dataclass(frozen=True, kw_only=True)
class World:
    """`wanted`: a release's name or None; `anchors`: how many are published; `sick`: releases whose application is never well.

    `lost_fetch`: the number of the fetch in a boot at which the link is lost, once.
    """

    supply: Supply
    wanted: str | None
    anchors: int = 1
    sick: tuple[str, ...] = ()
    lost_fetch: int | None = None

    def retained(self, topic: str) -> bytes | None:
        """Return what the broker keeps on a topic."""
        for release in self.supply.releases.values():
            if topic in release.retained:
                return release.retained[topic]
        for number, file in enumerate(self.supply.anchors[: self.anchors], 1):
            if topic == topics.anchor(number):
                return file
        return None

    def offer(self, hello: Any) -> bytes:
        """Return the director's answer."""
        wanted = None if self.wanted is None else self.supply.releases[self.wanted]
        newest = self.supply.anchor_references[self.anchors - 1]
        content = messages.write_offer(
            messages.Offer(
                device=DEVICE,
                nonce=hello.nonce,
                number=0,
                time=_TIME,
                anchor=newest,
                action=codes.OFFER_INSTALL if wanted else codes.OFFER_NONE,
                digest=wanted.digest if wanted else None,
                attempt=1 if wanted else None,
                delay_s=None,
            )
        )
        return _signed(self.supply.sign_offer, content)

    def is_well(self, digest: bytes) -> bool:
        """Return whether the application of this release keeps running."""
        return digest not in [self.supply.releases[name].digest for name in self.sick]


@lru_cache(maxsize=1024)
def _signed(sign: Callable[[bytes], bytes], content: bytes) -> bytes:
    return sign(content)


class Port:
    """What an agent asks of its board; time stands still, and every nonce is the same: neither is what is explored."""

    def __init__(self, sign: Callable[[bytes, bytes], bytes]) -> None:
        self.sign = sign
        self.lines: list[str] = []

    def random(self, count: int) -> bytes:
        """Return bytes."""
        return bytes(count)

    def ticks_ms(self) -> int:
        """Return no time."""
        return 0

    def ticks_diff(self, one: int, other: int) -> int:
        """Subtract."""
        return one - other

    def log(self, text: str) -> None:
        """Keep the line, for a replay."""
        self.lines.append(text)

    def reset(self) -> None:
        """End the boot."""
        raise Reset


class Link:
    """Stands where `pawl.link.Link` does: a session that answers at once."""

    def __init__(self, world: World, walk: Any, offer_topic: str) -> None:
        self.world = world
        self.walk = walk
        self.offer_topic = offer_topic
        self.session: Session | None = None
        self._losses = 0

    async def open(self) -> "Session":
        """Return a new session that follows the next anchor."""
        self.session = Session(self.world, has_lost=self._losses > 0)
        self.walk.connected()
        await self.session.follow_anchor(self.walk.topic())
        return self.session

    async def lose(self, error: Any) -> None:
        """Close what is left; a device that keeps losing a link that is well has a fault."""
        self._losses += 1
        assert self._losses < _LOSSES_MAX, f"the agent loses its link again and again: {error.detail}"
        self.close()

    def note_well(self) -> None:
        """Pauses are no subject here."""

    def close(self) -> None:
        """Drop the session."""
        self.session = None


class Session:
    """Stands where `pawl.session.Session` does; also the client that reports are published by."""

    def __init__(self, world: World, *, has_lost: bool) -> None:
        self.world = world
        self.client = self
        self.offer: bytes | None = None
        self.anchor: bytes | None = None
        self.anchor_topic: str | None = None
        self._left = None if has_lost else world.lost_fetch

    async def publish(self, topic: str, payload: bytes, _: int = 1) -> None:
        """Hear what the device says: a hello is answered."""
        if topic.endswith("/hello"):
            self.offer = self.world.offer(heard.read_hello(payload))

    async def follow_anchor(self, topic: str | None) -> None:
        """Follow one anchor topic in place of the one before."""
        self.anchor_topic = topic
        self.anchor = None if topic is None else self.world.retained(topic)

    def take_anchor(self) -> bytes | None:
        """Return what came on the anchor topic."""
        file, self.anchor = self.anchor, None
        return file

    async def fetch(self, handlers: list[tuple[str, Callable[[memoryview], None]]]) -> None:
        """Hand each retained message to its handler."""
        for topic, handle in handlers:
            if self._left is not None:
                self._left -= 1
                if self._left < 0:
                    self._left = None
                    raise TransportError(codes.REASON_LINK_LOST, "cut")
            payload = self.world.retained(topic)
            assert payload is not None, f"nobody publishes {topic}"
            handle(memoryview(payload))

    async def fetch_one(self, topic: str, _: int) -> bytes:
        """Return one retained message."""
        got: list[bytes] = []
        await self.fetch([(topic, lambda payload: got.append(bytes(payload)))])
        return got[0]

    async def next_offer(self, _: int) -> bytes | None:
        """Return the newest offer; where none will come, the device is at rest."""
        if self.anchor is not None:
            return None
        if self.offer is None:
            raise Rest
        offer, self.offer = self.offer, None
        return offer
