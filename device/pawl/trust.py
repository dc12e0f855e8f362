"""The trust anchor document: who may sign what. Parses and judges it; never stores it.

Refuses a document in which a key has two roles or counts twice, a threshold that nobody or nothing can meet,
and anything the format does not name. Formats: `docs/protocol.md`, anchor.
"""

from pawl import cbor, codes, cose
from pawl.compat import const, sha256
from pawl.errors import ManifestError, TrustError

_FORMAT = const(1)
_KEYS_MAX = const(32)
_SET_KEYS_MAX = const(16)
_BOOT_SETS_MAX = const(4)
_BARRED_MAX = const(16)


class KeySet:
    """A threshold and the keys that count towards it."""

    def __init__(self, threshold, keys):
        self.threshold = threshold
        self.keys = keys

    def require(self, blocks, payload, aad, verify):
        """Return the blocks that count if the threshold of this set signed the detached payload, or raise."""
        return cose.require_threshold(blocks, self.keys, self.threshold, payload, aad, verify)


class Anchor:
    """A parsed anchor: `roles` maps an image role to (install set, list of boot sets)."""

    def __init__(self, fields, digest):
        self.digest = digest
        self.version = fields[codes.ANCHOR_VERSION]
        self.issued = fields[codes.ANCHOR_ISSUED]
        self.expiry = fields[codes.ANCHOR_EXPIRY]
        self.keys = fields[codes.ANCHOR_KEYS]
        self.root = fields[codes.ANCHOR_ROOT]
        self.directors = fields[codes.ANCHOR_DIRECTOR]
        self.roles = fields[codes.ANCHOR_ROLES]
        self.barred = fields[codes.ANCHOR_BARRED]
        self.ca = fields[codes.ANCHOR_CA]
        self.server_names = fields[codes.ANCHOR_SERVER_NAMES]

    def role(self, number):
        """Return (install set, boot sets) of an image role, or raise: nobody may sign for a role without one."""
        if number not in self.roles:
            raise ManifestError(codes.REASON_UNAUTHORISED, "the anchor names no signer for this role")
        return self.roles[number]


def load(file, verify) -> "Anchor":
    """Parse an anchor file (at most 4000 bytes) that its own root threshold signed.

    Raises:
        TrustError: with the reason; nothing of the file may be used.
    """
    content, blocks = _opened(split, file)
    anchor = _opened(parse, content)
    _require_signed(anchor.root, blocks, content, verify)
    return anchor


def successor(current, file, verify) -> "Anchor":
    """Return the Anchor that follows `current`: the next version, signed by the root thresholds of both (docs/architecture.md, Trust anchor document).

    Nothing of the document is parsed before the root of `current` signed it. Expiry is never asked.

    Raises:
        TrustError: with the reason; `current` still stands.
    """
    content, blocks = _opened(split, file)
    _require_signed(current.root, blocks, content, verify)
    anchor = _opened(parse, content)
    if anchor.version != current.version + 1:
        raise TrustError(codes.REASON_ANCHOR_VERSION, "version %d does not follow" % anchor.version)
    _require_signed(anchor.root, blocks, content, verify)
    return anchor


def _opened(read, raw):
    try:
        return read(raw)
    except ManifestError as error:
        raise invalid(error.detail) from None


def _require_signed(root, blocks, content, verify):
    try:
        root.require(blocks, content, codes.AAD_ANCHOR, verify)
    except ManifestError as error:
        raise TrustError(codes.REASON_ANCHOR_UNSIGNED, error.detail) from None


def split(file, least=1):
    """Return (content, blocks) of an anchor file of at most 4000 bytes; nothing of either is judged.

    `least` is 0 where a draft that nobody signed yet is read: never on a device.
    """
    if len(file) > codes.ANCHOR_MAX_BYTES:
        raise invalid("anchor file is too large")
    reader = cbor.Reader(file)
    reader.array(2)
    content = reader.bytes()
    count = reader.array()
    if not least <= count <= 16:
        raise invalid("1 to 16 signatures are allowed")
    blocks = [reader.bytes() for _ in range(count)]
    reader.end()
    return content, blocks


