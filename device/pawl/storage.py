"""The regions of a device's flash, by name; each port's `layout` gives their places."""

from pawl import anchors, codes, identity, ratchet, slots
from pawl.boots import BootCounter
from pawl.clock import Clock
from pawl.flash import Region
from pawl.log import Log
from pawl.quarantine import Quarantine

_ANCHOR_COPIES = ("anchor_a", "anchor_b")
_IDENTITY_COPIES = ("identity_a", "identity_b")


class Storage:
    """Everything persistent. `regions` maps a name to (start, size) in bytes; `before_erase()` is called for each sector."""

    def __init__(self, flash, regions, before_erase=None):
        self.regions = {
            name: Region(flash, regions[name][0], regions[name][1], before_erase) for name in regions
        }
        self.slots = (
            self._slot(codes.RUNNING_A, "a"),
            self._slot(codes.RUNNING_B, "b"),
        )

    def _slot(self, name, suffix):
        parts = [self.regions[part + suffix] for part in ("page_", "envelope_", "image_")]
        return slots.Slot(name, parts[0], parts[1], parts[2], self.regions.get("data_" + suffix))

    def identity(self):
        """Return the provisioned Identity."""
        return identity.load(self._identity_regions())

    def provisioned_anchor(self):
        """Return the anchor file in the identity record."""
        return identity.anchor_file(self._identity_regions())

    def is_blank(self):
        """Return whether the board was never provisioned: its first identity region is erased as a whole."""
        region = self.regions["identity_a"]
        return region.is_erased(0, region.size)

    def provision(self, values, anchor_file):
        """Write what provisioning writes: both copies of the identity and of the anchor."""
        identity.write(self._identity_regions(), values)
        anchors.provision(self._anchor_regions(), anchor_file)

    def _identity_regions(self):
        return [self.regions[name] for name in _IDENTITY_COPIES]

    def ratchet(self):
        """Return the Ratchet."""
        return ratchet.Ratchet(self.regions["ratchet"])

    def boot_counter(self):
        """Return the BootCounter."""
        return BootCounter(self.regions["boots"])

    def anchors(self, provisioned, accepted, verify):
        """Return the Anchors of the ratchet `accepted`; `provisioned` is the file in the identity record."""
        return anchors.Anchors(self._anchor_regions(), provisioned, accepted, verify)

    def anchor_files(self):
        """Return the files of both copies of the anchor, None where there is none."""
        return anchors.files(self._anchor_regions())

    def quarantine(self):
        """Return the Quarantine."""
        return Quarantine(self.regions["quarantine"])

    def clock(self, port):
        """Return the Clock, which goes by the port's ticks."""
        return Clock(self.regions["clock"], port)

    def log(self):
        """Return the Log."""
        return Log(self.regions["log"])

    def _anchor_regions(self):
        return [self.regions[name] for name in _ANCHOR_COPIES]
