"""The root walk, after the rotation cases of TUF's conformance suite: both thresholds sign, in order, or nothing changes."""

import factory
from factory import STRANGER, TestKey, anchor_file, root_values, verify
from support import refused

from pawl import cbor, codes, trust
from pawl.errors import TrustError

R = tuple([TestKey(201 + number) for number in range(10)])
UNSIGNED = codes.REASON_ANCHOR_UNSIGNED
FIVE = (0, 1, 2, 3, 4)
ONE_ROTATED = (0, 1, 3, 4, 5)

# Name, first version and those after it as (root keys, threshold, signers), and whether the last one is accepted.
ROTATIONS = (
    ("1-of-1, rotated", (((1,), 1, (1,)), ((2,), 1, (2, 1)), ((2,), 1, (2,))), True),
    (
        "1-of-1, rotated, unused signatures",
        (((1,), 1, (3, 1, 4)), ((2,), 1, (3, 2, 1, 4)), ((2,), 1, (3, 2, 4))),
        True,
    ),
    ("1-of-1, not signed with the old key", (((1,), 1, (1,)), ((2,), 1, (2, 3, 4))), False),
    ("1-of-1, not signed with the new key", (((1,), 1, (1,)), ((2,), 1, (1, 3, 4))), False),
    (
        "3-of-5, different combinations of keys",
        ((FIVE, 3, (0, 2, 4)), (FIVE, 3, (0, 4, 1)), (FIVE, 3, (0, 1, 3)), (FIVE, 3, (0, 1, 3))),
        True,
    ),
    ("3-of-5, one key rotated", ((FIVE, 3, (0, 2, 4)), (ONE_ROTATED, 3, (0, 4, 1))), True),
    ("3-of-5, not signed with 3 new keys", ((FIVE, 3, (0, 2, 4)), (ONE_ROTATED, 3, (0, 2, 4))), False),
    ("3-of-5, not signed with 3 old keys", ((FIVE, 3, (0, 2, 4)), (ONE_ROTATED, 3, (0, 4, 5))), False),
    (
        "3-of-5, one key rotated, intermediate step",
        ((FIVE, 3, (0, 2, 4)), (ONE_ROTATED, 3, (0, 2, 4, 5)), (ONE_ROTATED, 3, (0, 4, 5))),
        True,
    ),
    (
        "3-of-5, all keys rotated, intermediate step",
        ((FIVE, 3, (0, 2, 4)), ((5, 6, 7, 8, 9), 3, (0, 2, 4, 5, 6, 7)), ((5, 6, 7, 8, 9), 3, (5, 6, 7))),
        True,
    ),
    ("1-of-3 raised to 2-of-3", (((1, 2, 3), 1, (1,)), ((1, 2, 3), 2, (1, 2))), True),
    ("2-of-3, bump not reached", (((1, 2, 3), 1, (1,)), ((1, 2, 3), 2, (2,))), False),
    (
        "2-of-3 lowered to 1-of-3",
        (((1, 2, 3), 2, (1, 2)), ((1, 2, 3), 1, (1, 2)), ((1, 2, 3), 1, (1,))),
        True,
    ),
    ("1-of-3, old threshold not reached", (((1, 2, 3), 2, (1, 2)), ((1, 2, 3), 1, (1,))), False),
    ("1-of-1 raised to 2-of-2", (((1,), 1, (1,)), ((1, 2), 2, (1, 2))), True),
)


def step(version, keys, threshold, signers):
    """Return the anchor file of one version of a rotation."""
    values = root_values(version, [R[number] for number in keys], threshold)
    return anchor_file(values, [R[number] for number in signers])


def first(keys=(1,), threshold=1, version=1):
    """Return the anchor that the device holds."""
    return trust.parse(cbor.encode(root_values(version, [R[number] for number in keys], threshold)))


def state(anchor):
    """Return what must not change when a successor is refused."""
    root = [key.identity for key in anchor.root.keys]
    return anchor.version, anchor.digest, anchor.root.threshold, root


