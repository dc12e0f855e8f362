"""Who may sign what runs: T01, T18, T19, T20, T22, T23, T31."""

import factory
import vectors
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from target import Target, TargetBoard, flipped

from pawl import bundle, cbor, codes, cose, p256, topics, trust
from pawl.errors import ManifestError, TrustError
from pawl.ports.host.verifier import verify


def two_of_three():
    """Return a device whose releases need two of three signers."""
    board = TargetBoard(
        factory.release(sequence=1, signers=(factory.RELEASE, factory.SECOND)),
        anchor_values=factory.anchor_values(threshold=2),
    )
    return Target(board)


def signed_again(key):
    """Return another valid signature of a test key over a digest: ECDSA has as many as there are nonces."""

    class Again(factory.TestKey):
        def sign(self, payload, aad, is_detached):
            message = cose.to_be_signed(cose.protected_header(self.key.alg), aad, payload)
            private = ec.derive_private_key(int.from_bytes(self.secret), ec.SECP256R1())
            r, s = decode_dss_signature(private.sign(message, ec.ECDSA(hashes.SHA256())))
            return cose.write_sign1(self.key.alg, payload, r.to_bytes(32) + s.to_bytes(32), is_detached)

    return Again(int.from_bytes(key.secret))


def test_t01_a_release_of_nobody_known(attack):
    """A stranger's release, well-formed in every other way."""
    row = attack("T01", "arbitrary software: a stranger's release")
    target = Target()
    before = target.snapshot()
    target.publish(factory.release(sequence=2, signers=(factory.STRANGER,)))
    row.refused(target.refusal(), codes.REASON_UNAUTHORISED)
    assert target.reported_refusals() == [codes.REASON_UNAUTHORISED]
    row.unchanged(before, target.snapshot())


def test_t01_keys_of_other_roles_sign_no_release(attack):
    """Root, director and the device's own report key authorise no image; nor do they all together."""
    row = attack("T01", "arbitrary software: signed by root, director and report key")
    others = (factory.ROOT, factory.DIRECTOR, factory.STRANGER)
    for signers in (*[(one,) for one in others], others):
        target = Target()
        before = target.snapshot()
        target.publish(factory.release(sequence=2, signers=signers))
        row.refused(target.refusal(), codes.REASON_UNAUTHORISED)
        row.unchanged(before, target.snapshot())


def test_t01_a_manifest_and_an_image_with_one_bit_flipped(attack):
    """Under a good signature neither the manifest nor a block may differ."""
    row = attack("T01", "arbitrary software: one bit of manifest flipped")
    target = Target()
    before = target.snapshot()
    digest = target.publish(factory.release(sequence=2, version=(2,)))
    target.spoil(topics.release(digest), flipped(-30))
    row.refused(target.refusal(), codes.REASON_MANIFEST_DIGEST)
    row.unchanged(before, target.snapshot())


def test_t18_one_stolen_key_of_two(attack):
    """One key of two-of-three signs nothing, alone or beside keys of other roles."""
    row = attack("T18", "1 of 2-of-3 release keys stolen")
    for signers in ((factory.RELEASE,), (factory.RELEASE, factory.ROOT, factory.DIRECTOR, factory.STRANGER)):
        target = two_of_three()
        before = target.snapshot()
        target.publish(factory.release(sequence=2, version=(2,), signers=signers))
        row.refused(target.refusal(), codes.REASON_UNAUTHORISED)
        row.unchanged(before, target.snapshot())


def test_two_keys_of_three_are_enough():
    """The same release under two keys installs: what refused it was the threshold."""
    target = two_of_three()
    target.publish(factory.release(sequence=2, version=(2,), signers=(factory.SECOND, factory.THIRD)))
    assert target.installs()


def test_t19_one_key_signs_twice(attack):
    """Two different valid signatures of one key count once."""
    row = attack("T19", "one key signs twice, with two nonces")
    target = two_of_three()
    before = target.snapshot()
    signers = (factory.RELEASE, signed_again(factory.RELEASE), signed_again(factory.RELEASE))
    target.publish(factory.release(sequence=2, version=(2,), signers=signers))
    row.refused(target.refusal(), codes.REASON_UNAUTHORISED)
    row.unchanged(before, target.snapshot())


def test_t19_one_signature_copied(attack):
    """The same block again and again counts once."""
    row = attack("T19", "one signature, copied")
    target = two_of_three()
    before = target.snapshot()
    target.publish(factory.release(sequence=2, version=(2,), signers=(factory.RELEASE,) * 8))
    row.refused(target.refusal(), codes.REASON_UNAUTHORISED)
    row.unchanged(before, target.snapshot())


def board_under(values, signers=(factory.ROOT,)):
    """Return a board whose flash holds an anchor of these values, as if somebody had provisioned it so."""
    board = TargetBoard()
    board.anchor_file = factory.anchor_file(values, signers)
    board.storage.write_anchor(board.anchor_file)
    return board


