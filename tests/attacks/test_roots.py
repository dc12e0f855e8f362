"""Root keys, successors and forks of the trust anchor: T18, T20, T21, T24."""

import factory
from target import Target

from pawl import cbor, codes, trust
from pawl.errors import TrustError
from pawl.ports.host.verifier import verify

NEW_ROOT = factory.TestKey(201)
FORK_ROOT = factory.TestKey(202)


def values(version=2, root=factory.ROOT, **changes):
    """Return the values of a successor."""
    found = factory.anchor_values()
    found[codes.ANCHOR_VERSION] = version
    found[codes.ANCHOR_KEYS][0] = root.encoded()
    return {**found, **changes}


def reason(current, file):
    """Return why a successor is refused; 0 if it is taken."""
    try:
        trust.successor(current, file, verify)
    except TrustError as error:
        return error.code
    return codes.REASON_OK


def test_t21_a_root_that_the_old_one_did_not_sign(attack):
    """A new root signed by itself, by a stranger, by keys of other roles, by nobody: the old one stands."""
    row = attack("T21", "root rollover not signed by the old root")
    current = factory.anchor()
    others = (factory.RELEASE, factory.SECOND, factory.DIRECTOR, factory.STRANGER)
    for signers in ((NEW_ROOT,), (factory.STRANGER,), others, (NEW_ROOT, *others)):
        row.refused(
            reason(current, factory.anchor_file(values(root=NEW_ROOT), signers)), codes.REASON_ANCHOR_UNSIGNED
        )
    row.kept((current.version, current.root.keys[0].identity), (1, factory.ROOT.key.identity))


def test_t21_a_root_that_did_not_sign_itself(attack):
    """Signed by the old root alone: nobody has shown that the new key can sign."""
    row = attack("T21", "root rollover not signed by the new root")
    current = factory.anchor()
    row.refused(
        reason(current, factory.anchor_file(values(root=NEW_ROOT), (factory.ROOT,))),
        codes.REASON_ANCHOR_UNSIGNED,
    )
    both = factory.anchor_file(values(root=NEW_ROOT), (factory.ROOT, NEW_ROOT))
    assert reason(current, both) == codes.REASON_OK
    row.kept(current.version, 1)


def test_t21_versions_that_do_not_follow(attack):
    """The same, an older, one with a gap, the highest there is: signed by both, and refused."""
    row = attack("T21", "root fast-forward, gap, replay (versions 0, 1, 3, 2^64 - 1)")
    current = factory.anchor()
    for version in (0, 1, 3, (1 << 64) - 1):
        row.refused(reason(current, factory.anchor_file(values(version))), codes.REASON_ANCHOR_VERSION)
    row.kept(current.version, 1)


def forked(current_root):
    """Return the chain 2, 3 of a thief who stole a root key that was rotated away in the true 2."""
    two = factory.anchor_file(values(2, FORK_ROOT), (current_root, FORK_ROOT))
    three = factory.anchor_file(values(3, FORK_ROOT), (FORK_ROOT,))
    return two, three


def test_t21_a_forked_root_from_an_old_anchor(attack):
    """The root of version 1, stolen after version 2 replaced it, makes another 2 and 3: a device at 2 takes neither."""
    row = attack("T21", "forked root: stolen old root key makes another chain")
    current = trust.successor(
        factory.anchor(), factory.anchor_file(values(2, NEW_ROOT), (factory.ROOT, NEW_ROOT)), verify
    )
    two, three = forked(factory.ROOT)
    row.refused(reason(current, two), codes.REASON_ANCHOR_UNSIGNED)
    row.refused(reason(current, three), codes.REASON_ANCHOR_UNSIGNED)
    row.kept((current.version, current.root.keys[0].identity), (2, NEW_ROOT.key.identity))


def test_t21_an_offer_of_a_forked_anchor(attack):
    """A director that goes by another document of our version, or by a newer one, installs nothing here."""
    row = attack("T21", "forked root: offers under another anchor of our version, or a newer one")
    for anchor, wanted in (
        ((1, bytes(32)), codes.REASON_ANCHOR_FORK),
        ((2, bytes(32)), codes.REASON_ANCHOR_BEHIND),
    ):
        target = Target()
        before = target.snapshot()
        target.publish(factory.release(sequence=2, version=(2,)))
        target.changes = {"anchor": anchor}
        row.refused(target.refusal(), wanted)
        assert not [topic for topic in target.broker.fetched if not topic.startswith("pawl/k/")]
        row.unchanged(before, target.snapshot())


