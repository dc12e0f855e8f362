"""A board in memory: flash under NOR rules, provisioned by the device's own code, booted as often as a test likes."""

import factory

from pawl import boot, bundle, codes
from pawl.bootloader import Bootloader
from pawl.flash import MemoryFlash
from pawl.proof import prove
from pawl.storage import Storage

SECTOR = 4096
IMAGE_BYTES = 4 * SECTOR
REGIONS = {}
_at = 0
for _name, _size in (
    ("identity_a", 2),
    ("identity_b", 2),
    ("anchor_a", 1),
    ("anchor_b", 1),
    ("ratchet", 2),
    ("boots", 2),
    ("page_a", 1),
    ("envelope_a", 1),
    ("page_b", 1),
    ("envelope_b", 1),
    ("image_a", 4),
    ("image_b", 4),
    ("data_a", 2),
    ("data_b", 2),
    ("quarantine", 2),
    ("clock", 2),
    ("log", 2),
):
    REGIONS[_name] = (_at, _size * SECTOR)
    _at += _size * SECTOR
FLASH_BYTES = _at


class Board:
    """A device with a factory release in slot A, confirmed."""

    regions = REGIONS

    def __init__(self, factory_release=None, anchor_values=None, floor=1, flash=None, verify=factory.verify):
        self.verify = verify
        self.flash = flash or MemoryFlash(FLASH_BYTES, SECTOR, 32)
        self.storage = Storage(self.flash, self.regions)
        self.anchor_file = factory.anchor_file(anchor_values or factory.anchor_values())
        self.storage.provision(self._identity(floor), self.anchor_file)
        self.put(0, factory_release or factory.release(sequence=1))
        self.storage.slots[0].mark_confirmed()

    def _identity(self, floor):
        return {
            "device": "bench-1",
            "vendor": factory.VENDOR,
            "class_id": factory.CLASS,
            "certificate": b"certificate",
            "tls_key": b"key",
            "host": "localhost",
            "port": 8883,
            "report_key": factory.STRANGER.secret,
            "anchor_file": self.anchor_file,
            "floor": {codes.IMAGE_APP: floor},
            "anchor_port": 8884,
        }

    def put(self, name, raw):
        """Write a release into a slot as an install does, up to `written`."""
        envelope = bundle.suit.Envelope(raw)
        release = bundle.Bundle(envelope)
        slot = self.storage.slots[name]
        slot.begin(envelope.digest, release.wire_envelope())
        for image in release.manifest.images(name):
            for number, block in enumerate(factory.index.cut(release.content(image).image)):
                slot.write_block(number * codes.BLOCK_BYTES, block, image.component)
        slot.mark_written()
        return slot

    def boot(self):
        """Boot: return (Bootloader, Decision)."""
        self.counter = self.storage.boot_counter()
        self.counter.step()
        loader = Bootloader(self.storage, self.verify)
        return loader, self.settled(loader)

    def settled(self, loader):
        """Return the Decision of a boot; what it names passes the second judgement, as on every port."""
        decision = loader.settle(self.counter.is_unwell())
        if decision.action != boot.RECOVER:
            assert prove(self.storage, decision, loader.verify).images
        return decision

    def flip(self, region, offset):
        """Flip one bit in a region, past all rules: what rot or a thief with a probe does."""
        self.flash.store[self.regions[region][0] + offset] ^= 1
