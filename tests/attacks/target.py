"""The device under attack: the real agent on flash in memory, in a time that jumps from timer to timer.

A `Target` is the world of the device tests with three things of its own: the host's signature check (the same rules,
faster), a clock in which days of uptime pass in milliseconds, and a snapshot of everything that an attack must not move.
"""

import asyncio
import functools
import random
from dataclasses import dataclass, fields

import factory
from board import FLASH_BYTES, REGIONS, SECTOR, Board
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from simulator import Port, ResetError, World

from pawl import anchors, codes, heard, topics
from pawl.agent import Agent
from pawl.bootloader import Bootloader
from pawl.compat import sha256
from pawl.errors import TransportError
from pawl.flash import MemoryFlash
from pawl.ports.host.verifier import verify
from pawl.storage import Storage

TICKS_PERIOD = 1 << 30  # of MicroPython's ticks_ms: 12 days
_SLOT_REGIONS = (
    ("page_a", "envelope_a", "image_a", "data_a"),
    ("page_b", "envelope_b", "image_b", "data_b"),
)
_STATES = ("empty", "written", "pending", "trial", "confirmed", "failed")
DAY_S = 86400

# Test keys sign deterministically, and this folder has the same releases signed a thousand times.
factory.TestKey.sign = functools.cache(factory.TestKey.sign)


class InstantLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer, because nothing here waits for the outside."""

    def __init__(self):
        super().__init__()
        self.now_s = 0.0
        self._look = self._selector.select
        self._selector.select = self._jump

    def time(self):
        return self.now_s

    def _jump(self, timeout=None):
        assert timeout is not None, "everybody waits for ever"
        self.now_s += timeout
        return self._look(0)


class TargetPort(Port):
    """A port in the loop's time, with ticks that wrap as MicroPython's do, and a network that may be down."""

    def __init__(self, broker):
        super().__init__(broker)
        self.loop = None
        self.chance = random.Random(1)
        self.ticks_from_s = 0  # what the ticks show when a run begins
        self.link_fault = None  # a reason code: connecting fails with it

    def random(self, count):
        return self.chance.randbytes(count)

    def sign(self, secret, message):
        """Sign with the host's library."""
        private = ec.derive_private_key(int.from_bytes(secret), ec.SECP256R1())
        r, s = decode_dss_signature(private.sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)

    def ticks_ms(self):
        return int((self.ticks_from_s + self.loop.now_s) * 1000) % TICKS_PERIOD

    def ticks_diff(self, one, other):
        half = TICKS_PERIOD // 2
        return (one - other + half) % TICKS_PERIOD - half

    async def connect(self, identity, anchor, now_s):
        if self.link_fault is not None:
            self.attempts.append("normal")
            raise TransportError(self.link_fault, "the network is down")
        return await super().connect(identity, anchor, now_s)

    async def connect_anchors(self, identity):
        if self.link_fault not in (None, codes.REASON_LINK_TLS):
            self.attempts.append("anchors")
            raise TransportError(self.link_fault, "the network is down")
        return await super().connect_anchors(identity)


