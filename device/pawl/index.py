"""The index of an image: its size, and the digest of every block, so that any block can be fetched alone.

A release's signed URI is `pawl:` and the digest of the index; the index binds the blocks. Refuses an index
of another shape and variants that leave no encoding this device knows (today: `none`).
"""

import binascii

from pawl import cbor, codes
from pawl.compat import const, sha256
from pawl.errors import ManifestError

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


class Index:
    """A parsed index, and the variant that this device takes."""

    def __init__(self, buf):
        reader = cbor.Reader(buf)
        reader.array(4)
        if reader.uint() != _FORMAT:
            raise _shape("another format")
        self.size = reader.uint()
        if reader.uint() != codes.BLOCK_BYTES:
            raise _shape("another block size")
        self.blocks = block_count(self.size)
        self.variant = None
        self._read_variants(reader)
        reader.end()
        if self.variant is None:
            raise ManifestError(codes.REASON_ENCODING, "no variant that this device can decode")

    def _read_variants(self, reader):
        count = reader.array()
        if not 1 <= count <= _VARIANTS_MAX:
            raise _shape("1 to 8 variants are allowed")
        for number in range(count):
            reader.array(5)
            encoding = reader.uint()
            rest = [reader.value() for _ in range(4)]
            if encoding == codes.ENCODING_NONE and self.variant is None:
                self.variant = number
                self._take_plain(rest)

    def _take_plain(self, rest):
        base, payload_size, lengths, digests = rest
        if base is not None or lengths is not None or payload_size != self.size:
            raise _shape("a plain variant has no base, no lengths, and the image's size")
        if not isinstance(digests, memoryview) or len(digests) != 32 * self.blocks:
            raise _shape("one digest a block is needed")
        self.digests = digests

    def block_size(self, number):
        """Return the bytes in block `number`: all have 4096 but the last."""
        return min(codes.BLOCK_BYTES, self.size - number * codes.BLOCK_BYTES)

    def has_block(self, number, block):
        """Return whether `block` is block `number` of the image."""
        wanted = self.digests[32 * number : 32 * number + 32]
        return len(block) == self.block_size(number) and sha256(block) == wanted


def _shape(detail):
    return ManifestError(codes.REASON_INDEX_SHAPE, detail)


def read(buf, uri, size):
    """Return the Index that `uri` binds, for an image of `size` bytes; raise if it's another."""
    if sha256(buf) != digest_of(uri):
        raise ManifestError(codes.REASON_INDEX_DIGEST, "index is not the one that was signed")
    index = Index(buf)
    if index.size != size:
        raise ManifestError(codes.REASON_IMAGE_SIZE, "index and manifest differ on the size")
    return index


def write(image) -> bytes:
    """Return the encoded index of an image that is offered as it is."""
    blocks = [image[at : at + codes.BLOCK_BYTES] for at in range(0, len(image), codes.BLOCK_BYTES)]
    digests = b"".join([sha256(block) for block in blocks])
    variant = [codes.ENCODING_NONE, None, len(image), None, digests]
    return cbor.encode([_FORMAT, len(image), codes.BLOCK_BYTES, [variant]])
