"""The trust anchor in flash: two copies and the provisioned one, which of them is in force, and how the next is taken.

A copy is believed because the ratchet names its version and digest, or because it is a successor of the copy that the
ratchet names: never for its number. With neither there is nothing to judge by (boot row 1) until the walk arrives at
what the ratchet names.

    anchors = Anchors(regions, provisioned, ratchet, verify)
    anchors.accept(file)                    # the next version, signed by the roots of both, kept before it is in force
"""

from pawl import codes, records, trust
from pawl.errors import StorageError, TrustError
from pawl.ratchet import Reading

_MAGIC = b"PWAN"


def provision(regions, file):
    """Write every copy of the anchor file: only provisioning does that."""
    for region in regions:
        records.replace(region, _MAGIC, file)


def files(regions):
    """Return the file of each copy, None where none is whole."""
    return [records.load(region, _MAGIC) for region in regions]


class Anchors:
    """`current` is the Anchor that judges, or None (boot row 1); `base` is the one that the walk goes on from.

    They differ in row 1 only, where `base` serves the path to the server: TLS carries no authority.
    """

    def __init__(self, regions, provisioned, ratchet, verify):
        self.regions = regions
        self.ratchet = ratchet
        self.verify = verify
        copies = self._read(files(regions))
        first = self._read([provisioned])
        if ratchet.reading.anchor is None:
            self.current = self.base = _without_ratchet(copies, first, self._follows)
        else:
            self.current = self._named(copies + first)
            self.base = self.current or _highest(copies + first, ratchet.reading.anchor)

    def _readable(self, file):
        """Return the Anchor of a copy, or None if it is torn or no valid anchor."""
        try:
            return None if file is None else trust.load(file, self.verify)
        except TrustError:
            return None

    def _read(self, files):
        """Return the pairs (Anchor, file) of those that can be read."""
        pairs = [(self._readable(file), file) for file in files]
        return [pair for pair in pairs if pair[0] is not None]

    def _follows(self, anchor, file):
        try:
            return trust.successor(anchor, file, self.verify)
        except TrustError:
            return None

    def _named(self, copies):
        """Return the copy that the ratchet names; of a cut before the ratchet's write, its successor: that write is finished."""
        wanted = self.ratchet.reading.anchor
        for anchor, _ in copies:
            if (anchor.version, anchor.digest) == wanted:
                return self._finished(anchor, copies)
        return None

    def _finished(self, anchor, copies):
        for copy, file in copies:
            if copy.version != anchor.version + 1:
                continue  # asked first: it costs no signature
            following = self._follows(anchor, file)
            # What the ratchet names is believed from then on: judged twice, so that no one skipped line decides it.
            if following is not None and self._follows(anchor, file) is not None:
                try:
                    self._advance(following)
                except StorageError:
                    return anchor  # the ratchet still names it, and the walk will come by again
                return following
        return anchor

    def _advance(self, anchor):
        self.ratchet.advance(Reading({}, (anchor.version, anchor.digest)))

    def accept(self, file):
        """Return the Anchor that follows `base`: its copy is in flash and in the ratchet when it is in force.

        In row 1 the steps below what the ratchet names are kept as copies, and judge nothing.

        Raises:
            TrustError: not the successor, or another one than the ratchet names; everything is as before.
            StorageError: flash didn't keep it; `base` is as before, and a later boot finishes what is finished.
        """
        base = self.base
        assert base is not None, "without a readable anchor there is nothing to walk from"
        following = trust.successor(base, file, self.verify)
        named = self.ratchet.reading.anchor
        if named and following.version == named[0] and following.digest != named[1]:
            raise TrustError(codes.REASON_ANCHOR_FORK, "the ratchet names another one of this version")
        self._keep(file, base.digest)
        # Not in force before the ratchet has it: else the next step would write over the copy that the ratchet names.
        if named is None or following.version > named[0]:
            self._advance(following)
        self.base = following
        if named is None or following.version >= named[0]:
            self.current = following
        return following

    def _keep(self, file, in_force):
        region = self._spare(in_force)
        if records.load(region, _MAGIC) == file:
            return
        records.replace(region, _MAGIC, file)
        if records.load(region, _MAGIC) != file:
            raise StorageError(codes.REASON_FLASH_READ_BACK, "the copy of the anchor can't be read back")

    def _spare(self, in_force):
        """Return the region that may be written over: never the only copy of what is in force; unreadable before older."""
        copies = [self._readable(file) for file in files(self.regions)]
        keeps = [copy is not None and copy.digest == in_force for copy in copies]
        if keeps[0] != keeps[1]:
            return self.regions[1 if keeps[0] else 0]
        versions = [0 if copy is None else copy.version for copy in copies]
        return self.regions[1 if versions[1] < versions[0] else 0]


def _highest(copies, named):
    """Return the highest readable anchor that isn't above what the ratchet names, nor another one of that version.

    One above it may be genuine, but nothing here proves it: the walk does.
    """
    best = None
    for anchor, _ in copies:
        if anchor.version < named[0] and (best is None or anchor.version > best.version):
            best = anchor
    return best


def _without_ratchet(copies, provisioned, follows):
    """Return what a device goes by whose ratchet names no anchor: never confirmed anything, or lost its ratchet.

    Copies were judged before they were written, so one alone is believed. Of two, the higher counts if it follows the
    lower: that is how a step leaves them. No step leaves two that don't belong together: then the lower one counts, of
    two with one number the provisioned one. Believing less costs a walk, believing more could undo a rotation.
    """
    if not copies:
        return provisioned[0][0] if provisioned else None
    if len(copies) == 1 or copies[0][0].digest == copies[1][0].digest:
        return copies[0][0]
    low, high = copies if copies[0][0].version < copies[1][0].version else (copies[1], copies[0])
    if low[0].version == high[0].version:
        return provisioned[0][0] if provisioned else None
    return follows(low[0], high[1]) or low[0]