def doubled(label):
    """Return anchor values in which one release key is listed a second time under `label` of doing so."""
    values = factory.anchor_values(threshold=2)
    again = dict(factory.RELEASE.encoded())
    if label == "compressed":
        again[codes.KEY_Y] = bool(factory.RELEASE.key.y[31] & 1)
    elif label == "other algorithm":
        again[codes.KEY_ALG] = codes.ALG_ES256
    values[codes.ANCHOR_KEYS][3] = again
    return values


def invalid_reason(values):
    """Return why an anchor document is refused."""
    try:
        trust.load(factory.anchor_file(values), verify)
    except TrustError as error:
        return error.code
    return codes.REASON_OK


def test_t19_one_key_listed_twice(attack):
    """Copied, compressed, or declared for another algorithm: it is the same point, and the anchor is invalid."""
    row = attack("T19", "one key listed twice in the anchor (3 spellings)")
    for spelling in ("copied", "compressed", "other algorithm"):
        row.refused(invalid_reason(doubled(spelling)), codes.REASON_ANCHOR_INVALID)
        board = board_under(doubled(spelling))
        before = board.flash.store[0x9000:]
        loader, decision = board.boot()
        assert (loader.anchor, decision.action) == (None, 5), "an anchor that is invalid lets nothing boot"
        row.kept(before, board.flash.store[0x9000:])


def test_t19_one_key_in_two_roles(attack):
    """The root's or the director's key among the release keys would let signatures of roles add up."""
    row = attack("T19", "one key in two roles of the anchor")
    for keys in ([0, 2, 3], [1, 2, 3]):
        values = factory.anchor_values()
        values[codes.ANCHOR_ROLES] = {codes.ROLE_APP_RELEASE: [[1, keys], []]}
        row.refused(invalid_reason(values), codes.REASON_ANCHOR_INVALID)
    row.kept(invalid_reason(factory.anchor_values()), codes.REASON_OK, "yes (nothing is stored)")


def test_t20_thresholds_that_ask_for_nobody(attack):
    """Zero, negative, above the number of keys, for each role: the document is invalid, whoever signed it."""
    row = attack("T20", "threshold 0, -1 or above the number of keys, each role")
    for threshold in (0, -1, 4):
        for role in ("root", "release", "boot set"):
            values = factory.anchor_values()
            if role == "root":
                values[codes.ANCHOR_ROOT] = [threshold, [0]]
            elif role == "release":
                values[codes.ANCHOR_ROLES] = {codes.ROLE_APP_RELEASE: [[threshold, [2, 3, 4]], []]}
            else:
                values[codes.ANCHOR_ROLES] = {codes.ROLE_APP_RELEASE: [[1, [2]], [[threshold, [3, 4]]]]}
            row.refused(invalid_reason(values), codes.REASON_ANCHOR_INVALID)
    target = Target()
    before = target.snapshot()
    values = factory.anchor_values()
    values[codes.ANCHOR_ROLES] = {codes.ROLE_APP_RELEASE: [[0, [2, 3, 4]], []]}
    target.board.storage.write_anchor(factory.anchor_file(values))
    target.publish(factory.release(sequence=2, signers=()))
    row.refused(target.refusal(), codes.REASON_ANCHOR_BEHIND)
    row.unchanged(before, target.snapshot())


def test_t20_the_count_itself_refuses_zero(attack):
    """Even past the document's check, no threshold below 1 is met."""
    row = attack("T20", "threshold 0 asked of the signature count itself")
    for threshold in (0, -1):
        try:
            cose.require_threshold([], [factory.RELEASE.key], threshold, b"", b"", verify)
            found = codes.REASON_OK
        except ManifestError as error:
            found = error.code
        row.refused(found, codes.REASON_UNAUTHORISED)
    row.pure()


def block_with(protected, unprotected=None, payload=None, *, tag=codes.TAG_COSE_SIGN1, signed_as=None):
    """Return how to make a detached block with these headers over a digest, truly signed over `signed_as` or them."""

    def make(digest):
        message = cose.to_be_signed(signed_as if signed_as is not None else protected, b"", digest)
        signature = p256.sign(factory.RELEASE.secret, message)
        body = digest if payload == "attached" else payload
        return cbor.encode(cbor.Tag(tag, [protected, unprotected or {}, body, signature]))

    return make


