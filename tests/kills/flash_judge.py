"""Judges a device's flash from outside, by the device's own code and by the bytes that were signed.

A copy is judged, never the file itself. What is wrong raises AssertionError with a sentence.
"""

from pawl import codes
from pawl.bootloader import Bootloader
from pawl.flash import MemoryFlash
from pawl.ports.host.verifier import verify
from pawl.ports.unix import layout
from pawl.ratchet import release_of
from pawl.storage import Storage

OLD_SLOT, NEW_SLOT = codes.RUNNING_A, codes.RUNNING_B
_MAY_BOOT = (codes.SLOT_PENDING, codes.SLOT_TRIAL, codes.SLOT_CONFIRMED)
_SAYS_WHOLE = (codes.SLOT_WRITTEN, *_MAY_BOOT)


def storage_of(raw):
    """Return a Storage over a copy of a flash image."""
    flash = MemoryFlash(layout.FLASH_BYTES, layout.ERASE_BYTES, layout.PROGRAM_BYTES)
    flash.store[:] = raw
    return Storage(flash, layout.REGIONS)


class Witness:
    """Knows every release that was signed, by its manifest digest; `old` runs at first, `new` is assigned."""

    def __init__(self, bundles, old, new):
        self.bundles = {bundle.envelope.digest: bundle for bundle in bundles}
        self.old = old
        self.new = new

    def boot_line(self, raw):
        """Return what a boot from this flash must say: the same code decides, on another interpreter."""
        storage = storage_of(raw)
        counter = storage.boot_counter()
        counter.step()
        decision = Bootloader(storage, verify).settle(counter.is_unwell())
        slot = "-" if decision.slot is None else "AB"[decision.slot]
        return f"pawl: boot {counter.value} row {decision.row} slot {slot}"

    def require_sound(self, raw, ratchet_before):
        """Require whole images where marks say so, the old release as it was, and a ratchet that didn't fall; return it."""
        storage = storage_of(raw)
        for slot in storage.slots:
            status = slot.status()
            if status.state in _SAYS_WHOLE:
                self._require_whole(slot, status.digest)
        old = storage.slots[OLD_SLOT].status()
        assert (old.state, old.digest) == (codes.SLOT_CONFIRMED, self.old), f"the old release's slot: {old}"
        reading = storage.ratchet().reading.roles.get(codes.IMAGE_APP)
        sequence = reading.sequence if reading else 0
        assert sequence >= ratchet_before, f"the ratchet fell from {ratchet_before} to {sequence}"
        return sequence

    def require_may_boot(self, raw, letter):
        """Require that the slot of this letter was asked for, by whole marks, and holds what was signed, byte for byte."""
        if letter == "-":
            return
        slot = storage_of(raw).slots["AB".index(letter)]
        status = slot.status()
        assert status.state in _MAY_BOOT, f"slot {letter} booted, and is in state {status.state}"
        self._require_whole(slot, status.digest)

    def _require_whole(self, slot, digest):
        bundle = self.bundles.get(digest)
        assert bundle is not None, f"slot {'AB'[slot.name]} is marked for a release that nobody signed"
        for image in bundle.manifest.images(slot.name):
            stored = bytes(slot.region(image.component).view(0, image.size))
            assert stored == bundle.content(image).image, (
                f"slot {'AB'[slot.name]} is marked, and its {image.component.decode()} isn't what was signed"
            )

    def require_updated(self, raw):
        """Require the exact end of an update: the new release confirmed in both units, and the ratchet at it."""
        storage = storage_of(raw)
        slot = storage.slots[NEW_SLOT]
        status = slot.status()
        assert (status.state, status.digest) == (codes.SLOT_CONFIRMED, self.new), f"the new slot: {status}"
        assert status.is_settled, "confirmed in one unit only"
        reading = storage.ratchet().reading.roles[codes.IMAGE_APP]
        assert reading == release_of(self.bundles[self.new].manifest, self.new, slot.name), (
            f"ratchet {reading}"
        )
        assert self.boot_line(raw).endswith("row 7 slot B"), self.boot_line(raw)