def test_t21_an_anchor_written_past_the_ratchet(attack):
    """A forked document in flash, valid in itself: the ratchet keeps the digest, so nothing is judged by it."""
    row = attack("T21", "forked root: another valid anchor put into both flash copies")
    target = Target()
    before = target.snapshot()
    fork = values(1, FORK_ROOT)
    fork[codes.ANCHOR_KEYS][2] = factory.STRANGER.encoded()
    target.board.storage.write_anchor(factory.anchor_file(fork, (FORK_ROOT,)))
    target.publish(factory.release(sequence=2, version=(2,), signers=(factory.STRANGER,)))
    row.refused(target.refusal(), codes.REASON_ANCHOR_BEHIND)
    assert target.broker.fetched == []
    row.unchanged(before, target.snapshot())


def test_t18_one_of_two_root_keys(attack):
    """One root key of two: neither signs a successor, nor a first document."""
    row = attack("T18", "1 of 2-of-2 root keys stolen")
    two = values(1)
    two[codes.ANCHOR_KEYS] = [factory.ROOT.encoded(), NEW_ROOT.encoded(), *two[codes.ANCHOR_KEYS][1:]]
    two[codes.ANCHOR_ROOT] = [2, [0, 1]]
    two[codes.ANCHOR_DIRECTOR] = [2]
    two[codes.ANCHOR_ROLES] = {codes.ROLE_APP_RELEASE: [[1, [3, 4, 5]], []]}
    current = trust.load(factory.anchor_file(two, (factory.ROOT, NEW_ROOT)), verify)
    for signers in ((factory.ROOT,), (NEW_ROOT,), (factory.ROOT, factory.ROOT)):
        row.refused(
            reason(current, factory.anchor_file({**two, codes.ANCHOR_VERSION: 2}, signers)),
            codes.REASON_ANCHOR_UNSIGNED,
        )
    row.kept(current.version, 1)


def test_t20_a_successor_that_disables_the_checks(attack):
    """A root that lowers a threshold to 0, drops the releases' role or bars nothing it can: invalid, though signed."""
    row = attack("T20", "successor with threshold 0, no role, unknown role, 33 keys")
    current = factory.anchor()
    for label, value in (
        (codes.ANCHOR_ROOT, [0, [0]]),
        (codes.ANCHOR_ROOT, [1, []]),
        (codes.ANCHOR_ROLES, {codes.ROLE_APP_RELEASE: [[0, [2]], []]}),
        (codes.ANCHOR_ROLES, {}),
        (codes.ANCHOR_ROLES, {9: [[1, [2]], []]}),
        (codes.ANCHOR_DIRECTOR, []),
        (codes.ANCHOR_KEYS, [factory.TestKey(300 + n).encoded() for n in range(33)]),
        (codes.ANCHOR_BARRED, [bytes(32)] * 2),
    ):
        row.refused(
            reason(current, factory.anchor_file({**values(), label: value})), codes.REASON_ANCHOR_INVALID
        )
    row.kept(current.version, 1)


def test_t24_documents_that_abuse_the_parser_of_anchors(attack):
    """Nothing of a successor is parsed before the old root signed it: rubbish unsigned is unsigned, not malformed."""
    row = attack("T24", "rubbish as anchor: unsigned, and signed")
    current = factory.anchor()
    for content in (b"\x81" * 3000, b"\xbb" + b"\xff" * 8, b"", b"\xbf\xff"):
        for signers, wanted in (
            ((factory.STRANGER,), codes.REASON_ANCHOR_UNSIGNED),
            ((factory.ROOT,), codes.REASON_ANCHOR_INVALID),
        ):
            blocks = b"".join([one.sign(content, codes.AAD_ANCHOR, True) for one in signers])
            file = cbor.head(cbor.ARRAY, 2) + cbor.encode(content) + cbor.head(cbor.ARRAY, 1) + blocks
            row.refused(reason(current, file), wanted)
    row.kept(current.version, 1)


def test_t21_a_device_without_a_readable_anchor(attack):
    """Both copies destroyed: what the ratchet names runs on, a pending slot isn't tried, nothing installs."""
    row = attack("T21", "both copies of the anchor destroyed while a slot is pending")
    target = Target()
    target.publish(factory.release(sequence=2, version=(2,)))
    target.run()
    assert target.snapshot().runs == "B"
    pending = target.snapshot().slot_b
    for name in ("anchor_a", "anchor_b"):
        target.board.flip(name, 60)
    row.refused(target.refusal(), codes.REASON_ANCHOR_BEHIND)
    after = target.snapshot()
    row.kept((after.runs, after.slot_b), ("A", pending), "yes (slot A runs; B stays pending)")