def invalid(detail):
    """Return the error of a document that breaks a rule of its format."""
    return TrustError(codes.REASON_ANCHOR_INVALID, detail)


class _Document:
    """An anchor while it is read: its elements, and which role each key was given."""

    def __init__(self):
        self.fields = {}
        self.keys = []
        self.role_of = {}

    def claim(self, index, role):
        """Give a key to a role: a key that has another one makes the anchor invalid."""
        if index >= len(self.keys):
            raise invalid("key index out of range")
        if self.role_of.get(index, role) != role:
            raise invalid("a key has two roles")
        self.role_of[index] = role
        return self.keys[index]


def parse(content) -> "Anchor":
    """Return the Anchor of a document that keeps the rules of its format; who signed it is not asked."""
    reader = cbor.Reader(content)
    document = _Document()
    for label in reader.keys():
        if label not in _READERS:
            raise invalid("unknown element")
        document.fields[label] = _READERS[label](reader, document)
    reader.end()
    if len(document.fields) != len(_READERS):
        raise invalid("an element is missing")
    if document.fields[codes.ANCHOR_FORMAT] != _FORMAT:
        raise invalid("another format")
    return Anchor(document.fields, sha256(content))


def _uint(reader, _):
    return reader.uint()


def _keys(reader, document):
    count = reader.array()
    if not 1 <= count <= _KEYS_MAX:
        raise invalid("1 to 32 keys are allowed")
    document.keys = [cose.read_key(reader) for _ in range(count)]
    if len({key.identity for key in document.keys}) != count:
        raise invalid("a key occurs twice")
    return document.keys


def _ascending(reader, most):
    count = reader.array()
    if not 1 <= count <= most:
        raise invalid("too few or too many entries")
    entries = [reader.uint() for _ in range(count)]
    if any(entries[i] >= entries[i + 1] for i in range(count - 1)):
        raise invalid("entries are not ascending")
    return entries


def _set(reader, document, role):
    reader.array(2)
    threshold = reader.uint()
    keys = [document.claim(index, role) for index in _ascending(reader, _SET_KEYS_MAX)]
    if not 1 <= threshold <= len(keys):
        raise invalid("threshold below 1 or above the number of keys")
    return KeySet(threshold, keys)


def _root(reader, document):
    return _set(reader, document, "root")


def _directors(reader, document):
    return [document.claim(index, "director") for index in _ascending(reader, 2)]


def _roles(reader, document):
    roles = {}
    for role in reader.keys():
        if role not in (1, 2, 3, 4):
            raise invalid("unknown role")
        reader.array(2)
        install = _set(reader, document, role)
        count = reader.array()
        if count > _BOOT_SETS_MAX:
            raise invalid("more than 4 boot sets")
        roles[role] = (install, [_set(reader, document, role) for _ in range(count)])
    if not roles:
        raise invalid("no image role")
    return roles


def _barred(reader, _):
    count = reader.array()
    if count > _BARRED_MAX:
        raise invalid("more than 16 barred digests")
    digests = [reader.bytes_of(32) for _ in range(count)]
    if any(digests[i] >= digests[i + 1] for i in range(count - 1)):
        raise invalid("barred digests are not ascending")
    return digests


def _certificates(reader, _):
    return [bytes(reader.bytes()) for _ in range(_few(reader))]


def _names(reader, _):
    return [reader.text() for _ in range(_few(reader))]


def _few(reader):
    count = reader.array()
    if not 1 <= count <= 4:
        raise invalid("1 to 4 entries are allowed")
    return count


# Labels ascend in the encoding, so keys are read before the sets that point to them.
_READERS = {
    codes.ANCHOR_FORMAT: _uint,
    codes.ANCHOR_VERSION: _uint,
    codes.ANCHOR_ISSUED: _uint,
    codes.ANCHOR_EXPIRY: _uint,
    codes.ANCHOR_KEYS: _keys,
    codes.ANCHOR_ROOT: _root,
    codes.ANCHOR_DIRECTOR: _directors,
    codes.ANCHOR_ROLES: _roles,
    codes.ANCHOR_BARRED: _barred,
    codes.ANCHOR_CA: _certificates,
    codes.ANCHOR_SERVER_NAMES: _names,
}
