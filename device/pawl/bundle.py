"""A release as people hand it over: the envelope with indexes, images, text and attachments as members.

`open_bundle` is the device's verifier on the whole file. Every byte of it must be signed, or be bound by what is
signed: members the manifest doesn't call for, and signatures of nobody known, are refused.
"""

from pawl import authority, codes, cose, index, notes, conditions, processor, suit
from pawl.compat import sha256
from pawl.errors import ManifestError
from pawl.manifest import Manifest
from pawl.suit import envelope_of


class Bundle:
    """A complete release: `envelope`, `manifest`, `contents` (a Content for each URI, the application's first), `notes`."""

    def __init__(self, envelope, manifest=None):
        self.envelope = envelope
        self.manifest = manifest or Manifest(envelope.manifest)
        if len(self.wire_envelope()) > codes.ENVELOPE_MAX_BYTES:
            raise ManifestError(codes.REASON_TOO_LARGE, "the envelope is larger than devices take")
        self.contents = []
        for slot in self.manifest.slots():
            for image in self.manifest.images(slot):
                self._add(image)
        self.notes = notes.of(envelope, self.manifest.text_digest)
        self._require_nothing_else()

    def _add(self, image):
        known = [content for content in self.contents if content.uri == image.uri]
        if not known:
            known = [Content(self.envelope, image)]
            self.contents += known
        if known[0].index.size != image.size:
            raise ManifestError(codes.REASON_IMAGE_SIZE, "two images of one content differ on the size")

    def _require_nothing_else(self):
        expected = set(self.notes.members) if self.notes else set()
        for content in self.contents:
            expected.update(content.members)
        if set(self.envelope.payloads) != expected:
            raise ManifestError(codes.REASON_UNSIGNED_BYTES, "a member that the manifest does not call for")

    def content(self, image):
        """Return the Content of an Image of the manifest."""
        return next(content for content in self.contents if content.uri == image.uri)

    def app(self):
        """Return the Content of the application, of the first slot that the release fits."""
        return self.contents[0]

    def blocks(self):
        """Yield (index digest, Variant, block number, payload) of everything that devices may fetch."""
        for content in self.contents:
            for variant, number, payload in content.blocks():
                yield content.digest, variant, number, payload

    def require_blocks(self):
        """Raise unless every block of every variant decodes to the one that its index binds."""
        for content in self.contents:
            for variant, number, payload in content.blocks():
                content.index.decode(variant, number, payload)

    def wire_envelope(self) -> bytes:
        """Return the envelope as devices receive it: authentication and manifest only."""
        return envelope_of(self.envelope.authentication, self.envelope.manifest)


class Content:
    """The bytes that one URI stands for: `index_bytes` and their `digest`, `index`, `image`, and `payloads` by variant."""

    def __init__(self, envelope, image):
        self.uri = image.uri
        self.digest = index.digest_of(image.uri)
        self.members = []
        name = index.b64u(self.digest)
        self.index_bytes = self._member(envelope, "#i:" + name)
        if len(self.index_bytes) > codes.INDEX_MAX_BYTES:
            raise ManifestError(codes.REASON_TOO_LARGE, "the index is larger than devices take")
        self.index = index.read(self.index_bytes, image.uri, image.size)
        self.image = self._member(envelope, image.uri)
        if self.index.unknown:
            raise ManifestError(codes.REASON_ENCODING, "a variant that cannot be checked here")
        self.payloads = [
            self.image
            if variant is self.index.plain
            else self._member(envelope, "#p:%s:%d" % (name, variant.number))
            for variant in self.index.variants
        ]
        if len(self.image) != self.index.size:
            raise ManifestError(codes.REASON_IMAGE_SIZE, "image is not of the size that was signed")

    def _member(self, envelope, key):
        if key not in envelope.payloads:
            raise ManifestError(codes.REASON_PAYLOAD_MISSING, "no member " + key)
        self.members.append(key)
        return envelope.payloads[key]

    def blocks(self):
        """Yield (Variant, block number, payload)."""
        for variant, payload in zip(self.index.variants, self.payloads):
            at = 0
            for number in range(self.index.blocks):
                size = self.index.payload_size(variant, number)
                yield variant, number, payload[at : at + size]
                at += size
            if at != len(payload):
                raise ManifestError(codes.REASON_UNSIGNED_BYTES, "a payload of another size")


def open_bundle(raw, anchor, verify) -> "Bundle":
    """Return the Bundle in a file that the anchor lets install, signed by whom its shape demands, and that holds nothing else.

    Raises:
        ManifestError: with the first reason found, in the order signature, manifest, index, members, blocks, images.
    """
    envelope = suit.Envelope(raw)
    manifest = authority.authorise(envelope, anchor, False, verify).manifest
    _require_known_signers(envelope, anchor.role(manifest.role)[0], verify)
    bundle = Bundle(envelope, manifest)
    bundle.require_blocks()
    for slot in manifest.slots():
        _require_images(bundle, slot)
    return bundle


def _require_images(bundle, slot):
    """Run validate as a device of the release's own kind would that has the images in this slot."""
    images = {image.component: image for image in bundle.manifest.images(slot)}

    def match(effect):
        wanted = effect.parameters[codes.PARAMETER_IMAGE_DIGEST]
        return sha256(bundle.content(images[effect.component]).image) == wanted

    vendor, device_class = bundle.manifest.identity
    device = conditions.Device(vendor, device_class, slot, None, None, conditions.nobody)
    processor.execute(bundle.manifest, bundle.manifest.validate, device, match)


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
