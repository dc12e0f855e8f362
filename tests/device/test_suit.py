"""Envelope, manifest and processor: what is authentic and in the profile runs, all else is refused by name."""

import factory
from factory import RELEASE, SECOND, STRANGER, THIRD, verify
from support import refused

from pawl import cbor, codes, cose, conditions, processor, suit
from pawl.compat import sha256
from pawl.manifest import Manifest
from pawl.trust import KeySet
import vectors

SIGNED = (
    "example0.signed",
    "example1.signed",
    "example2.signed",
    "example2.severed-signed",
    "example3.signed",
    "example4.signed",
    "example5.signed",
)


def authenticate(raw, anchor):
    """Authenticate an envelope under the anchor's release role; return its manifest."""
    envelope = suit.Envelope(raw)
    envelope.authenticate([anchor.role(codes.ROLE_APP_RELEASE)[0]], verify)
    return Manifest(envelope.manifest)


def parse(values):
    """Parse the manifest of plain values."""
    return Manifest(factory.manifest_bytes(values))


def test_published_examples_are_authentic():
    """The seven signed examples of the draft verify under its key, ES256, and under no other."""
    x, y = vectors.public_point("suit-manifest/example-public-key.pem")
    key = cose.Key(codes.KTY_EC2, codes.ALG_ES256, codes.CRV_P256, x, y)
    for name in SIGNED:
        envelope = suit.Envelope(vectors.load_hex("suit-manifest/%s.hex" % name))
        envelope.authenticate([KeySet(1, [key])], verify)
        assert refused(envelope.authenticate, [KeySet(1, [RELEASE.key])], verify) == codes.REASON_UNAUTHORISED


def test_published_examples_bind_the_algorithm():
    """The same key declared for ESP256 verifies none of them: they are signed with ES256."""
    x, y = vectors.public_point("suit-manifest/example-public-key.pem")
    key = cose.Key(codes.KTY_EC2, codes.ALG_ESP256, codes.CRV_P256, x, y)
    for name in SIGNED:
        envelope = suit.Envelope(vectors.load_hex("suit-manifest/%s.hex" % name))
        assert refused(envelope.authenticate, [KeySet(1, [key])], verify) == codes.REASON_UNAUTHORISED


def test_severed_members_of_example_2_match_their_digests():
    """Digests of severed members cover the byte string with its head (suit-manifest §8.4.12)."""
    envelope = suit.Envelope(vectors.load_hex("suit-manifest/example2.signed.hex"))
    manifest = cbor.decode(envelope.manifest)
    assert sorted(envelope.severed) == [codes.MANIFEST_INSTALL, codes.MANIFEST_TEXT]
    for key in envelope.severed:
        assert manifest[key][1] == sha256(envelope.severed[key])


def test_unsigned_examples_are_refused():
    """An envelope without a signature meets no threshold."""
    for name in SIGNED:
        if name == "example2.signed":
            continue  # published without signature only in its severed form
        envelope = suit.Envelope(
            vectors.load_hex("suit-manifest/%s.hex" % name.replace("signed", "unsigned"))
        )
        assert refused(envelope.authenticate, [KeySet(1, [RELEASE.key])], verify) == codes.REASON_UNAUTHORISED


def test_a_signed_manifest_is_read():
    """The fields that the policy needs come out of a manifest of the profile."""
    manifest = authenticate(
        factory.envelope(factory.manifest_values(sequence=7, version=(2, 1))), factory.anchor()
    )
    assert manifest.sequence_number == 7
    assert manifest.version == (2, 1)
    assert manifest.images(0)[0].size == len(factory.IMAGE)
    assert manifest.images(0)[0].digest == sha256(factory.IMAGE)
    assert manifest.identity == (factory.VENDOR, factory.CLASS)


def test_threshold_counts_different_keys():
    """Two of three: one signature, the same key twice, or a stranger's are too few; order doesn't matter."""
    anchor = factory.anchor(threshold=2)
    cases = (
        ((RELEASE,), codes.REASON_UNAUTHORISED),
        ((RELEASE, RELEASE), codes.REASON_UNAUTHORISED),
        ((RELEASE, STRANGER), codes.REASON_UNAUTHORISED),
        ((RELEASE, THIRD), None),
        ((SECOND, RELEASE, STRANGER), None),
    )
    for signers, reason in cases:
        raw = factory.envelope(factory.manifest_values(), signers)
        assert refused(authenticate, raw, anchor) == reason


def test_algorithm_must_be_protected_and_allowed():
    """No algorithm, an unprotected one, an unknown one: each is refused as `algorithm`."""
    manifest = factory.manifest_bytes(factory.manifest_values())
    good = cbor.decode(factory.authentication(manifest))
    digest = bytes(good[0])
    signature = bytes(64)
    alg = {codes.HEADER_ALG: codes.ALG_ESP256}
    for protected, unprotected in (
        (b"", {}),
        (b"", alg),
        (cbor.encode({}), alg),
        (cbor.encode(alg), alg),
        (cbor.encode({codes.HEADER_ALG: -8}), {}),
        (cbor.encode({codes.HEADER_ALG: 0}), {}),
        (cbor.encode({codes.HEADER_ALG: codes.ALG_ESP256, 2: [1]}), {}),
    ):
        block = cbor.encode(cbor.Tag(codes.TAG_COSE_SIGN1, [protected, unprotected, None, signature]))
        raw = factory.bundle.envelope_of(cbor.encode([digest, block]), manifest)
        assert refused(authenticate, raw, factory.anchor()) == codes.REASON_ALGORITHM