HEADER_TRICKS = {
    "alg none": (block_with(cbor.encode({1: 0})), codes.REASON_ALGORITHM),
    "alg as text": (block_with(cbor.encode({1: "none"})), codes.REASON_ALGORITHM),
    "no protected header": (block_with(b""), codes.REASON_ALGORITHM),
    "empty protected map": (block_with(cbor.encode({})), codes.REASON_ALGORITHM),
    "alg unprotected only": (block_with(b"", {1: codes.ALG_ESP256}), codes.REASON_ALGORITHM),
    "alg in both": (block_with(cbor.encode({1: codes.ALG_ESP256}), {1: 5}), codes.REASON_ALGORITHM),
    "HMAC under a public key": (block_with(cbor.encode({1: 5})), codes.REASON_ALGORITHM),
    "ES384": (block_with(cbor.encode({1: -35})), codes.REASON_ALGORITHM),
    "ES256 for an ESP256 key": (block_with(cbor.encode({1: codes.ALG_ES256})), codes.REASON_UNAUTHORISED),
    "Ed25519 for a P-256 key": (block_with(cbor.encode({1: codes.ALG_ED25519})), codes.REASON_UNAUTHORISED),
    "unknown critical header": (
        block_with(cbor.encode({1: codes.ALG_ESP256, 2: [99], 99: 1})),
        codes.REASON_ALGORITHM,
    ),
    "a key id": (block_with(cbor.encode({1: codes.ALG_ESP256, 4: b"kid"})), codes.REASON_ALGORITHM),
    "alg twice": (block_with(b"\xa2\x01\x28\x01\x28"), codes.REASON_MALFORMED),
    "alg encoded long": (block_with(b"\xa1\x01\x38\x08"), codes.REASON_MALFORMED),
    "attached payload": (
        block_with(cbor.encode({1: codes.ALG_ESP256}), payload="attached"),
        codes.REASON_MALFORMED,
    ),
    "COSE_Sign": (block_with(cbor.encode({1: codes.ALG_ESP256}), tag=98), codes.REASON_MALFORMED),
    "COSE_Mac0": (block_with(cbor.encode({1: codes.ALG_ESP256}), tag=17), codes.REASON_MALFORMED),
}


def release_with(block_of):
    """Return a wire envelope whose one block is made by `block_of`, and its digest."""
    whole = bundle.suit.Envelope(factory.release(sequence=2, version=(2,)))
    block = block_of(whole.digest_item)
    return bundle.envelope_of(cbor.encode([whole.digest_item, block]), whole.manifest)


def test_t22_header_tricks_on_a_release(attack):
    """Each header trick with a signature that truly covers it: the algorithm is the key's and protected, or nothing."""
    row = attack("T22", f"COSE header tricks on a release ({len(HEADER_TRICKS)})")
    for name, (block_of, reason) in HEADER_TRICKS.items():
        target = Target()
        before = target.snapshot()
        digest = target.publish(factory.release(sequence=2, version=(2,)))
        target.broker.retained[topics.release(digest)] = release_with(block_of)
        assert target.refusal() == reason, name
        row.refused(reason, reason)
        row.unchanged(before, target.snapshot())


def test_t22_signatures_moved_between_objects(attack):
    """A true signature of one kind of object is none of another: the type is in what is signed."""
    row = attack("T22", "a true signature moved to another kind of object")
    target = Target()
    before = target.snapshot()
    target.publish(factory.release(sequence=2, version=(2,)))
    for aad in (codes.AAD_ANCHOR, codes.AAD_REPORT, b""):

        class Mover:
            def sign(self, content, _aad, is_detached, aad=aad):
                return factory.DIRECTOR.sign(content, aad, is_detached)

        target.changes = {"signer": Mover()}
        row.refused(target.refusal(), codes.REASON_OFFER_SIGNATURE)
    row.unchanged(before, target.snapshot())


def test_t23_edge_case_signatures(attack):
    """Every Wycheproof case of P-256 in r || s form through the device's own arithmetic, and through the host's."""
    row = attack("T23", "Wycheproof, ECDSA P-256 (device arithmetic and host library)")
    wrong, count = [], 0
    for group in vectors.load_json("wycheproof/ecdsa_secp256r1_sha256_p1363_test.json")["testGroups"]:
        point = bytes.fromhex(group["publicKey"]["uncompressed"])
        key = cose.Key(codes.KTY_EC2, codes.ALG_ESP256, codes.CRV_P256, point[1:33], point[33:])
        for case in group["tests"]:
            message, signature = bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"])
            count += 1
            found = {factory.verify(key, message, signature), verify(key, message, signature)}
            if found != {case["result"] == "valid"}:
                wrong.append(case["tcId"])
    assert count > 0
    row.failed(wrong, [], f"{count} cases come out as their result says")
    row.pure()


def test_t31_an_image_altered_on_one_signing_host(attack):
    """Malware on one of two signing hosts changes what is signed there: the other signature is of the true one."""
    row = attack("T31", "altered on one of two signing hosts")
    target = two_of_three()
    before = target.snapshot()
    altered = factory.manifest_bytes(factory.manifest_values(2, (2,), b"malware" * 700))
    true = factory.manifest_bytes(factory.manifest_values(2, (2,)))
    digest, true_digest = [bytes(cbor.decode(factory.authentication(one))[0]) for one in (altered, true)]
    blocks = [factory.RELEASE.sign(digest, b"", True), factory.SECOND.sign(true_digest, b"", True)]
    envelope = bundle.envelope_of(cbor.encode([digest, *sorted(blocks)]), altered)
    target.wanted = bundle.suit.read_digest(digest)
    target.broker.retained[topics.release(target.wanted)] = envelope
    row.refused(target.refusal(), codes.REASON_UNAUTHORISED)
    row.unchanged(before, target.snapshot())
