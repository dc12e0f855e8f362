"""A slot: images, envelope, status page; and what its marks say after any cut.

The page begins with the manifest digest, and every mark's check value covers that digest, so marks of one
release mean nothing for another. A mark is one program unit, never programmed twice: what is neither erased
nor valid was torn. `confirmed` and `failed` have spare units for those that were. Layout: `docs/protocol.md`, status page.
"""

from collections import namedtuple

from pawl import codes, records
from pawl.compat import const, sha256
from pawl.errors import ManifestError, StorageError

TRIALS_MAX = const(3)
UNIT_BYTES = const(32)
_HEADER_BYTES = const(64)
_ATTEMPT = const(36)  # 2 bytes, behind digest and magic
_MAGIC = b"PWPG"
_ENVELOPE_MAGIC = b"PWEN"

# First unit of each mark, behind the header's two.
_WRITTEN = const(2)
_PENDING = const(3)
_TRIAL = const(4)
_CONFIRMED = const(7)
_CONFIRMED_UNITS = const(4)
_CONFIRMED_WANTED = const(2)
_FAILED = const(11)
_FAILED_UNITS = const(4)

_NO_MARK = const(-1)
_TORN = const(-2)

# state: SLOT_*; trials: units used, torn ones too; is_settled: two units of `confirmed` written, or none left to write;
# reason: of a failure; attempt: of the installation, 0 if the header says none
Status = namedtuple("Status", ("state", "digest", "trials", "is_settled", "reason", "attempt"))
_EMPTY = Status(codes.SLOT_EMPTY, None, 0, False, 0, 0)


