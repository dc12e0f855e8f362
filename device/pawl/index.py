"""The index of an image: its size, and the digest of every block, so that any block can be fetched alone.

A release's signed URI is `pawl:` and the digest of the index; the index binds the blocks of each variant. Refuses an
index of another shape, and one without the plain variant: by its digests a device knows which blocks it has.
"""

import binascii

from pawl import cbor, codes
from pawl.compat import const, inflate, sha256
from pawl.errors import ManifestError

INFLATE_BYTES = const(4097)  # a block, and one byte to notice that there is more
_FORMAT = const(1)
_VARIANTS_MAX = const(8)
_PREFIX = "pawl:"


def b64u(raw) -> str:
    """Return base64url without padding, as digests are written in text."""
    text = binascii.b2a_base64(raw).decode().strip()
    return text.replace("+", "-").replace("/", "_").rstrip("=")


def uri_of(digest) -> str:
    """Return the URI that denotes the image described by the index with this digest."""
    return _PREFIX + b64u(digest)


def digest_of(uri) -> bytes:
    """Return the index digest in a `pawl:` URI, or raise: there is one spelling of each."""
    text = uri[len(_PREFIX) :].replace("-", "+").replace("_", "/") + "="
    try:
        digest = binascii.a2b_base64(text)
    except ValueError:
        digest = b""
    if len(digest) != 32 or uri_of(digest) != uri:
        raise ManifestError(codes.REASON_URI, "not a pawl: URI")
    return digest


def block_count(size):
    """Return the number of blocks of an image of `size` bytes."""
    return (size + codes.BLOCK_BYTES - 1) // codes.BLOCK_BYTES


def _shape(detail):
    return ManifestError(codes.REASON_INDEX_SHAPE, detail)


class Variant:
    """One way to transfer the image; `digests` are the SHA-256s of its blocks, joined, `lengths` their bytes or None."""

    def __init__(self, number, encoding, digests, lengths):
        self.number = number
        self.encoding = encoding
        self.digests = digests
        self.lengths = lengths

    def has_block(self, number, block):
        """Return whether `block` is the payload of block `number`."""
        return sha256(block) == self.digests[32 * number : 32 * number + 32]


class Index:
    """A parsed index: its `variants` that this device can decode, the `plain` and the `best` of them.

    `unknown` counts those that it can't decode.
    """

    def __init__(self, buf):
        reader = cbor.Reader(buf)
        reader.array(4)
        if reader.uint() != _FORMAT:
            raise _shape("another format")
        self.size = reader.uint()
        if reader.uint() != codes.BLOCK_BYTES:
            raise _shape("another block size")
        self.blocks = block_count(self.size)
        count = reader.array()
        if not 1 <= count <= _VARIANTS_MAX:
            raise _shape("1 to 8 variants are allowed")
        variants = [self._variant(reader, number) for number in range(count)]
        reader.end()
        self.variants = [variant for variant in variants if variant is not None]
        self.unknown = count - len(self.variants)
        plain = self._first(codes.ENCODING_NONE)
        if plain is None:
            raise ManifestError(codes.REASON_ENCODING, "no plain variant")
        self.plain = plain
        self.best = self._first(codes.ENCODING_DEFLATE) or plain

    def _first(self, encoding):
        for variant in self.variants:
            if variant.encoding == encoding:
                return variant
        return None

    def _variant(self, reader, number):
        """Read a variant; one that this device cannot decode is passed over as None."""
        reader.array(5)
        encoding = reader.uint()
        base, payload_bytes, lengths, digests = [reader.value() for _ in range(4)]
        if encoding not in (codes.ENCODING_NONE, codes.ENCODING_DEFLATE):
            return None
        if base is not None or not isinstance(digests, memoryview) or len(digests) != 32 * self.blocks:
            raise _shape("no base, and one digest a block")
        variant = Variant(number, encoding, digests, self._lengths(encoding, lengths))
        total = sum([self.payload_size(variant, block) for block in range(self.blocks)])
        # True is 1 in Python, but not in CBOR.
        if payload_bytes is True or total != payload_bytes:
            raise _shape("payload of another size")
        return variant

    def _lengths(self, encoding, lengths):
        if encoding == codes.ENCODING_NONE:
            if lengths is not None:
                raise _shape("a plain variant has no lengths")
        elif not isinstance(lengths, memoryview) or len(lengths) != 2 * self.blocks:
            raise _shape("one length a block")
        return lengths

    def block_size(self, number):
        """Return the bytes in block `number` of the image: all have 4096 but the last."""
        return min(codes.BLOCK_BYTES, self.size - number * codes.BLOCK_BYTES)

    def payload_size(self, variant, number):
        """Return the bytes of block `number` as a variant transfers it."""
        size = self.block_size(number)
        if variant.lengths is not None:
            given = int.from_bytes(variant.lengths[2 * number : 2 * number + 2], "big")
            if not 1 <= given <= size:
                raise _shape("a block is never longer than plain")
            return given
        return size

    def is_block(self, number, block):
        """Return whether `block` is block `number` of the image."""
        return len(block) == self.block_size(number) and self.plain.has_block(number, block)

    def decode(self, variant, number, payload, room=None):
        """Return block `number` from its payload in a variant, or raise; unsigned bytes are never inflated.

        It is a view of `payload` or of `room`, a buffer of INFLATE_BYTES that serves every block; without one of a new buffer.
        """
        if len(payload) != self.payload_size(variant, number) or not variant.has_block(number, payload):
            raise ManifestError(codes.REASON_BLOCK_DIGEST, "block %d is not the one that was signed" % number)
        if variant is self.plain:
            return payload
        size = self.block_size(number)
        block = payload if len(payload) == size else inflate(payload, size, room)
        if block is None or not self.is_block(number, block):
            raise ManifestError(codes.REASON_BLOCK_DIGEST, "block %d inflates to something else" % number)
        return block


def read(buf, uri, size):
    """Return the Index that `uri` binds, for an image of `size` bytes; raise if it's another."""
    if sha256(buf) != digest_of(uri):
        raise ManifestError(codes.REASON_INDEX_DIGEST, "index is not the one that was signed")
    index = Index(buf)
    if index.size != size:
        raise ManifestError(codes.REASON_IMAGE_SIZE, "index and manifest differ on the size")
    return index


def cut(image):
    """Return the blocks of an image."""
    return [image[at : at + codes.BLOCK_BYTES] for at in range(0, len(image), codes.BLOCK_BYTES)]


def write(image, deflated=None) -> bytes:
    """Return the encoded index of an image; `deflated` is the list of its blocks as a second variant transfers them."""
    variants = [[codes.ENCODING_NONE, None, len(image), None, _digests(cut(image))]]
    if deflated is not None:
        lengths = b"".join([len(block).to_bytes(2, "big") for block in deflated])
        size = sum([len(block) for block in deflated])
        variants.append([codes.ENCODING_DEFLATE, None, size, lengths, _digests(deflated)])
    return cbor.encode([_FORMAT, len(image), codes.BLOCK_BYTES, variants])


def _digests(blocks):
    return b"".join([sha256(block) for block in blocks])