def test_changed_manifest_is_refused():
    """A manifest that is not the signed one is told apart from a bad signature."""
    manifest = factory.manifest_bytes(factory.manifest_values())
    other = factory.manifest_bytes(factory.manifest_values(sequence=6))
    raw = factory.bundle.envelope_of(factory.authentication(manifest), other)
    assert refused(authenticate, raw, factory.anchor()) == codes.REASON_MANIFEST_DIGEST


def test_more_than_eight_signatures_are_refused():
    """The work that an envelope can cause is bounded."""
    manifest = factory.manifest_bytes(factory.manifest_values())
    digest = cbor.encode([codes.ALG_SHA256, bytes(32)])
    raw = factory.bundle.envelope_of(cbor.encode([digest] + [b"x"] * 9), manifest)
    assert refused(suit.Envelope, raw) == codes.REASON_UNAUTHORISED


def test_unknown_elements_are_refused_by_name():
    """Every part of a manifest that the profile doesn't name has a reason of its own."""
    for path, value, reason in (
        ((codes.MANIFEST_VERSION,), 2, codes.REASON_MANIFEST_VERSION),
        ((8,), b"\x80", codes.REASON_MANIFEST_ELEMENT),
        ((16,), b"\x80", codes.REASON_MANIFEST_ELEMENT),
        ((codes.MANIFEST_COMMON, codes.COMMON_COMPONENTS), [[b"data"]], codes.REASON_COMPONENT),
        ((codes.MANIFEST_COMMON, codes.COMMON_COMPONENTS), [[b"app"], [b"payload"]], codes.REASON_COMPONENT),
        ((codes.MANIFEST_COMMON, codes.COMMON_COMPONENTS), [[b".."]], codes.REASON_COMPONENT),
        ((codes.MANIFEST_COMMON, 1), {0: {}}, codes.REASON_MANIFEST_ELEMENT),
        ((codes.MANIFEST_VALIDATE,), [codes.COMMAND_FETCH, 2], codes.REASON_COMMAND),
        ((codes.MANIFEST_VALIDATE,), [], codes.REASON_COMMAND),
        ((codes.MANIFEST_VALIDATE,), [3], codes.REASON_MALFORMED),
        ((codes.MANIFEST_VALIDATE,), [3, 16], codes.REASON_MALFORMED),
        ((codes.MANIFEST_INVOKE,), [codes.COMMAND_INVOKE, 2, 22, 2], codes.REASON_COMMAND),
        ((codes.MANIFEST_INVOKE,), [-256, b""], codes.REASON_COMMAND),
        ((codes.MANIFEST_INSTALL,), [20, {21: "pawl:x", 19: b""}, 21, 2, 3, 2], codes.REASON_PARAMETER),
        ((codes.MANIFEST_INSTALL,), [21, 2, 3, 2], codes.REASON_PARAMETER),
        ((codes.MANIFEST_INSTALL,), [20, {14: 1, 21: "pawl:x"}, 21, 2, 3, 2], codes.REASON_PARAMETER),
        ((codes.MANIFEST_INSTALL,), [20, {21: "pawl:x"}, 3, 2], codes.REASON_COMMAND),
        ((codes.MANIFEST_SET_VERSION,), [], codes.REASON_SET_VERSION),
        ((codes.MANIFEST_SET_VERSION,), [1] * 7, codes.REASON_SET_VERSION),
    ):
        values = factory.manifest_values()
        place = values
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        assert refused(parse, values) == reason, (path, value)


def test_every_required_element_is_required():
    """A manifest without one of them says nothing that can be relied on."""
    for key in factory.manifest_values():
        values = factory.manifest_values()
        values.pop(key)
        assert refused(parse, values) == codes.REASON_MANIFEST_ELEMENT, key


def test_vendor_and_class_conditions_are_required():
    """A shared sequence without them would fit any device (suit-manifest §6.2)."""
    for command in (codes.COMMAND_VENDOR, codes.COMMAND_CLASS):
        values = factory.manifest_values()
        sequence = values[codes.MANIFEST_COMMON][codes.COMMON_SHARED_SEQUENCE]
        place = sequence.index(command, 2)
        values[codes.MANIFEST_COMMON][codes.COMMON_SHARED_SEQUENCE] = sequence[:place] + sequence[place + 2 :]
        assert refused(parse, values) == codes.REASON_COMMAND


def device(vendor=factory.VENDOR, device_class=factory.CLASS):
    """Return a device in slot A that was never updated."""
    return conditions.Device(vendor, device_class, 0, None, None, conditions.nobody)


def run(manifest, sequence, identity, answer):
    """Run a sequence; return the commands that it asked the world for."""
    seen = []

    def perform(effect):
        seen.append(effect.command)
        return answer

    processor.execute(manifest, sequence, device(*identity), perform)
    return seen


def test_processor_checks_the_device_before_it_acts():
    """Another vendor or class ends the run before any effect (T07)."""
    manifest = parse(factory.manifest_values())
    ids = (factory.VENDOR, factory.CLASS)
    assert run(manifest, manifest.install, ids, True) == [codes.COMMAND_FETCH, codes.COMMAND_IMAGE_MATCH]
    assert run(manifest, manifest.invoke, ids, True) == [codes.COMMAND_INVOKE]
    for wrong, reason in (
        ((bytes(16), factory.CLASS), codes.REASON_VENDOR),
        ((factory.VENDOR, bytes(16)), codes.REASON_CLASS),
    ):
        assert refused(run, manifest, manifest.install, wrong, True) == reason


def test_image_mismatch_ends_the_run():
    """Only the answer True is a match."""
    manifest = parse(factory.manifest_values())
    for answer in (False, None, 1):
        ids = (factory.VENDOR, factory.CLASS)
        assert refused(run, manifest, manifest.validate, ids, answer) == codes.REASON_IMAGE_DIGEST
