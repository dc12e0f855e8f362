"""One device over its whole life: booted, cut, reset and offered things, in virtual time, on torn flash.

    life = Life()
    life.offer(life.sign(sequence=2))
    life.live(3600)
    assert life.runs == life.wanted

Every boot is judged: `require_sound` raises AssertionError where something runs that must not, or the ratchet fell.
"""

import asyncio
import gc

import factory
from board import FLASH_BYTES, Board
from simulator import ResetError, World
from simulator import Port as StillPort
from torn_flash import PowerCut, TornFlash
from virtual_time import VirtualLoop

from pawl import codes
from pawl.agent import Agent
from pawl.compat import sha256
from pawl.ports.host.verifier import verify

BOOTS_MAX = 60

# The agent collects often, as a device must; what the test runner has in memory needn't be gone through each time.
gc.freeze()


class Port(StillPort):
    """Ticks and randomness of virtual time."""

    def __init__(self, broker):
        super().__init__(broker)
        self.loop = None

    def ticks_ms(self):
        return int(self.loop.time() * 1000)


class Life(World):
    """A device, its broker and director; `legit` maps manifest digests to the images that were signed under them."""

    def __init__(self):
        super().__init__()
        self.flash = TornFlash(FLASH_BYTES)
        first = factory.release(sequence=1)
        self.board = Board(first, flash=self.flash, verify=verify)
        self.port = Port(self.broker)
        self.now = 0.0
        self.legit = {}
        self.runs = None
        self.accepted = (0, None)
        self.boots = 0
        self.remember(first, factory.IMAGE)

    def remember(self, raw, image):
        """Take a release for one that may run: its signers were those that the anchor asks for."""
        digest = factory.bundle.suit.Envelope(raw).digest
        self.legit[digest] = sha256(image)
        return digest

    def live(self, span_s):
        """Let the device live for a span of virtual time, through resets and cuts."""
        end = self.now + span_s
        booted = 0
        while self.now < end and booted < BOOTS_MAX:
            booted += 1
            self.one_boot(end - self.now)
            self.now += 1
        assert booted < BOOTS_MAX, "it never came to rest"

    def one_boot(self, span_s):
        """Boot and run until a reset, a cut, or the end of the span."""
        loop = VirtualLoop(self.now)
        self.port.loop = loop
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(self._run_for(span_s))
        except PowerCut:
            pass
        finally:
            self.flash.repair()
            self.now = loop.now

    async def _run_for(self, span_s):
        self.boots += 1
        loader, decision = self.board.boot()
        self.require_sound(loader, decision)
        self.agent = Agent(self.port, loader, decision, self.board.counter, self.check_health)
        try:
            await asyncio.wait_for(self.agent.run(), span_s)
        except (asyncio.TimeoutError, ResetError):
            return

    def require_sound(self, loader, decision):
        """What must hold at every boot (docs/architecture.md, What must hold)."""
        reading = (loader.accepted.sequence, loader.accepted.digest)
        assert reading[0] >= self.accepted[0], "the ratchet fell"
        self.accepted = reading
        self.runs = None
        if decision.slot is None:
            return
        candidate = loader.candidates[decision.slot]
        digest = candidate.status.digest
        assert digest in self.legit, "something runs that no threshold signed"
        image = candidate.manifest.image
        assert sha256(candidate.slot.image.view(0, image.size)) == self.legit[digest], "a mixed image runs"
        if loader.anchor is not None:
            assert digest not in loader.anchor.barred, "a barred release runs"
        assert candidate.manifest.sequence_number >> 32 >= loader.accepted.sequence >> 32, "an old epoch runs"
        self.runs = digest

    def reports(self):
        """Return (event, reason) of everything reported so far."""
        return [(event, reason) for event, reason in super().reports()]
