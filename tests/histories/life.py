"""One device over its whole life: booted, cut, reset and offered things, in virtual time, on torn flash.

    life = Life()
    life.want(life.sign("plain", ...))
    life.live(3600)

What must hold (docs/architecture.md, What must hold, always) is judged at every boot, at every mark that the device writes,
and when it rests; by what the model knows, and AssertionError says what doesn't.
"""

import asyncio
import copy
import gc
import random
from collections import Counter

import factory
import model
import simulator
from board import FLASH_BYTES, REGIONS, Board
from director import Director
from signing import sign, verify
from torn_flash import PowerCut, TornFlash
from witness import Witness

from pawl import bundle, cbor, codes, cose, heard, p256, topics
from pawl.agent import Agent
from pawl_sim.virtual_time import VirtualLoop

BOOTS_MAX = 80
STORM_ODDS = 0.5  # of a cut in a boot
UNWELL_BOOTS = 8

_FACTORY = model.make("plain", (1, (1,)), (model.RELEASE,), 5000)
_X, _Y = p256.public_key(factory.STRANGER.secret)
_REPORT_KEY = cose.Key(codes.KTY_EC2, codes.ALG_ESP256, codes.CRV_P256, _X, _Y)
_PROVISIONED = Board(_FACTORY.raw, model.values_of(model.FIRST), flash=TornFlash(FLASH_BYTES), verify=verify)


def _ignore_cuts(loop, context):
    """A task that a cut ended is nobody's to ask for."""
    if not isinstance(context.get("exception"), PowerCut):
        loop.default_exception_handler(context)


class Port(simulator.Port):
    """Ticks of virtual time, and randomness that doesn't repeat."""

    def __init__(self, broker):
        super().__init__(broker)
        self.loop = None
        self._random = random.Random(1)

    def random(self, count):
        """Return bytes that differ each time."""
        return self._random.randbytes(count)

    def ticks_ms(self):
        """Return virtual time."""
        return int(self.loop.time() * 1000)

    def sign(self, secret, message):
        """Sign as the device does, faster."""
        return sign(secret, message)

    def log(self, text):
        """Keep the latest lines, for a failure."""
        self.lines = [*self.lines[-300:], text]


