"""The ratchet: the highest confirmed release of each image role, and the anchor that was accepted.

Kept as whole snapshots in fixed cells of two sectors. Its reading is the maximum over the valid ones, so a torn
append changes nothing, and no order of cuts can lower it. Only `advance` writes.
"""

from collections import namedtuple

from pawl import cbor, codes
from pawl.compat import const
from pawl.errors import ManifestError
from pawl.journal import Journal

_CELL_BYTES = const(512)
_MAGIC = b"PWRT"
_ROLES = const(1)
_ANCHOR = const(2)

# sequence number; manifest digest, version, (image digest, image size), each None if only provisioned
Release = namedtuple("Release", ("sequence", "digest", "version", "image"))
Reading = namedtuple("Reading", ("roles", "anchor"))


def epoch(sequence):
    """Return the epoch of a sequence number."""
    return sequence >> 32


def release_of(manifest, digest, slot):
    """Return what R becomes when the release of this manifest is confirmed in a slot."""
    image = manifest.images(slot)[0]
    return Release(manifest.sequence_number, digest, manifest.version, (image.digest, image.size))


def floor(sequence):
    """Return the ratchet of a device that was only provisioned."""
    return Release(sequence, None, None, None)


def higher(one, other):
    """Return the higher of two Releases (the second may be None); of equal ones the one that is known in full."""
    if other is None:
        return one
    if one.sequence == other.sequence:
        return one if one.digest is not None else other
    return one if one.sequence > other.sequence else other


def encode_release(release):
    """Return R of the wire format as plain values."""
    version = None if release.version is None else list(release.version)
    image = None if release.image is None else list(release.image)
    return [release.sequence, release.digest, version, image]


def read_version(reader):
    """Read a version: 1 to 6 integers (update-management, set-version)."""
    count = reader.array()
    if not 1 <= count <= 6:
        raise ManifestError(codes.REASON_SET_VERSION, "a version has 1 to 6 numbers")
    return tuple([reader.int() for _ in range(count)])


def read_release(reader):
    """Read R of the wire format."""
    reader.array(4)
    sequence = reader.uint()
    digest = None if reader.is_nil() else reader.bytes_of(32)
    version = None if reader.is_nil() else read_version(reader)
    image = None
    if not reader.is_nil():
        reader.array(2)
        image = (reader.bytes_of(32), reader.uint())
    return Release(sequence, digest, version, image)


class Ratchet:
    """The journal of snapshots; `reading` is what its cells say together."""

    kind = "flash"

    def __init__(self, region):
        self.journal = Journal(region, _MAGIC, _CELL_BYTES)
        self.reading = Reading({}, None)
        found = [_readable(body) for body in self.journal.bodies()]
        for reading in found:
            self.reading = merge(self.reading, reading)
        # Something was written here once, and nothing of it can be read.
        self.is_lost = all(reading is None for reading in found) and not region.is_erased(0, region.size)

    def advance(self, reading):
        """Raise the ratchet to include `reading`; nothing is written if it does already."""
        wanted = merge(self.reading, reading)
        if wanted == self.reading:
            return
        self.journal.append(_encode(wanted), self._kept())
        self.reading = wanted

    def has_room(self):
        """Return whether one more snapshot can be written without the newest one being lost."""
        return self.journal.has_room(self._kept())

    def _kept(self):
        return _encode(self.reading) if self.reading.roles else None


def _readable(body):
    """A cell of an unknown format is passed over: its check value was right, so it is no tear."""
    try:
        return _decode(body)
    except ManifestError:
        return None


def merge(one, other):
    """Return the maximum of two Readings, role by role."""
    if other is None:
        return one
    roles = dict(one.roles)
    for role in other.roles:
        roles[role] = higher(other.roles[role], roles.get(role))
    anchors = [anchor for anchor in (one.anchor, other.anchor) if anchor is not None]
    return Reading(roles, max(anchors) if anchors else None)


def _encode(reading):
    roles = {role: encode_release(reading.roles[role]) for role in reading.roles}
    return cbor.encode({_ROLES: roles, _ANCHOR: None if reading.anchor is None else list(reading.anchor)})


def _decode(body):
    reader = cbor.Reader(body)
    roles = {}
    anchor = None
    for key in reader.keys():
        if key == _ROLES:
            for role in reader.keys():
                roles[role] = read_release(reader)
        elif key == _ANCHOR and not reader.is_nil():
            reader.array(2)
            anchor = (reader.uint(), reader.bytes_of(32))
    reader.end()
    return Reading(roles, anchor)
