"""The bundle: envelope, signatures and every member; all that nothing signs or derives is refused."""

import zlib
from collections.abc import Iterator
from hashlib import sha256
from itertools import accumulate, pairwise
from typing import Any

import cbor2

from pawl_reader import strict
from pawl_reader.anchor import Anchor, read_anchor, signer_of
from pawl_reader.manifest import Manifest, read_manifest
from pawl_reader.strict import array, b64u, decode, mapping, number, octets, require, text
from pawl_reader.verdict import KeyIdentity, RefusedError, Verdict

_BLOCK_BYTES = 4096
_ENVELOPE_BYTES_MAX, _INDEX_BYTES_MAX, _SIGNATURES_MAX = 4032, 65536, 8
_NAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
Blocks = Iterator[tuple[bytes, int, int, bytes]]


def read(raw: bytes, anchor_file: bytes) -> Verdict:
    """Return the verdict on a bundle under an anchor."""
    try:
        return _judge(raw, read_anchor(anchor_file))
    except RefusedError as error:
        return Verdict(accepted=False, reason=str(error))


def _judge(raw: bytes, anchor: Anchor) -> Verdict:
    members = mapping(strict.tagged(decode(raw), 107))
    require(all(type(key) is str or key in {2, 3, 23} for key in members), "an unknown envelope element")
    require({2, 3} <= members.keys() and all(type(value) is bytes for value in members.values()), "elements")
    wire = cbor2.CBORTag(107, {2: members[2], 3: members[3]})
    require(len(cbor2.dumps(wire)) <= _ENVELOPE_BYTES_MAX, "the envelope is too large")
    digest, signers = _signed(members, anchor)
    require(
        any(anchor.install[role].is_met_by(signers) for role in {1, 2} & anchor.install.keys()), "unsigned"
    )
    manifest = read_manifest(members[3])
    demanded = anchor.install.get(manifest.role)
    require(demanded and demanded.is_met_by(signers), "not signed for its role")
    content = {(image.uri, image.digest, image.size) for image in manifest.images}
    allowed = {2, 3, *_text_members(members, manifest)}
    blocks = sorted(block for one in content for block in _payload(members, *one, allowed))
    require(members.keys() == allowed, "members that nothing signs")
    return Verdict(
        accepted=True,
        digest=digest,
        sequence=manifest.sequence,
        version=manifest.version,
        role=manifest.role,
        signers=signers,
        images=manifest.images,
        blocks=tuple(blocks),
    )


def _signed(members: dict[Any, bytes], anchor: Anchor) -> tuple[bytes, frozenset[KeyIdentity]]:
    """Return the manifest digest that was signed, and by whom; every signature must be somebody's, and once."""
    item, *blocks = [octets(one) for one in array(decode(members[2]), 1, 1 + _SIGNATURES_MAX)]
    digest = strict.digest(decode(item))
    require(digest == strict.digest_of_bstr(members[3]), "not the manifest that was signed")
    require(digest not in anchor.barred, "barred")
    require(all(one < other for one, other in pairwise(blocks)), "signatures out of order")
    signers = frozenset(signer_of(decode(block), item, anchor.keys) for block in blocks) - {None}
    require(len(signers) == len(blocks), "a signature of no known key, or two of one")
    return digest, frozenset(signer for signer in signers if signer)


def _payload(members: dict[Any, bytes], uri: str, digest: bytes, size: int, allowed: set[Any]) -> Blocks:
    """Yield every block of an image in every variant; refuse what is missing or differs."""
    name = uri.removeprefix("pawl:")
    allowed |= {uri, "#i:" + name}
    image, listing = octets(members.get(uri)), octets(members.get("#i:" + name))
    require(len(image) == size and sha256(image).digest() == digest, "not the image that was signed")
    key = sha256(listing).digest()
    require(len(listing) <= _INDEX_BYTES_MAX and uri == "pawl:" + b64u(key), "not the index that was signed")
    index_format, total, block_bytes, variants = array(decode(listing), 4, 4)
    require([number(index_format), number(block_bytes), number(total)] == [1, _BLOCK_BYTES, size], "index")
    blocks = [image[at : at + _BLOCK_BYTES] for at in range(0, size, _BLOCK_BYTES)]
    require(any(array(variant, 5, 5)[0] == 0 for variant in array(variants, 1, 8)), "no plain variant")
    for place, variant in enumerate(variants):
        member = f"#p:{name}:{place}"
        if number(variant[0], 1) == 1:
            allowed.add(member)
        for count, block in enumerate(_variant(variant, members.get(member), blocks)):
            yield key, place, count, block


def _variant(variant: list[Any], payload: bytes | None, plain: list[bytes]) -> list[bytes]:
    """Return the SHA-256 of each block of a payload, if each inflates alone to its block of the image."""
    encoding, base, size, lengths, digests = variant
    require(base is None, "a variant with a base")
    blocks = plain
    if encoding == 1:
        packed, content = octets(lengths, 2 * len(plain)), octets(payload, number(size))
        ends = list(
            accumulate((int.from_bytes(packed[at : at + 2]) for at in range(0, len(packed), 2)), initial=0)
        )
        blocks = [content[start:end] for start, end in pairwise(ends)]
        require(ends[-1] == len(content) and all(map(_inflates_to, blocks, plain)), "blocks do not inflate")
    else:
        require(lengths is None and number(size) == sum(map(len, plain)), "a plain variant of another size")
    found = [sha256(block).digest() for block in blocks]
    require(octets(digests) == b"".join(found), "block digests")
    return found


def _inflates_to(block: bytes, plain: bytes) -> bool:
    if len(block) == len(plain):
        return block == plain
    stream = zlib.decompressobj(-12)
    try:
        return stream.decompress(block, len(plain) + 1) == plain and stream.eof and not stream.unused_data
    except zlib.error:
        return False


def _text_members(members: dict[Any, bytes], manifest: Manifest) -> set[Any]:
    """Return the members that the severed text stands for: itself, and the attachments that it lists."""
    if manifest.text is None:
        return set()
    raw = octets(members.get(23))
    require(strict.digest_of_bstr(raw) == manifest.text, "not the text that was signed")
    languages = {text(tag): mapping(entries) for tag, entries in mapping(decode(raw)).items()}
    require(languages, "a text without a language")
    listed = languages.get("x-pawl", {1: ""})
    require(list(listed) == [1], "a list of attachments, and something else")
    lines = [line.split(" ") for line in text(listed[1]).splitlines()]
    require(
        all(len(line) == 2 and 1 <= len(line[0]) <= 64 and set(line[0]) <= _NAME for line in lines), "names"
    )
    require(all(one[0] < other[0] for one, other in pairwise(lines)), "attachments out of order")
    for _, member in lines:
        found = "#a:" + b64u(sha256(octets(members.get(member))).digest())
        require(member == found, "not the attachment that was signed")
    return {23, *(member for _, member in lines)}
