"""A release as people hand it over: the envelope with index and image integrated as text-keyed members.

`open_bundle` is the device's verifier on the whole file. Every byte of it must be signed, or be bound by what is
signed: members the manifest doesn't call for, and signatures of nobody known, are refused.
"""

from pawl import cbor, codes, cose, index, suit
from pawl.errors import ManifestError


class Bundle:
    """An authentic, complete release: `envelope`, `manifest`, `index`, and the bytes of index, image and payloads."""

    def __init__(self, envelope):
        self.envelope = envelope
        self.manifest = suit.Manifest(envelope.manifest)
        image = self.manifest.image
        self.index_digest = index.digest_of(image.uri)
        name = index.b64u(self.index_digest)
        self.index_bytes = _member(envelope, "#i:" + name)
        if (
            len(self.index_bytes) > codes.INDEX_MAX_BYTES
            or len(self.wire_envelope()) > codes.ENVELOPE_MAX_BYTES
        ):
            raise ManifestError(codes.REASON_TOO_LARGE, "index or envelope is larger than devices take")
        self.index = index.read(self.index_bytes, image.uri, image.size)
        self.image = _member(envelope, image.uri)
        if self.index.unknown:
            raise ManifestError(codes.REASON_ENCODING, "a variant that cannot be checked here")
        self.payloads = [self._payload(variant, name) for variant in self.index.variants]
        if len(envelope.payloads) != 1 + len(self.payloads) or envelope.severed:
            raise ManifestError(codes.REASON_UNSIGNED_BYTES, "a member that the manifest does not call for")
        if len(self.image) != self.index.size:
            raise ManifestError(codes.REASON_IMAGE_SIZE, "image is not of the size that was signed")

    def _payload(self, variant, name):
        if variant is self.index.plain:
            return self.image
        return _member(self.envelope, "#p:%s:%d" % (name, variant.number))

    def blocks(self):
        """Yield (Variant, block number, payload) of everything that devices may fetch."""
        for variant, payload in zip(self.index.variants, self.payloads):
            at = 0
            for number in range(self.index.blocks):
                size = self.index.payload_size(variant, number)
                yield variant, number, payload[at : at + size]
                at += size
            if at != len(payload):
                raise ManifestError(codes.REASON_UNSIGNED_BYTES, "a payload of another size")

    def require_blocks(self):
        """Raise unless every block of every variant decodes to the one that the index binds."""
        for variant, number, payload in self.blocks():
            self.index.decode(variant, number, payload)

    def wire_envelope(self) -> bytes:
        """Return the envelope as devices receive it: authentication and manifest only."""
        return envelope_of(self.envelope.authentication, self.envelope.manifest)


def _member(envelope, key):
    if key not in envelope.payloads:
        raise ManifestError(codes.REASON_PAYLOAD_MISSING, "no member " + key)
    return envelope.payloads[key]


def envelope_of(authentication, manifest, members=None) -> bytes:
    """Return the encoded envelope with text-keyed members, if any."""
    parts = {codes.ENVELOPE_AUTHENTICATION: authentication, codes.ENVELOPE_MANIFEST: manifest}
    parts.update(members or {})
    return cbor.encode(cbor.Tag(codes.TAG_SUIT_ENVELOPE, parts))


def open_bundle(raw, anchor, verify) -> "Bundle":
    """Return the Bundle in a file that the anchor's install set signed and that holds nothing else.

    Raises:
        ManifestError: with the first reason found, in the order signature, manifest, index, blocks, image.
    """
    envelope = suit.Envelope(raw)
    if envelope.digest in anchor.barred:
        raise ManifestError(codes.REASON_BARRED, "barred by the anchor")
    install_set = anchor.role(codes.ROLE_APP_RELEASE)[0]
    envelope.authenticate([install_set], verify)
    _require_known_signers(envelope, install_set, verify)
    bundle = Bundle(envelope)
    bundle.require_blocks()
    suit.execute(
        bundle.manifest, bundle.manifest.validate, suit.identity_of(bundle.manifest), _matcher(bundle)
    )
    return bundle


def _matcher(bundle):
    def match(effect):
        image = bundle.manifest.image
        wanted = effect.parameters[codes.PARAMETER_IMAGE_DIGEST]
        return image.digest == wanted and suit.sha256(bundle.image) == wanted

    return match


def _require_known_signers(envelope, key_set, verify):
    """Every signature in the file counts, once, and they are sorted: so no byte of it is anybody's choice."""
    left = list(key_set.keys)
    last = b""
    for raw in envelope.blocks:
        block = cose.read_sign1(raw)
        signer = cose.signer(block, left, envelope.digest_item, b"", verify)
        if signer is None or block.payload is not None or bytes(raw) <= last:
            raise ManifestError(
                codes.REASON_SURPLUS_SIGNATURE, "signature of no known key, twice, or out of order"
            )
        left.pop(signer)
        last = bytes(raw)