class Life:
    """A device, its broker and director, and the witness of its flash; `releases` is everything that was ever signed."""

    def __init__(self):
        self.chain = model.Chain()
        self.director = Director(self.chain)
        self.broker = simulator.Broker()
        self.broker.on_hello = self._answer
        self.board = copy.deepcopy(_PROVISIONED)
        self.board.verify = verify
        self.flash = self.board.flash
        self.port = Port(self.broker)
        self.releases = {_FACTORY.digest: _FACTORY}
        self.now = 0.0
        self.storm = None  # random numbers that say when the power goes
        self.calm_until = 0.0  # an honest world has no storm
        self.agent = None
        self.runs = None
        self.running_slot = None
        self.is_app_healthy = True
        self.read = (0, 0)  # R's sequence and the anchor's version, the highest seen
        self.boots = 0
        self.boots_unwell = 0
        self.hello = None
        self.refused = Counter()
        self.reported = []
        self.logged = set()
        self.violations = []
        self.events = Counter()
        self.witness = Witness(self)
        self.witness.note_confirmed(_FACTORY.digest, 0)
        self.flash.watch = self.witness.watch
        self._told = 0
        self.want(_FACTORY)
        self.director.wanted = None
        # The agent collects often, as a device must; what the test runner has in memory needn't be gone through each time.
        gc.unfreeze()
        gc.collect()
        gc.freeze()

    def terms(self):
        """Return the Terms of the anchor in force, or None in row 1."""
        anchor = self.agent.loader.anchor if self.agent else None
        return None if anchor is None else self.chain.find(anchor.version, anchor.digest)

    def time(self):
        """Return virtual time."""
        return self.port.loop.time()

    def want(self, release):
        """Put a release on the broker, and let the director want it."""
        self.releases[release.digest] = release
        opened = bundle.Bundle(bundle.suit.Envelope(release.raw))
        retained = self.broker.retained
        retained[topics.release(release.digest)] = opened.wire_envelope()
        for content in opened.contents:
            retained[topics.index(content.digest)] = bytes(content.index_bytes)
        for listing, variant, number, payload in opened.blocks():
            retained[topics.block(listing, variant.number, number)] = bytes(payload)
        self.director.wanted = release.digest

    def publish_anchors(self):
        """Put the whole chain on the broker, in place of whatever is there."""
        for topic in [topic for topic in self.broker.retained if topic.startswith("pawl/k/")]:
            del self.broker.retained[topic]
        for version, file in self.chain.files.items():
            self.broker.retained[topics.anchor(version)] = file

    async def _answer(self, hello):
        self.hello = hello
        self._is_checked_in = True
        raw = self.director.answer(hello, self.now_s())
        if raw is not None:
            await self.broker.deliver(topics.offer(simulator.partition(), "bench-1"), raw)

    def now_s(self):
        """Return virtual time in whole seconds."""
        return int(self.time())

    async def check_health(self):
        """Answer for the application."""
        return self.is_app_healthy

    def rot(self, region, at, bit=0):
        """Flip one bit at rest."""
        start, size = REGIONS[region]
        self.flash.store[start + at % size] ^= 1 << bit
        self.witness.rot(region)

    def live(self, span_s):
        """Let the device live for a span of virtual time, through resets and cuts."""
        end = self.now + span_s
        booted = 0
        while self.now < end and booted < BOOTS_MAX:
            booted += 1
            self.one_boot(end - self.now)
            self.now += 1
        assert booted < BOOTS_MAX, "it never came to rest"

    def one_boot(self, span_s=600):
        """Boot and run until a reset, a cut, or the end of the span; in a storm the power may go anywhere in it."""
        is_stormy = self.storm is not None and self.now >= self.calm_until
        if is_stormy and self.storm.random() < STORM_ODDS:
            self.flash.cut(self.storm.randrange(60), self.storm.randrange(2**16))
        loop = VirtualLoop(self.now)
        loop.set_exception_handler(_ignore_cuts)
        self.port.loop = loop
        self._is_checked_in = False
        self.director.given = []
        marked = len(self.witness.untold)
        is_cut = False
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(self._run_for(span_s))
        except PowerCut:
            is_cut = True
        finally:
            is_cut = self.flash.repair() or is_cut
            self.now = loop.now
            self.running_slot = None
        self._end_boot(is_cut, marked)

    def _end_boot(self, is_cut, marked):
        assert not self.violations, self.violations
        self.events["cut" if is_cut else "rest or reset"] += 1
        if is_cut:
            return
        self.refused.update(self.agent.refusals)
        self._require_anchor(self.agent.loader)
        self._read_up()
        if self._is_checked_in:
            self.boots_unwell = 0
        marked = len(self.witness.untold) if marked is None else marked
        for digest, reason in self.witness.untold[:marked]:
            assert self.knows(digest, reason), "why an update failed is told nowhere"
        del self.witness.untold[:marked]

    async def _run_for(self, span_s):
        self.boots += 1
        self.agent = None
        self.runs = None
        loader, decision = self.board.boot()
        self._judge_boot(loader, decision)
        self.boots_unwell += 1
        self.agent = Agent(self.port, loader, decision, self.board.counter, self.check_health)
        try:
            await asyncio.wait_for(self.agent.run(), span_s)
        except (TimeoutError, simulator.ResetError):
            return

    def _judge_boot(self, loader, decision):
        """Judge what the boot table decided."""
        witness = self.witness
        self._require_anchor(loader)
        terms = (
            None if loader.anchor is None else self.chain.find(loader.anchor.version, loader.anchor.digest)
        )
        assert terms or witness.rotten & {"anchor_a", "anchor_b", "ratchet"}, "row 1 without any rot"
        reading = loader.accepted.sequence
        if "ratchet" not in witness.rotten:
            assert reading >= max(self.read[0], witness.accepted.sequence), "R fell"
            self.read = (max(reading, self.read[0]), self.read[1])
        self.events[f"boot row {1 if terms is None else decision.row}"] += 1
        if decision.slot is None:
            self._judge_recovery(terms, decision)
        else:
            status = self.board.storage.slots[decision.slot].status()
            self._judge_running(terms, decision.slot, status.digest)

    def _require_anchor(self, loader):
        anchor = loader.anchor
        if anchor is None:
            return
        assert self.chain.find(anchor.version, anchor.digest), "the anchor in force is none of the chain"
        if "ratchet" not in self.witness.rotten:
            assert anchor.version >= self.read[1], "the anchor fell"
            self.read = (self.read[0], anchor.version)

    def _is_accepted_bootable(self, terms):
        """Return whether the release that R names is whole in its slot and may run."""
        witness = self.witness
        accepted = witness.accepted
        is_whole = accepted.digest in witness.sound.values() and "ratchet" not in witness.rotten
        return is_whole and (terms is None or model.may_run(accepted, terms, was_confirmed=True))

    def _judge_recovery(self, terms, decision):
        if decision.reason == codes.REASON_UNWELL:
            assert self.boots_unwell >= UNWELL_BOOTS or "boots" in self.witness.rotten, "too early"
            self.events["recovery agent: unwell"] += 1
            return
        assert not self._is_accepted_bootable(terms), "nothing runs, and something could"
        self.events["recovery agent: nothing boots"] += 1

    def _judge_running(self, terms, slot, digest):
        witness = self.witness
        release = self.releases.get(digest)
        assert release is not None, "something unknown runs"
        was_confirmed = digest in witness.confirmed
        assert was_confirmed or digest in witness.pending, "neither installed nor old"
        if terms is None:
            assert "ratchet" in witness.rotten or digest == witness.accepted.digest, "row 1 runs another one"
        else:
            assert model.may_run(release, terms, was_confirmed), "what runs is not allowed to"
        witness.require_bytes(slot, digest)
        if self._is_accepted_bootable(terms) and digest != witness.accepted.digest:
            assert digest in witness.pending and digest not in witness.confirmed, "neither old nor new"
        if digest != witness.accepted.digest:
            self.events["fallback" if was_confirmed else "trial boots"] += 1
        self.runs, self.running_slot = digest, slot

    def _read_up(self):
        for kind, raw in self.broker.up[self._told :]:
            if kind == "report":
                report = heard.open_report(raw, _REPORT_KEY, verify)
                self.reported.append(report)
                self.events[f"report {report.event}.{report.reason}"] += 1
            elif kind == "log":
                self._read_log(raw)
        self._told = len(self.broker.up)

    def _read_log(self, raw):
        reader = cbor.Reader(raw)
        for _ in range(reader.array()):
            count = reader.array()
            _, _, code = [reader.uint() for _ in range(3)]
            self.logged.add((code, bytes(reader.bytes()) if count > 3 else None))

    def has_told(self, event, reason):
        """Return whether a report said so."""
        return self.events[f"report {event}.{reason}"] > 0

    def knows(self, digest, reason):
        """Return whether a report or the log names why a release failed."""
        if (reason, digest) in self.logged:
            return True
        if any(one.reason == reason and digest in (one.suit_report or b"") for one in self.reported):
            return True
        return any((one.code, one.detail) == (reason, digest) for one in self.board.storage.log().entries())
