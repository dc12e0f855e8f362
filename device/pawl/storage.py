"""The regions of a device's flash, by name; each port's `layout` gives their places."""

from pawl import codes, identity, journal, ratchet, records, slots, trust
from pawl.errors import TrustError
from pawl.flash import Region

_ANCHOR_MAGIC = b"PWAN"
_ANCHOR_COPIES = ("anchor_a", "anchor_b")


class Storage:
    """Everything persistent. `regions` maps a name to (start, size) in bytes."""

    def __init__(self, flash, regions):
        self.regions = {name: Region(flash, regions[name][0], regions[name][1]) for name in regions}
        self.slots = (
            self._slot(codes.RUNNING_A, "a"),
            self._slot(codes.RUNNING_B, "b"),
        )

    def _slot(self, name, suffix):
        parts = [self.regions[part + suffix] for part in ("page_", "envelope_", "image_")]
        return slots.Slot(name, parts[0], parts[1], parts[2])

    def identity(self):
        """Return the provisioned Identity."""
        return identity.load(self.regions["identity"])

    def ratchet(self):
        """Return the Ratchet."""
        return ratchet.Ratchet(self.regions["ratchet"])

    def boot_counter(self):
        """Return the Counter of boots."""
        return journal.Counter(self.regions["boots"])

    def write_anchor(self, file):
        """Write both copies of the anchor file; only provisioning does that."""
        for name in _ANCHOR_COPIES:
            records.replace(self.regions[name], _ANCHOR_MAGIC, file)

    def anchor(self, accepted, verify):
        """Return the Anchor whose (version, digest) the ratchet `accepted`, or None if no copy is it.

        A device that has accepted none yet takes the copy with the highest version.
        """
        found = [self._anchor(name, verify) for name in _ANCHOR_COPIES]
        found = [anchor for anchor in found if anchor is not None]
        if accepted is not None:
            found = [anchor for anchor in found if (anchor.version, anchor.digest) == accepted]
        best = None
        for anchor in found:
            if best is None or anchor.version > best.version:
                best = anchor
        return best

    def _anchor(self, name, verify):
        file = records.load(self.regions[name], _ANCHOR_MAGIC)
        try:
            return None if file is None else trust.load(file, verify)
        except TrustError:
            return None
