"""The bundle: envelope, signatures and every member; all that nothing signs or derives is refused."""

import re
import zlib
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from itertools import accumulate, pairwise
from typing import Any

import cbor2

from pawl_reader import strict
from pawl_reader.anchor import Anchor, read_anchor, signer_of
from pawl_reader.manifest import read_manifest
from pawl_reader.strict import RefusedError, decode, of, require
from pawl_reader.verdict import Block, KeyIdentity, Verdict

_BLOCK_BYTES, _ENVELOPE_BYTES_MAX, _INDEX_BYTES_MAX, _SIGNATURES_MAX = 4096, 4032, 65536, 8
_ATTACHMENT = re.compile(r"([A-Za-z0-9._-]{1,64}) (#a:[A-Za-z0-9_-]{43})")


def read(raw: bytes, anchor_file: bytes) -> Verdict:
    """Return the verdict on a bundle under an anchor."""
    try:
        return _judge(raw, read_anchor(anchor_file))
    except RefusedError as error:
        return Verdict(accepted=False, reason=str(error))


def _judge(raw: bytes, anchor: Anchor) -> Verdict:
    envelope = decode(raw)
    require(isinstance(envelope, cbor2.CBORTag) and envelope.tag == 107, "not an envelope")
    members = {key: of(bytes, value) for key, value in of(dict, envelope.value).items()}
    require(members.keys() >= {2, 3}, "no authentication or no manifest")
    wire = cbor2.dumps(cbor2.CBORTag(107, {2: members[2], 3: members[3]}))
    require(len(wire) <= _ENVELOPE_BYTES_MAX, "the envelope is too large")
    digest, signers = _signed(members, anchor)
    met = [role for role, key_set in anchor.install.items() if role <= 2 and key_set.is_met_by(signers)]
    require(met, "unsigned")
    verdict, described = read_manifest(members[3])
    is_authorised = verdict.role in met and signers <= anchor.install[verdict.role].keys
    require(is_authorised, "not signed for its role, or by others, too")
    allowed = {2, 3, *_text_members(members, described)}
    payloads = {(image.uri, image.digest, image.size) for image in verdict.images}
    blocks = frozenset(block for one in payloads for block in _payload(members, *one, allowed))
    require(members.keys() == allowed, "members that nothing signs")
    return replace(verdict, digest=digest, signers=signers, blocks=blocks)


def _signed(members: dict[Any, bytes], anchor: Anchor) -> tuple[bytes, frozenset[KeyIdentity]]:
    """Return the manifest digest that was signed, and by whom; every signature must be somebody's, and once."""
    item, *blocks = [of(bytes, one) for one in of(list, decode(members[2]), 1, 1 + _SIGNATURES_MAX)]
    digest = strict.digest(decode(item))
    require(digest == strict.digest_of_bstr(members[3]), "not the manifest that was signed")
    require(digest not in anchor.barred, "barred")
    require(all(one < other for one, other in pairwise(blocks)), "signatures out of order")
    signers = frozenset(signer_of(decode(block), item, anchor.keys) for block in blocks)
    require(len(signers) == len(blocks), "two signatures of one key")
    return digest, signers


def _b64u(raw: bytes) -> str:
    return urlsafe_b64encode(sha256(raw).digest()).decode().rstrip("=")


def _payload(
    members: dict[Any, bytes], uri: str, digest: bytes, size: int, allowed: set[Any]
) -> Iterator[Block]:
    """Yield every block of an image in every variant; add the members that hold them to the allowed ones."""
    name = uri.removeprefix("pawl:")
    allowed |= {uri, "#i:" + name}
    image, listing = of(bytes, members.get(uri)), of(bytes, members.get("#i:" + name), 0, _INDEX_BYTES_MAX)
    require(len(image) == size and sha256(image).digest() == digest, "not the image that was signed")
    require(uri == "pawl:" + _b64u(listing), "not the index that was signed")
    index_format, total, block_bytes, variants = of(list, decode(listing), 4, 4)
    require([of(int, one) for one in (index_format, total, block_bytes)] == [1, size, _BLOCK_BYTES], "index")
    encodings = [of(int, of(list, variant, 5, 5)[0], 0, 1) for variant in of(list, variants, 1, 8)]
    require(0 in encodings, "no plain variant")
    plain = [image[at : at + _BLOCK_BYTES] for at in range(0, size, _BLOCK_BYTES)]
    for place in range(len(variants)):
        member = uri if place == encodings.index(0) else f"#p:{name}:{place}"
        allowed.add(member)
        for count, found in enumerate(_variant(variants[place], members.get(member), plain)):
            yield Block(sha256(listing).digest(), place, count, found)


def _variant(variant: list[Any], member: bytes | None, plain: list[bytes]) -> list[bytes]:
    """Return the SHA-256 of each block of a payload, if each inflates alone to its block of the image."""
    encoding, base, size, lengths, digests = variant
    payload, blocks = of(bytes, member, of(int, size), of(int, size)), plain
    if encoding:
        packed = of(bytes, lengths, 2 * len(plain), 2 * len(plain))
        sizes = [int.from_bytes(packed[at : at + 2]) for at in range(0, len(packed), 2)]
        blocks = [payload[start:end] for start, end in pairwise(accumulate(sizes, initial=0))]
        require(sum(sizes) == size and all(map(_inflates_to, blocks, plain)), "blocks do not inflate")
    require(base is None and (encoding or lengths is None), "a base, or lengths of a plain variant")
    found = [sha256(block).digest() for block in blocks]
    require(digests == b"".join(found), "block digests")
    return found


def _inflates_to(block: bytes, plain: bytes) -> bool:
    stream = zlib.decompressobj(-12)
    try:
        inflated = block if len(block) == len(plain) else stream.decompress(block, len(plain) + 1)
    except zlib.error:
        return False
    is_whole = inflated is block or (stream.eof and not stream.unused_data)
    return inflated == plain and is_whole and len(block) <= len(plain)


def _text_members(members: dict[Any, bytes], described: bytes | None) -> set[Any]:
    """Return the members that the severed text stands for: itself, and the attachments that it lists."""
    if described is None:
        return set()
    raw = of(bytes, members.get(23))
    require(strict.digest_of_bstr(raw) == described, "not the text that was signed")
    languages = of(dict, decode(raw), 1)
    for tag, entries in languages.items():
        of(str, tag)
        for key, value in of(dict, entries).items():
            inner = of(dict, value) if type(key) is tuple else {key: value}
            require(type(key) is int or {type(part) for part in key} <= {bytes}, "no component identifier")
            require({type(one) for one in inner.values()} <= {str}, "other than texts")
            require(all(of(int, one) >= 0 for one in inner), "negative numbers")
    lines = of(str, languages.get("x-pawl", {1: ""}).get(1)).split("\n")
    found = [_ATTACHMENT.fullmatch(line) for line in lines[:-1]]
    listed = [match.groups() for match in found if match]
    require(lines[-1] == "" and len(listed) == len(lines) - 1, "a line that is no attachment")
    require("x-pawl" not in languages or (listed and len(languages["x-pawl"]) == 1), "attachments")
    require(all(one[0] < other[0] for one, other in pairwise(listed)), "attachments out of order")
    for _, member in listed:
        require(member == "#a:" + _b64u(of(bytes, members.get(member))), "not the attachment that was signed")
    return {23, *(member for _, member in listed)}
