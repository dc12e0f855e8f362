"""The index and its variants: every block decodes to the signed one, or is refused before it is inflated."""

import factory
from support import refused

from pawl import cbor, codes, index
from pawl.compat import inflate

IMAGE = b"a line of text that repeats\n" * 300 + bytes(range(256)) * 2
# Raw DEFLATE with a stored block: 3 bits of header, length, its complement.
STORED = b"\x01"


def stored(block):
    """Return a block as raw DEFLATE that compresses nothing."""
    size = len(block)
    return STORED + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little") + block


def variant(encoding, payload, lengths, digests, base=None):
    """Return a variant as plain values."""
    return [encoding, base, payload, lengths, digests]


def parse(*variants, form=1, block=4096):
    """Parse an index of plain values."""
    return index.Index(cbor.encode([form, len(IMAGE), block, list(variants)]))


def digests(blocks):
    """Return the digests of blocks, joined."""
    return b"".join([index.sha256(one) for one in blocks])


def plain():
    """Return the plain variant of IMAGE."""
    return variant(0, len(IMAGE), None, digests(index.cut(IMAGE)))


def deflate_of(payloads):
    """Return a deflate variant with these payloads."""
    lengths = b"".join([len(one).to_bytes(2, "big") for one in payloads])
    return variant(1, sum([len(one) for one in payloads]), lengths, digests(payloads))


def test_plain_blocks():
    """Each block of the image is its own payload."""
    listing = parse(plain())
    assert (listing.blocks, listing.best) == (3, listing.plain)
    for number, block in enumerate(index.cut(IMAGE)):
        assert bytes(listing.decode(listing.plain, number, block)) == block
        assert refused(listing.decode, listing.plain, number, block[:-1]) == codes.REASON_BLOCK_DIGEST
        assert refused(listing.decode, listing.plain, number, bytes(len(block))) == codes.REASON_BLOCK_DIGEST


def test_inflate_gives_exactly_the_block():
    """Longer, shorter and broken data inflate to nothing."""
    data = bytes(range(100))
    assert bytes(inflate(stored(data), 100)) == data
    for size in (99, 101, 1):
        assert inflate(stored(data), size) is None
    for broken in (b"\xff\xff", stored(data)[:50], b""):
        assert inflate(broken, 100) is None


def test_inflate_demands_the_end_and_nothing_behind_it():
    """A stream that never says that it ends, and one with bytes behind its end, inflate to nothing on every interpreter."""
    data = bytes(range(100))
    whole = stored(data)
    unended = b"\x00" + whole[1:]
    for payload in (unended, whole + b"\x00", whole + whole):
        assert inflate(payload, 100) is None
    assert bytes(inflate(unended + stored(b""), 100)) == data


def test_deflated_blocks():
    """The deflate variant is preferred; a payload that inflates to another block is refused."""
    blocks = index.cut(IMAGE)
    small = bytes(range(60))
    payloads = [blocks[0], blocks[1], blocks[2]]
    listing = parse(plain(), deflate_of(payloads))
    assert listing.best.encoding == codes.ENCODING_DEFLATE
    for number, payload in enumerate(payloads):
        assert bytes(listing.decode(listing.best, number, payload)) == blocks[number]
    lying = parse(plain(), deflate_of([blocks[0], stored(small), blocks[2]]))
    assert refused(lying.decode, lying.best, 1, stored(small)) == codes.REASON_BLOCK_DIGEST


def test_shapes_are_refused():
    """One rule broken each."""
    blocks = index.cut(IMAGE)
    good = digests(blocks)
    long_lengths = b"\x10\x01" + b"\x10\x00" + len(blocks[2]).to_bytes(2, "big")
    for values, reason in (
        ((), codes.REASON_INDEX_SHAPE),
        ((plain(),) * 9, codes.REASON_INDEX_SHAPE),
        ((variant(0, len(IMAGE) + 1, None, good),), codes.REASON_INDEX_SHAPE),
        ((variant(0, len(IMAGE), None, good[:-1]),), codes.REASON_INDEX_SHAPE),
        ((variant(0, len(IMAGE), b"", good),), codes.REASON_INDEX_SHAPE),
        ((variant(0, len(IMAGE), None, good, bytes(32)),), codes.REASON_INDEX_SHAPE),
        ((plain(), variant(1, len(IMAGE), None, good)), codes.REASON_INDEX_SHAPE),
        ((plain(), variant(1, len(IMAGE), bytes(6), good)), codes.REASON_INDEX_SHAPE),
        ((plain(), variant(1, len(IMAGE) + 1, long_lengths, good)), codes.REASON_INDEX_SHAPE),
        ((deflate_of(blocks),), codes.REASON_ENCODING),
        ((variant(2, 5, None, bytes(32)),), codes.REASON_ENCODING),
    ):
        assert refused(parse, *values) == reason, values
    assert parse(plain(), variant(2, 5, None, bytes(32))).unknown == 1
    for changes in ({"form": 2}, {"block": 1024}):
        assert refused(lambda made: parse(plain(), **made), changes) == codes.REASON_INDEX_SHAPE


def test_uris_have_one_spelling():
    """Whatever is not exactly the URI of a digest is refused (T14)."""
    digest = factory.sha256(b"index")
    uri = index.uri_of(digest)
    assert index.digest_of(uri) == digest
    for other in (
        "",
        "pawl:",
        uri[:-1],
        uri + "A",
        uri + "=",
        "http" + uri[4:],
        uri[:-1] + "/",
        "PAWL:" + uri[5:],
    ):
        assert refused(index.digest_of, other) == codes.REASON_URI, other


def test_index_is_bound_by_uri_and_size():
    """Another index, or one for another size, is not what was signed."""
    raw = index.write(IMAGE)
    uri = index.uri_of(index.sha256(raw))
    assert index.read(raw, uri, len(IMAGE)).size == len(IMAGE)
    assert refused(index.read, raw + b"\x00", uri, len(IMAGE)) == codes.REASON_INDEX_DIGEST
    assert refused(index.read, raw, uri, len(IMAGE) + 1) == codes.REASON_IMAGE_SIZE
