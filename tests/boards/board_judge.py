"""Judges the flash of a board that is off: by the device's own code, and by the bytes that were signed.

A copy is judged, never the flash itself. What is wrong raises AssertionError with a sentence.

    judge = Judge(layout)
    digest = judge.know(raw)            # of each release that was signed
    judge.require_sound(content)
    judge.require_confirmed(content, digest)
"""

from pawl import boot, bundle, codes, suit
from pawl.bootloader import Bootloader
from pawl.flash import MemoryFlash
from pawl.ports.host.verifier import verify
from pawl.ratchet import release_of
from pawl.storage import Storage

DAY_S = 86_400
_MAY_BOOT = (codes.SLOT_PENDING, codes.SLOT_TRIAL, codes.SLOT_CONFIRMED)
_SAYS_WHOLE = (codes.SLOT_WRITTEN, *_MAY_BOOT)


class StoppedPort:
    """The port of a clock that stands still."""

    def ticks_ms(self):
        return 0

    def ticks_diff(self, one, other):
        return one - other


class Judge:
    """Knows every release that was signed, by its manifest digest."""

    def __init__(self, layout):
        self.layout = layout
        self._bundles = {}

    def know(self, raw):
        """Take note of a release; return its digest."""
        opened = bundle.Bundle(suit.Envelope(raw))
        self._bundles[opened.envelope.digest] = opened
        return opened.envelope.digest

    def storage(self, content):
        """Return a Storage over a copy of what the flash holds."""
        flash = MemoryFlash(self.layout.FLASH_BYTES, self.layout.ERASE_BYTES, self.layout.PROGRAM_BYTES)
        flash.store[:] = content
        return Storage(flash, self.layout.REGIONS)

    def status(self, content, name):
        """Return the status of slot 0 or 1."""
        return self.storage(content).slots[name].status()

    def ratchet(self, content):
        """Return the sequence number that the ratchet holds, 0 for none."""
        held = self.storage(content).ratchet().reading.roles.get(codes.IMAGE_APP)
        return held.sequence if held else 0

    def decision(self, content):
        """Return what a boot from this flash decides: the same code, on another interpreter."""
        storage = self.storage(content)
        counter = storage.boot_counter()
        counter.step()
        return Bootloader(storage, verify).settle(counter.is_unwell())

    def require_sound(self, content, ratchet_before=0, damaged=()):
        """Require whole images where marks say so, a signed image to boot, a ratchet that didn't fall; return its number.

        `damaged` names slots that the test spoiled: they may be marked, and must not boot before they are whole.
        """
        storage = self.storage(content)
        for slot in storage.slots:
            status = slot.status()
            if status.state in _SAYS_WHOLE and slot.name not in damaged:
                self._require_whole(slot, status.digest)
        decision = self.decision(content)
        if decision.action != boot.RECOVER:
            slot = storage.slots[decision.slot]
            assert slot.status().state in _MAY_BOOT, f"{decision} boots a slot that nobody asked for"
            self._require_whole(slot, slot.status().digest)
        else:
            assert decision.reason == codes.REASON_UNWELL, f"nothing that boots: {decision}"
        number = self.ratchet(content)
        assert number >= ratchet_before, f"the ratchet fell from {ratchet_before} to {number}"
        return number

    def require_confirmed(self, content, digest):
        """Require that this release is what boots: confirmed in both units, whole, and what the ratchet names."""
        decision = self.decision(content)
        assert (decision.row, decision.reason) == (7, codes.REASON_OK), decision
        storage = self.storage(content)
        slot = storage.slots[decision.slot]
        status = slot.status()
        assert (status.state, status.digest) == (codes.SLOT_CONFIRMED, digest), status
        assert status.is_settled, "confirmed in one unit only"
        self._require_whole(slot, digest)
        held = storage.ratchet().reading.roles[codes.IMAGE_APP]
        assert held == release_of(self._bundles[digest].manifest, digest, slot.name), held

    def _require_whole(self, slot, digest):
        letter = "AB"[slot.name]
        known = self._bundles.get(digest)
        assert known is not None, f"slot {letter} is marked for a release that nobody signed"
        for image in known.manifest.images(slot.name):
            stored = bytes(slot.region(image.component).view(0, image.size))
            assert stored == known.content(image).image, f"slot {letter} is marked, and isn't what was signed"

    def region(self, storage, name):
        """Return (offset, content) of a region, to be written back."""
        start, size = self.layout.REGIONS[name]
        return start, bytes(storage.regions[name].flash.store[start : start + size])

    def day_later(self, content):
        """Return (offset, content) of the region that says a day of uptime passed: then slots may be erased again."""
        storage = self.storage(content)
        clock = storage.clock(StoppedPort())
        clock.times = clock.times._replace(uptime=clock.times.uptime + DAY_S)
        assert clock.save(), "the clock's region takes no snapshot"
        return self.region(storage, "clock")

    def offered_a_day_ago(self, content, time_s):
        """Return (offset, content) of the clock's region after an offer of this time, and a day of uptime since."""
        storage = self.storage(content)
        anchor = storage.anchors(storage.provisioned_anchor(), storage.ratchet(), verify).current
        clock = storage.clock(StoppedPort())
        clock.follow(anchor)
        clock.attest(anchor, time_s, anchor.directors[0])
        clock.times = clock.times._replace(uptime=clock.times.uptime + DAY_S)
        assert clock.save(), "the clock's region takes no snapshot"
        return self.region(storage, "clock")