def refusal(current, file):
    """Return the reason for which a successor is refused, after looking that the current one still stands."""
    before = state(current)
    code = refused(trust.successor, current, file, verify)
    assert state(current) == before
    return code


def rotate(name, steps, is_accepted):
    """Walk a rotation: each step but the last must be accepted."""
    current = trust.load(step(1, *steps[0]), verify)
    for version in range(2, len(steps) + 1):
        file = step(version, *steps[version - 1])
        if version == len(steps) and not is_accepted:
            assert refusal(current, file) == UNSIGNED, name
            return
        current = trust.successor(current, file, verify)
        assert current.version == version, name
        expected = [R[number].key.identity for number in steps[version - 1][0]]
        assert [key.identity for key in current.root.keys] == expected, name
    assert is_accepted, name


def test_root_rotation():
    """The 15 sequences of keys, thresholds and signatures: nine end well, six keep the previous root."""
    assert len(ROTATIONS) == 15
    assert len([row for row in ROTATIONS if row[2]]) == 9
    for name, steps, is_accepted in ROTATIONS:
        rotate(name, steps, is_accepted)


def test_a_refused_step_does_not_stop_the_right_one():
    """After a file that lacks the new key's signature, the one that has both is accepted."""
    current = first()
    assert refusal(current, step(2, (2,), 1, (1,))) == UNSIGNED
    assert trust.successor(current, step(2, (2,), 1, (1, 2)), verify).version == 2


def test_versions_follow_one_another():
    """Same version, the one before, N+2 and a fast-forward: well signed by both roots, and refused."""
    current = first(version=5)
    for version in (5, 4, 7, 2**64 - 1):
        assert refusal(current, step(version, (1,), 1, (1,))) == codes.REASON_ANCHOR_VERSION, version


def test_another_document_of_the_same_version():
    """A second document of our version is no successor, whatever it says."""
    current = first()
    values = root_values(1, [R[1]], 1)
    values[codes.ANCHOR_SERVER_NAMES] = ["elsewhere"]
    assert refusal(current, anchor_file(values, [R[1]])) == codes.REASON_ANCHOR_VERSION


def test_unsigned_and_signed_by_others():
    """No signature is not even a file; those of strangers, release and director keys count for nothing."""
    current = first()
    values = root_values(2, [R[1]], 1)
    assert refusal(current, anchor_file(values, [])) == codes.REASON_ANCHOR_INVALID
    signers = (STRANGER, factory.RELEASE, factory.DIRECTOR)
    assert refusal(current, anchor_file(values, signers)) == UNSIGNED


def test_too_few_keys():
    """A threshold that the keys of the set can't reach makes the document invalid, though both roots signed it."""
    current = first()
    for threshold, keys in ((2, (1,)), (0, (1,)), (4, (1, 2, 3))):
        assert refusal(current, step(2, keys, threshold, (1,))) == codes.REASON_ANCHOR_INVALID, threshold


def test_duplicate_keys_count_once():
    """A key listed twice, once with its point compressed, makes the document invalid."""
    current = first()
    values = root_values(2, [R[1], R[1]], 2)
    assert refusal(current, anchor_file(values, [R[1]])) == codes.REASON_ANCHOR_INVALID
    twin = values[codes.ANCHOR_KEYS][1]
    twin[codes.KEY_Y] = bool(twin[codes.KEY_Y][-1] & 1)
    assert refusal(current, anchor_file(values, [R[1]])) == codes.REASON_ANCHOR_INVALID


def test_one_key_in_two_roles():
    """The director's key as root key makes the document invalid."""
    values = root_values(2, [R[1]], 1)
    values[codes.ANCHOR_DIRECTOR] = [0]
    assert refusal(first(), anchor_file(values, [R[1]])) == codes.REASON_ANCHOR_INVALID


def test_duplicate_signatures_count_once():
    """The same key signing twice, in the same bytes, is one signature towards 2 of 2: of the new root and of the old."""
    assert refusal(first(), step(2, (1, 2), 2, (1, 1))) == UNSIGNED
    assert refusal(first((1, 2), 2), step(2, (1,), 1, (1, 1))) == UNSIGNED


