"""Makes a release: the manifest of its images, its signatures, and the bundle that people hand over.

The same images, numbers, notes and keys give the same bytes.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pawl import bundle, cbor, codes, cose, index, notes, suit
from pawl.compat import sha256
from pawl.errors import ManifestError
from pawl.names import reason_name
from pawl_tools import template
from pawl_tools.errors import ToolError
from pawl_tools.keys import Signer
from pawl_tools.statement import Statement, parse_version

__all__ = ["Notes", "Payload", "Statement", "build", "parse_version"]

_INDEX_BYTES_PER_BLOCK = 34


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """What a release installs: `app` is one image, or those of slot A and slot B if each is bound to its address."""

    app: tuple[bytes, ...]
    data: bytes | None = None

    def __post_init__(self) -> None:
        """Refuse images that are none."""
        if len(self.app) not in (1, 2):
            raise ToolError("an application has one image, or one for slot A and one for slot B")
        if not all(self.app) or self.data == b"":
            raise ToolError("the image is empty: `pawl pack` makes one")


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """What a release tells people: text by language tag, and attachments by name."""

    text: dict[str, dict[Any, Any]] = field(default_factory=dict)
    attachments: dict[str, bytes] = field(default_factory=dict)


def digest_item(manifest_bytes: bytes) -> bytes:
    """Return the SUIT_Digest of a manifest: it covers the byte string's head too (suit-manifest §8.3)."""
    return cbor.encode([codes.ALG_SHA256, sha256(cbor.encode(manifest_bytes))])


def sign(manifest_bytes: bytes, signers: Sequence[Signer]) -> bytes:
    """Return the authentication wrapper: the digest and one block a signer, sorted bytewise."""
    digest = digest_item(manifest_bytes)
    blocks = []
    for signer in signers:
        protected = cose.protected_header(signer.key.alg)
        signature = signer.sign(cose.to_be_signed(protected, b"", digest))
        blocks.append(cose.write_sign1(signer.key.alg, digest, signature, is_detached=True))
    return cbor.encode([digest, *sorted(blocks)])


def deflate(block: bytes) -> bytes:
    """Return a block as raw DEFLATE with a 4 KiB window, or as it is if that isn't smaller."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -12)
    payload = compressor.compress(block) + compressor.flush()
    return payload if len(payload) < len(block) else block


def build(
    payload: Payload | bytes, statement: Statement, signers: Sequence[Signer], told: Notes | None = None
) -> bytes:
    """Return the bundle of a release: envelope, indexes, images, text and attachments.

    Raises:
        ToolError: no device would take it, with the device's reason.
    """
    parts = payload if isinstance(payload, Payload) else Payload(app=(payload,))
    members: dict[str | int, bytes] = {}
    app = [_add_image(members, image) for image in parts.app]
    data = None if parts.data is None else _add_image(members, parts.data)
    text_digest = None if told is None else _add_notes(members, told)
    body = template.manifest(app, data, statement, text_digest)
    raw = suit.envelope_of(sign(body, signers), body, members)
    try:
        bundle.Bundle(suit.Envelope(raw))
    except ManifestError as error:
        raise ToolError(f"no device would take it: {reason_name(error.code)} ({error.detail})") from None
    return bytes(raw)


def _add_image(members: dict[str | int, bytes], image: bytes) -> template.Image:
    """Add an image, its index, and its blocks deflated where that makes it smaller."""
    deflated = [deflate(block) for block in index.cut(image)]
    # The second variant costs its own lengths and digests in the index, which every device fetches.
    is_smaller = sum(map(len, deflated)) + _INDEX_BYTES_PER_BLOCK * len(deflated) < len(image)
    listing = index.write(image, deflated if is_smaller else None)
    digest = sha256(listing)
    members |= {index.uri_of(digest): image, "#i:" + index.b64u(digest): listing}
    if is_smaller:
        members[f"#p:{index.b64u(digest)}:1"] = b"".join(deflated)
    return template.Image(content=image, uri=index.uri_of(digest))


def _add_notes(members: dict[str | int, bytes], told: Notes) -> bytes:
    """Add text and attachments; return the digest by which the manifest names the text (suit-manifest §8.4.12)."""
    for name, content in told.attachments.items():
        if not notes.is_name(name):
            raise ToolError(f"{name!r} is no attachment's name: use A-Z, a-z, 0-9, '.', '_', '-', at most 64")
        members[notes.member_of(content)] = content
    raw = notes.write(told.text, told.attachments)
    members[codes.MANIFEST_TEXT] = raw
    return bytes(sha256(cbor.encode(raw)))