class TargetBoard(Board):
    """A board that checks signatures with the host's library."""

    def boot(self):
        self.counter = self.storage.boot_counter()
        self.counter.step()
        loader = Bootloader(self.storage, verify)
        return loader, self.settled(loader)


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What an attack must not move.

    Slots as (state, digest, trials, reason); `runs` as the next boot decides; quarantine as (digest, attempts, reason);
    `log` is (code, detail) from the oldest entry on, which may grow by what was refused and nothing else (`Row`).
    """

    slot_a: tuple
    slot_b: tuple
    runs: str
    running_bytes: bytes
    ratchet: tuple
    anchor: tuple
    quarantine: tuple
    log: tuple

    def differences(self, other):
        """Return the names of the fields that differ."""
        return {one.name for one in fields(self) if getattr(self, one.name) != getattr(other, one.name)}

    def news(self, later):
        """Return the codes that the log told after this; the log loses nothing and changes nothing."""
        assert later.log[: len(self.log)] == self.log, "the log forgot or changed an entry"
        return {code for code, _ in later.log[len(self.log) :]}


def snapshot(flash):
    """Return the Snapshot of a flash; a boot is tried on a copy of it."""
    copy = MemoryFlash(FLASH_BYTES, SECTOR, 32)
    copy.store[:] = flash.store
    storage = Storage(copy, REGIONS)
    statuses = [slot.status() for slot in storage.slots]
    reading = storage.ratchet().reading
    accepted = reading.roles.get(codes.IMAGE_APP)
    verdicts = storage.quarantine().all(storage.slots)
    entries = [(entry.code, entry.detail) for entry in storage.log().entries()]
    content = bytes(copy.store)
    decision = Bootloader(storage, verify).settle(is_unwell=False)
    return Snapshot(
        slot_a=_told(statuses[0]),
        slot_b=_told(statuses[1]),
        runs="recovery" if decision.slot is None else "AB"[decision.slot],
        running_bytes=b"" if decision.slot is None else _slot_digest(content, decision.slot),
        ratchet=(accepted.sequence, accepted.digest, accepted.version) if accepted else (),
        anchor=reading.anchor or (),
        quarantine=tuple(tuple(verdict) for verdict in verdicts),
        log=tuple(reversed(entries)),
    )


def _told(status):
    return (_STATES[status.state], status.digest, status.trials, status.reason)


def _slot_digest(content, name):
    spans = [REGIONS[region] for region in _SLOT_REGIONS[name]]
    return sha256(b"".join([content[start : start + size] for start, size in spans]))


class Target(World):
    """A device that runs release 1 out of slot A, has said hello before, and keeps what it said from now on."""

    def __init__(self, board=None):
        super().__init__()
        self.board = board or TargetBoard()
        self.anchor = factory.trust.load(self.board.anchor_file, verify)
        self.port = TargetPort(self.broker)
        self.run()
        self.broker.up.clear()
        self.broker.fetched.clear()

    def snapshot(self):
        """Return the Snapshot of its flash."""
        return snapshot(self.board.flash)

    def run(self, timeout_s=120):
        """Boot and run the agent in its own time; return the Bootloader."""
        with asyncio.Runner(loop_factory=InstantLoop) as runner:
            self.port.loop = runner.get_loop()
            loader, decision = self.board.boot()
            self.agent = Agent(self.port, loader, decision, self.board.counter, self.check_health)
            self.is_reset = runner.run(self._run(timeout_s))
        return loader

    async def _run(self, timeout_s):
        try:
            await asyncio.wait_for(self.agent.run(), timeout_s)
        except TimeoutError:
            return False
        except ResetError:
            return True
        return False

    def take_anchor(self, file):
        """Put an anchor on the broker under its true version, and let the director go by it."""
        self.anchor = factory.trust.load(file, verify)
        self.broker.retained[topics.anchor(self.anchor.version)] = file

    def refusal(self, timeout_s=120):
        """Run, and return the one reason that was counted; a device that resets has been talked into something."""
        self.run(timeout_s)
        assert not self.is_reset, "the device reset itself: it took what it was offered"
        (reason,) = self.agent.refusals
        return reason

    def reports(self):
        """Return what the device reported, as (event, reason), checked under its key."""
        opened = [
            heard.open_report(raw, factory.STRANGER.key, verify)
            for kind, raw in self.broker.up
            if kind == "report"
        ]
        return [(one.event, one.reason) for one in opened if one.event != codes.EVENT_CHECKED]

    def reported_refusals(self):
        """Return the reasons of the signed reports `refused`."""
        return [reason for event, reason in self.reports() if event == codes.EVENT_REFUSED]

    def installs(self):
        """Download, reset, trial, confirm: return whether what the director wants runs confirmed in the end."""
        self.run()
        if not self.is_reset:
            return False
        self.run()
        accepted = self.board.storage.ratchet().reading.roles[codes.IMAGE_APP]
        return not self.is_reset and accepted.digest == self.wanted

    def spoil(self, topic, change):
        """Let the broker hand out something else than was published."""
        self.broker.retained[topic] = change(bytearray(self.broker.retained[topic]))

    def topics_of(self, digest, blocks=2):
        """Return the topics (release, index, [block, ...]) of what was published last."""
        index = next(topic for topic in reversed(list(self.broker.retained)) if topic.endswith("/i"))
        return topics.release(digest), index, [f"{index[:-1]}0/{number}" for number in range(blocks)]


def put_anchor(board, file):
    """Write both flash copies of the anchor past every rule."""
    anchors.provision([board.storage.regions[name] for name in ("anchor_a", "anchor_b")], file)


def failed(digest, trials, reason, *, slot="b", attempts=1):
    """Return what a Snapshot has changed when a release failed in a slot: a verdict on it, of so many attempts."""
    return {
        f"slot_{slot}": ("failed", digest, trials, reason),
        "quarantine": ((digest, attempts, reason),),
    }


def flipped(place):
    """Return a change that flips one bit."""

    def change(content):
        content[place] ^= 1
        return bytes(content)

    return change