class Slot:
    """One slot over its regions; `name` is RUNNING_A or RUNNING_B, `image` the application's, `data` None if a port has none."""

    def __init__(self, name, page, envelope, image, data=None):
        self.name = name
        self.page = page
        self.envelope_region = envelope
        self.image = image
        self.data = data
        self._erased = []  # sectors that several blocks share, erased since the boot and for this release

    def region(self, component):
        """Return the Region of a component's image, or raise if this board has no place for it."""
        region = {codes.COMPONENT_APP: self.image, codes.COMPONENT_DATA: self.data}.get(component)
        if region is None:
            raise ManifestError(codes.REASON_COMPONENT, "no place for this component")
        return region

    def status(self):
        """Read the page: a Status, empty if the header is torn or absent."""
        digest = self._digest()
        if digest is None:
            return _EMPTY
        failures = self._marks(digest, _FAILED, _FAILED_UNITS)
        confirmations = self._marks(digest, _CONFIRMED, _CONFIRMED_UNITS)
        trials = self._marks(digest, _TRIAL, TRIALS_MAX)
        used = len([1 for unit in trials if unit != _NO_MARK])
        if max(failures) >= 0:
            state = codes.SLOT_FAILED
        elif max(confirmations) >= 0:
            state = codes.SLOT_CONFIRMED
        elif max(trials + [self._mark(digest, _PENDING)]) >= 0:
            # A torn unit alone is no trial: without a whole mark nobody asked for this slot to be tried.
            state = codes.SLOT_TRIAL if used else codes.SLOT_PENDING
        else:
            state = codes.SLOT_WRITTEN if self._mark(digest, _WRITTEN) >= 0 else codes.SLOT_EMPTY
        attempt = int.from_bytes(self.page.view(_ATTEMPT, 2), "big")
        is_settled = len([unit for unit in confirmations if unit >= 0]) >= _CONFIRMED_WANTED
        is_settled = is_settled or _NO_MARK not in confirmations
        return Status(state, digest, used, is_settled, max(failures + [0]), attempt)

    def _digest(self):
        header = self.page.view(0, _HEADER_BYTES)
        if header[32:36] != _MAGIC or sha256(header[:56])[:8] != header[56:]:
            return None
        return bytes(header[:32])

    def _unit(self, digest, number, value):
        raw = bytes((number, 0)) + value.to_bytes(2, "big") + bytes(20)
        return raw + sha256(digest + raw)[:8]

    def _marks(self, digest, first, count):
        return [self._mark(digest, first + i) for i in range(count)]

    def _mark(self, digest, number):
        """Return the value of a mark, or that it is absent or torn."""
        if self.page.is_erased(number * UNIT_BYTES, UNIT_BYTES):
            return _NO_MARK
        unit = self.page.view(number * UNIT_BYTES, UNIT_BYTES)
        value = int.from_bytes(unit[2:4], "big")
        return value if unit == self._unit(digest, number, value) else _TORN

    def _program(self, first, count, value=0):
        """Program a mark in the first of its `count` units that is free and keeps it."""
        digest = self._digest()
        fault = StorageError(codes.REASON_MARK_FAILED, "no unit left for the mark")
        for number in range(first, first + count):
            if digest is not None and self._mark(digest, number) == _NO_MARK:
                try:
                    return self.page.program(number * UNIT_BYTES, self._unit(digest, number, value))
                except StorageError as error:
                    fault = error
        raise fault

    def begin(self, digest, envelope, attempt=1):
        """Give the slot to a release, in its next attempt: from here on its old marks are gone.

        The old envelope goes first: a page that is half erased may read as marks, but nothing boots without an envelope.
        """
        self.withdraw()
        self.forget_room()
        raw = digest + _MAGIC + attempt.to_bytes(2, "big") + bytes(18)
        self.page.program(0, raw + sha256(raw)[:8])
        records.write(self.envelope_region, 0, _ENVELOPE_MAGIC, envelope)

    def withdraw(self):
        """Take the slot from its release; blocks in the image stay."""
        self.envelope_region.erase()
        self.page.erase()

    def is_begun_for(self, digest):
        """Return whether a download of this release was cut here, before any mark: then it can go on."""
        rest = self.page.size - _HEADER_BYTES
        return self._digest() == digest and self.page.is_erased(_HEADER_BYTES, rest)

    def is_spoiled(self):
        """Return whether the page reads as nothing that was ever asked for: torn, rotten, or it doesn't erase."""
        return self._digest() is None and not self.page.is_erased(0, self.page.size)

    def envelope(self):
        """Return the stored envelope, or None."""
        return records.load(self.envelope_region, _ENVELOPE_MAGIC)

    def mark_written(self):
        """Say that the image was written whole and read back."""
        self._program(_WRITTEN, 1)

    def mark_pending(self):
        """Say that the next boot may try this slot."""
        self._program(_PENDING, 1)

    def mark_trial(self):
        """Use up one trial."""
        self._program(_TRIAL, TRIALS_MAX)

    def mark_confirmed(self):
        """Write `confirmed` in two units; either one means set. A torn one has a spare, as long as trials last."""
        while not self.status().is_settled:
            self._program(_CONFIRMED, _CONFIRMED_UNITS)
        if self.status().state != codes.SLOT_CONFIRMED:
            raise StorageError(codes.REASON_MARK_FAILED, "it is failed, or every unit of confirmed is torn")

    def mark_failed(self, reason):
        """Say that this release must never boot from here, and why."""
        self._program(_FAILED, _FAILED_UNITS, reason)

    def make_room(self, offset, component):
        """Erase the sector that a missing block shares with others, once since the boot: the others are lost.

        A sector that was begun before the boot is not gone on with. Its erase may have been cut, and may read as it likes.
        """
        region = self.region(component)
        sector = region.sector(offset)
        if sector not in self._erased:
            region.erase(offset, 1)
            self._erased.append(sector)

    def forget_room(self):
        """Erase every sector again that blocks share, before one is written there."""
        self._erased = []

    def write_block(self, offset, block, component=codes.COMPONENT_APP):
        """Write one block into an image, unless it is there already.

        Its sectors are erased also where they read as erased: what a cut left of an erase may read otherwise later. Those
        that other blocks share were erased before the first of them came (`download`).
        """
        region = self.region(component)
        if region.view(offset, len(block)) == block:
            return
        if not region.is_shared(offset, codes.BLOCK_BYTES):
            region.erase(offset, len(block))
        # Of the last block only what isn't a whole unit is copied to be padded: a heap may have no room for all of it.
        whole = len(block) - len(block) % region.flash.program_bytes
        region.program(offset, memoryview(block)[:whole])
        if whole < len(block):
            region.program(offset + whole, memoryview(block)[whole:])

    def match(self, effect):
        """Answer the image-match that a manifest asks for (`processor.execute`)."""
        parameters = effect.parameters
        return self.image_matches(
            parameters[codes.PARAMETER_IMAGE_DIGEST],
            parameters[codes.PARAMETER_IMAGE_SIZE],
            effect.component,
        )

    def image_matches(self, digest, size, component=codes.COMPONENT_APP):
        """Return whether the first `size` bytes of a component's image have this SHA-256."""
        region = self.region(component)
        return size <= region.size and sha256(region.view(0, size)) == digest
