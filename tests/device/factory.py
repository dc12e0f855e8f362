"""Test keys, anchors and releases, made with the device package alone, so that both interpreters can.

Everything is a plain structure first: a test changes what it wants to attack, then has it encoded and signed.
"""

from pawl import bundle, cbor, codes, cose, index, p256, trust
from pawl.compat import sha256

VENDOR = b"\x11" * 16
CLASS = b"\x22" * 16
IMAGE = bytes([n * 7 & 255 for n in range(5000)])
ISSUED = 1700000000


class TestKey:
    """A P-256 key pair made from one number."""

    def __init__(self, number, alg=codes.ALG_ESP256):
        self.secret = number.to_bytes(32, "big")
        x, y = p256.public_key(self.secret)
        self.key = cose.Key(codes.KTY_EC2, alg, codes.CRV_P256, x, y)

    def encoded(self):
        """Return the COSE_Key as plain values."""
        fields = {codes.KEY_KTY: self.key.kty, codes.KEY_ALG: self.key.alg, codes.KEY_CRV: self.key.crv}
        fields[codes.KEY_X] = self.key.x
        fields[codes.KEY_Y] = self.key.y
        return fields

    def sign(self, payload, aad, is_detached):
        """Return a COSE_Sign1 of the payload."""
        message = cose.to_be_signed(cose.protected_header(self.key.alg), aad, payload)
        return cose.write_sign1(self.key.alg, payload, p256.sign(self.secret, message), is_detached)


TestKey.__test__ = False  # pytest: no test class
ROOT = TestKey(101)
RELEASE = TestKey(102)
SECOND = TestKey(103)
THIRD = TestKey(104)
DIRECTOR = TestKey(105)
STRANGER = TestKey(106)
KEYS = (ROOT, DIRECTOR, RELEASE, SECOND, THIRD)


def verify(key, message, signature):
    """The signature primitive of the tests: the device's own."""
    return p256.verify(key.x, key.y, message, signature)


def anchor_values(threshold=1):
    """Return an anchor document as plain values: root 1 of 1, release `threshold` of 3, one director."""
    return {
        codes.ANCHOR_FORMAT: 1,
        codes.ANCHOR_VERSION: 1,
        codes.ANCHOR_ISSUED: ISSUED,
        codes.ANCHOR_EXPIRY: ISSUED + 1000000,
        codes.ANCHOR_KEYS: [key.encoded() for key in KEYS],
        codes.ANCHOR_ROOT: [1, [0]],
        codes.ANCHOR_DIRECTOR: [1],
        codes.ANCHOR_ROLES: {codes.ROLE_APP_RELEASE: [[threshold, [2, 3, 4]], []]},
        codes.ANCHOR_BARRED: [],
        codes.ANCHOR_CA: [b"certificate"],
        codes.ANCHOR_SERVER_NAMES: ["localhost"],
    }


def root_values(version, keys, threshold):
    """Return an anchor document as plain values that names these root keys; the rest is as in `anchor_values`."""
    values = anchor_values()
    others = (DIRECTOR, RELEASE)
    first = len(keys)
    values[codes.ANCHOR_VERSION] = version
    values[codes.ANCHOR_KEYS] = [key.encoded() for key in tuple(keys) + others]
    values[codes.ANCHOR_ROOT] = [threshold, list(range(first))]
    values[codes.ANCHOR_DIRECTOR] = [first]
    values[codes.ANCHOR_ROLES] = {codes.ROLE_APP_RELEASE: [[1, [first + 1]], []]}
    return values


def anchor_file(values, signers=(ROOT,)):
    """Return the anchor file of plain values."""
    content = cbor.encode(values)
    return cbor.encode([content, [signer.sign(content, codes.AAD_ANCHOR, True) for signer in signers]])


_LABELS = {
    "barred": codes.ANCHOR_BARRED,
    "ca": codes.ANCHOR_CA,
    "expiry": codes.ANCHOR_EXPIRY,
    "issued": codes.ANCHOR_ISSUED,
    "keys": codes.ANCHOR_KEYS,
    "roles": codes.ANCHOR_ROLES,
}