def test_a_bad_signature_does_not_spoil_a_met_threshold():
    """Beside a good one, a signature of other bytes counts for nothing and is no fault; alone it is refused."""
    current = first()
    content = cbor.encode(root_values(2, [R[1]], 1))
    good = R[1].sign(content, codes.AAD_ANCHOR, True)
    bad = good[:-32] + bytes(32)
    elsewhere = R[1].sign(content, codes.AAD_OFFER, True)
    attached = R[1].sign(content, codes.AAD_ANCHOR, False)
    for spoiled in (bad, elsewhere, attached):
        assert trust.successor(current, file_of(content, (spoiled, good)), verify).version == 2
    assert refusal(current, file_of(content, (bad, elsewhere))) == UNSIGNED
    assert refusal(current, file_of(content, (attached,))) == UNSIGNED


def file_of(content, blocks):
    """Return the anchor file of a content and signature blocks."""
    return cbor.encode([content, list(blocks)])


def test_expiry_never_stops_the_walk():
    """An expired version in the middle is accepted: walking roots needs no time."""
    current = first()
    for version in (2, 3):
        values = root_values(version, [R[1]], 1)
        values[codes.ANCHOR_EXPIRY] = 0
        current = trust.successor(current, anchor_file(values, [R[1]]), verify)
    assert (current.version, current.expiry) == (3, 0)


def test_nothing_is_parsed_that_the_former_root_did_not_sign():
    """Rubbish from a stranger is unsigned, the same rubbish from our root is invalid."""
    content = cbor.encode({99: "rubbish"})
    for signer, reason in ((STRANGER, UNSIGNED), (R[1], codes.REASON_ANCHOR_INVALID)):
        file = file_of(content, (signer.sign(content, codes.AAD_ANCHOR, True),))
        assert refusal(first(), file) == reason


def test_another_type_of_document():
    """An offer's context, or an unknown element in a well signed document, is no anchor."""
    values = root_values(2, [R[1]], 1)
    values[12] = "more"
    assert refusal(first(), anchor_file(values, [R[1]])) == codes.REASON_ANCHOR_INVALID
    values = root_values(2, [R[1]], 1)
    values[codes.ANCHOR_FORMAT] = 2
    assert refusal(first(), anchor_file(values, [R[1]])) == codes.REASON_ANCHOR_INVALID


def test_the_largest_file():
    """4000 bytes are accepted, 4001 refused."""
    current = first()
    values = root_values(2, [R[1]], 1)
    values[codes.ANCHOR_CA] = [bytes(3000)]
    values[codes.ANCHOR_CA] = [bytes(3000 + codes.ANCHOR_MAX_BYTES - len(anchor_file(values, [R[1]])))]
    largest = anchor_file(values, [R[1]])
    assert len(largest) == codes.ANCHOR_MAX_BYTES
    assert trust.successor(current, largest, verify).version == 2
    values[codes.ANCHOR_CA][0] += b"\x00"
    assert refusal(current, anchor_file(values, [R[1]])) == codes.REASON_ANCHOR_INVALID


def test_the_walk_is_not_limited_by_what_came_before():
    """A long chain, one version at a time; any gap in it is refused."""
    files = [step(version, (1,), 1, (1,)) for version in (2, 3, 4, 5)]
    current = first()
    assert refusal(current, files[1]) == codes.REASON_ANCHOR_VERSION
    for file in files:
        current = trust.successor(current, file, verify)
    assert current.version == 5
    assert refusal(current, files[-1]) == codes.REASON_ANCHOR_VERSION


def test_a_refusal_is_a_trust_error():
    """Callers catch one family: also where the fault is in the encoding."""
    for file in (b"", b"\x80", b"\xff" * 50, bytes(4001)):
        try:
            trust.successor(first(), file, verify)
        except TrustError as error:
            assert error.code == codes.REASON_ANCHOR_INVALID
        else:
            raise AssertionError(file)
