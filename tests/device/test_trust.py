"""The anchor document: whatever breaks a rule of its format makes the whole of it invalid."""

import factory
from factory import ISSUED, RELEASE, ROOT, STRANGER, verify
from support import refused

from pawl import codes, trust

KEYS = codes.ANCHOR_KEYS
ROLES = codes.ANCHOR_ROLES


def load(values, signers=(ROOT,)):
    """Load the anchor of plain values."""
    return trust.load(factory.anchor_file(values, signers), verify)


def test_a_valid_anchor_is_read():
    """Its version, sets and lists come out."""
    anchor = load(factory.anchor_values(threshold=2))
    install_set, boot_sets = anchor.role(codes.ROLE_APP_RELEASE)
    assert (anchor.version, anchor.issued) == (1, ISSUED)
    assert (install_set.threshold, len(install_set.keys), boot_sets) == (2, 3, [])
    assert anchor.server_names == ["localhost"]
    assert len(anchor.digest) == 32


def test_compressed_points_are_the_same_keys():
    """A point given by its sign is decompressed before keys are compared (T19)."""
    values = factory.anchor_values()
    for key in values[KEYS]:
        key[codes.KEY_Y] = bool(key[codes.KEY_Y][-1] & 1)
    compressed = load(values)
    assert [key.identity for key in compressed.keys] == [key.identity for key in factory.anchor().keys]


def test_roles_that_nobody_may_sign_for_are_refused():
    """An anchor that names no recovery set lets nobody sign a recovery release."""
    assert refused(factory.anchor().role, codes.ROLE_APP_RECOVERY) == codes.REASON_UNAUTHORISED


def test_broken_rules_are_refused():
    """One change each to a valid document."""
    compressed_root = dict(ROOT.encoded())
    compressed_root[codes.KEY_Y] = bool(ROOT.key.y[-1] & 1)
    off_curve = dict(ROOT.encoded())
    off_curve[codes.KEY_Y] = True
    off_curve[codes.KEY_X] = bytes(31) + b"\x07"
    unknown_kind = dict(ROOT.encoded())
    unknown_kind[codes.KEY_ALG] = -8
    good = [key.encoded() for key in factory.KEYS]
    for label, value, why in (
        (codes.ANCHOR_FORMAT, 2, "another format"),
        (12, 1, "unknown element"),
        (codes.ANCHOR_ROOT, [0, [0]], "threshold 0 (T20)"),
        (codes.ANCHOR_ROOT, [-1, [0]], "negative threshold (T20)"),
        (codes.ANCHOR_ROOT, [2, [0]], "threshold above the number of keys"),
        (codes.ANCHOR_ROOT, [1, []], "no keys"),
        (codes.ANCHOR_ROOT, [1, [5]], "index out of range"),
        (codes.ANCHOR_ROOT, [1, [0, 0]], "index twice"),
        (codes.ANCHOR_ROOT, [1, [1]], "director's key as root"),
        (codes.ANCHOR_DIRECTOR, [], "no director"),
        (codes.ANCHOR_DIRECTOR, [2], "release key as director"),
        (ROLES, {}, "no role"),
        (ROLES, {9: [[1, [2]], []]}, "unknown role"),
        (ROLES, {1: [[0, [2]], []]}, "threshold 0 (T20)"),
        (ROLES, {1: [[1, [4, 3]], []]}, "indices not ascending"),
        (ROLES, {1: [[1, [2]], []], 2: [[1, [2]], []]}, "one key in two roles"),
        (ROLES, {1: [[1, [2]], [[1, [2]]] * 5]}, "five boot sets"),
        (KEYS, good + [compressed_root], "a key twice, once compressed (T19)"),
        (KEYS, [off_curve] + good[1:], "point off the curve"),
        (KEYS, [unknown_kind] + good[1:], "algorithm out of the profile"),
        (KEYS, [], "no keys"),
        (KEYS, good + [{codes.KEY_KTY: codes.KTY_EC2}], "half a key"),
        (codes.ANCHOR_BARRED, [b"\x01" * 31], "digest of 31 bytes"),
        (codes.ANCHOR_BARRED, [b"\x02" * 32, b"\x01" * 32], "digests not ascending"),
        (codes.ANCHOR_CA, [], "no authority"),
        (codes.ANCHOR_SERVER_NAMES, ["a"] * 5, "five names"),
    ):
        values = factory.anchor_values()
        values[label] = value
        assert refused(load, values) == codes.REASON_ANCHOR_INVALID, why


def test_every_element_is_required():
    """A document without one of them is invalid."""
    for label in factory.anchor_values():
        values = factory.anchor_values()
        values.pop(label)
        assert refused(load, values) == codes.REASON_ANCHOR_INVALID, label


def test_its_own_root_must_have_signed():
    """Signed by nobody of the root set, the document is nothing."""
    for signers in ((STRANGER,), (RELEASE,)):
        assert refused(load, factory.anchor_values(), signers) == codes.REASON_ANCHOR_UNSIGNED
    assert load(factory.anchor_values(), (STRANGER, ROOT)).version == 1


def test_every_flipped_byte_and_truncation_is_refused():
    """No byte of an anchor file is anybody's choice."""
    file = factory.anchor_file(factory.anchor_values())
    for size in range(0, len(file), 7):
        assert refused(trust.load, file[:size], verify) == codes.REASON_ANCHOR_INVALID
    for place in range(0, len(file), 7):
        changed = bytearray(file)
        changed[place] ^= 0x41
        reasons = (codes.REASON_ANCHOR_INVALID, codes.REASON_ANCHOR_UNSIGNED)
        assert refused(trust.load, bytes(changed), verify) in reasons, place


def test_too_large_a_file_is_refused_unread():
    """The limit is 4000 bytes."""
    assert refused(trust.load, bytes(4001), verify) == codes.REASON_ANCHOR_INVALID
