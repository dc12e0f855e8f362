"""The regions of a device's flash, by name; each port's `layout` gives their places."""

from pawl import codes, identity, ratchet, records, slots, trust
from pawl.boots import BootCounter
from pawl.clock import Clock
from pawl.errors import TrustError
from pawl.flash import Region
from pawl.log import Log
from pawl.quarantine import Quarantine

_ANCHOR_MAGIC = b"PWAN"
_ANCHOR_COPIES = ("anchor_a", "anchor_b")
_IDENTITY_COPIES = ("identity_a", "identity_b")


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
        return identity.load(self._identity_regions())

    def provision(self, values, anchor_file):
        """Write what provisioning writes: both copies of the identity and of the anchor."""
        identity.write(self._identity_regions(), values)
        self.write_anchor(anchor_file)

    def _identity_regions(self):
        return [self.regions[name] for name in _IDENTITY_COPIES]

    def ratchet(self):
        """Return the Ratchet."""
        return ratchet.Ratchet(self.regions["ratchet"])

    def boot_counter(self):
        """Return the BootCounter."""
        return BootCounter(self.regions["boots"])

    def quarantine(self):
        """Return the Quarantine."""
        return Quarantine(self.regions["quarantine"])

    def clock(self, port):
        """Return the Clock, which goes by the port's ticks."""
        return Clock(self.regions["clock"], port)

    def log(self):
        """Return the Log."""
        return Log(self.regions["log"])

    def write_anchor(self, file):
        """Write both copies of the anchor file; only provisioning does that."""
        for name in _ANCHOR_COPIES:
            records.replace(self.regions[name], _ANCHOR_MAGIC, file)

    def anchor(self, accepted, verify):
        """Return the Anchor whose (version, digest) the ratchet `accepted`, or None if no copy is it.

        A device that has accepted none yet takes the copy with the highest version.
        """
        copies = self._anchors(verify)
        return _newest(
            [copy for copy in copies if accepted is None or (copy.version, copy.digest) == accepted]
        )

    def best_anchor(self, provisioned, verify):
        """Return the readable copy with the highest version, else the Anchor of a `provisioned` file, else None."""
        return _newest(self._anchors(verify)) or _readable(provisioned, verify)

    def _anchors(self, verify):
        files = [records.load(self.regions[name], _ANCHOR_MAGIC) for name in _ANCHOR_COPIES]
        anchors = [_readable(file, verify) for file in files]
        return [anchor for anchor in anchors if anchor is not None]


def _newest(anchors):
    best = None
    for anchor in anchors:
        if best is None or anchor.version > best.version:
            best = anchor
    return best


def _readable(file, verify):
    try:
        return None if file is None else trust.load(file, verify)
    except TrustError:
        return None