def anchor_of(version, signers=(ROOT,), **changes):
    """Return the anchor file of a version, with changes to its fields by name."""
    values = anchor_values()
    values[codes.ANCHOR_VERSION] = version
    for name, value in changes.items():
        values[_LABELS[name]] = value
    return anchor_file(values, signers)


def keys_with(**others):
    """Return the encoded keys of an anchor in which some have other holders: `director`, `root`."""
    return [
        others.get("root", ROOT).encoded(),
        others.get("director", DIRECTOR).encoded(),
    ] + [key.encoded() for key in KEYS[2:]]


def anchor(threshold=1):
    """Return a valid Anchor."""
    return trust.load(anchor_file(anchor_values(threshold)), verify)


def manifest_values(sequence=5, version=(1, 0), image=IMAGE):
    """Return a manifest as plain values; sequences are lists that `manifest_bytes` encodes."""
    policy = 2
    uri = index.uri_of(sha256(index.write(image)))
    shared = {
        codes.PARAMETER_VENDOR: VENDOR,
        codes.PARAMETER_CLASS: CLASS,
        codes.PARAMETER_IMAGE_DIGEST: cbor.encode([codes.ALG_SHA256, sha256(image)]),
        codes.PARAMETER_IMAGE_SIZE: len(image),
    }
    return {
        codes.MANIFEST_VERSION: 1,
        codes.MANIFEST_SEQUENCE_NUMBER: sequence,
        codes.MANIFEST_COMMON: {
            codes.COMMON_COMPONENTS: [[b"app"]],
            codes.COMMON_SHARED_SEQUENCE: [codes.COMMAND_OVERRIDE_PARAMETERS, shared, 1, policy, 2, policy],
        },
        codes.MANIFEST_SET_VERSION: list(version),
        codes.MANIFEST_VALIDATE: [codes.COMMAND_IMAGE_MATCH, policy],
        codes.MANIFEST_INVOKE: [codes.COMMAND_INVOKE, policy],
        codes.MANIFEST_INSTALL: [
            codes.COMMAND_OVERRIDE_PARAMETERS,
            {codes.PARAMETER_URI: uri},
            codes.COMMAND_FETCH,
            policy,
            codes.COMMAND_IMAGE_MATCH,
            policy,
        ],
    }


def manifest_bytes(values):
    """Encode a manifest: what SUIT wraps in byte strings is wrapped here."""
    wrapped = {}
    for key in values:
        value = values[key]
        if key == codes.MANIFEST_COMMON:
            common = {inner: value[inner] for inner in value}
            if codes.COMMON_SHARED_SEQUENCE in common:
                common[codes.COMMON_SHARED_SEQUENCE] = cbor.encode(common[codes.COMMON_SHARED_SEQUENCE])
            value = cbor.encode(common)
        elif isinstance(value, list):
            value = cbor.encode(value)
        wrapped[key] = value
    return cbor.encode(wrapped)


def authentication(manifest, signers=(RELEASE,)):
    """Return the authentication wrapper of an encoded manifest."""
    digest = cbor.encode([codes.ALG_SHA256, sha256(cbor.encode(manifest))])
    return cbor.encode([digest] + sorted([signer.sign(digest, b"", True) for signer in signers]))


def envelope(values, signers=(RELEASE,)):
    """Return the envelope that devices receive."""
    manifest = manifest_bytes(values)
    return bundle.envelope_of(authentication(manifest, signers), manifest)


def release(sequence=5, version=(1, 0), image=IMAGE, signers=(RELEASE,)):
    """Return the whole bundle of a release."""
    manifest = manifest_bytes(manifest_values(sequence, version, image))
    listing = index.write(image)
    digest = sha256(listing)
    members = {index.uri_of(digest): image, "#i:" + index.b64u(digest): listing}
    return bundle.envelope_of(authentication(manifest, signers), manifest, members)
