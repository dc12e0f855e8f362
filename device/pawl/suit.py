"""SUIT envelopes (draft-ietf-suit-manifest-37): what is in one, and whether a threshold signed its manifest.

    envelope = Envelope(received)
    envelope.authenticate([install_set], verify)
    manifest = Manifest(envelope.manifest)  # pawl.manifest

Nothing of the manifest is parsed here: who may sign it is `authority`'s business, what it says `manifest`'s, and what
it does `processor`'s.
"""

from pawl import cbor, codes
from pawl.compat import sha256
from pawl.errors import ManifestError


class Envelope:
    """The parts of an envelope: nothing in here is authentic until `authenticate` returned.

    A `bare` one, as devices receive it, holds authentication and manifest: any other member is refused when it is met.
    """

    def __init__(self, buf, *, bare=False):
        reader = cbor.Reader(buf)
        reader.tag(codes.TAG_SUIT_ENVELOPE)
        self.severed = {}
        self.payloads = {}
        authentication = None
        self.manifest = None
        for key in reader.keys():
            if key == codes.ENVELOPE_AUTHENTICATION:
                authentication = reader.bytes()
            elif key == codes.ENVELOPE_MANIFEST:
                self.manifest_item, self.manifest = _item(reader)
            elif bare:
                raise ManifestError(codes.REASON_UNSIGNED_BYTES, "more than authentication and manifest")
            else:
                self._read_member(reader, key)
        reader.end()
        if authentication is None or self.manifest is None:
            raise ManifestError(codes.REASON_ENVELOPE_ELEMENT, "authentication or manifest missing")
        self.authentication = authentication
        self._read_authentication(authentication)

    def _read_member(self, reader, key):
        if key in codes.SEVERABLE:
            self.severed[key] = _item(reader)[0]
        elif isinstance(key, str):
            self.payloads[key] = reader.bytes()
        else:
            raise ManifestError(codes.REASON_ENVELOPE_ELEMENT, "unknown envelope element")

    def _read_authentication(self, buf):
        reader = cbor.Reader(buf)
        count = reader.array() - 1
        if not 0 <= count <= codes.SIGNATURES_MAX:
            raise ManifestError(codes.REASON_UNAUTHORISED, "at most 8 signatures are allowed")
        self.digest_item = reader.bytes()
        self.digest = read_digest(self.digest_item)
        self.blocks = [reader.bytes() for _ in range(count)]
        reader.end()

    def authenticate(self, key_sets, verify):
        """Return the blocks that count, if the threshold of one of the sets signed the digest of this manifest.

        The digest is compared first: it costs less than a signature, and the manifest isn't parsed for it.
        """
        if not self.is_whole():
            raise ManifestError(codes.REASON_MANIFEST_DIGEST, "manifest is not the one that was signed")
        fault = None
        for key_set in key_sets:
            try:
                return key_set.require(self.blocks, self.digest_item, b"", verify)
            except ManifestError as error:
                fault = fault or error
        raise fault or ManifestError(codes.REASON_UNAUTHORISED, "no key set for this role")

    def is_whole(self):
        """Return whether the manifest is the one that the digest names, whoever signed it."""
        return sha256(self.manifest_item) == self.digest


def envelope_of(authentication, manifest, members=None) -> bytes:
    """Return the encoded envelope with other members, if any."""
    parts = {codes.ENVELOPE_AUTHENTICATION: authentication, codes.ENVELOPE_MANIFEST: manifest}
    parts.update(members or {})
    return cbor.encode(cbor.Tag(codes.TAG_SUIT_ENVELOPE, parts))


def _item(reader):
    """Read a byte string; return it with its head (what SUIT digests cover) and without."""
    start = reader.pos
    content = reader.bytes()
    return reader.buf[start : reader.pos], content


def read_digest(buf):
    """Read a SUIT_Digest, which must be SHA-256; return its 32 bytes."""
    reader = cbor.Reader(buf)
    digest = digest_in(reader)
    reader.end()
    return digest


def digest_in(reader):
    """Read a SUIT_Digest that stands among other items."""
    reader.array(2)
    if reader.int() != codes.ALG_SHA256:
        raise ManifestError(codes.REASON_ALGORITHM, "digest algorithm is not SHA-256")
    return reader.bytes_of(32)
