"""Makes a release: the manifest of an image, its signatures, and the bundle that people hand over.

The same image, numbers and keys give the same bytes. Template: `docs/protocol.md`, manifest template.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from pawl import bundle, cbor, codes, cose, index
from pawl.compat import sha256
from pawl_tools.errors import ToolError
from pawl_tools.keys import Signer

_REPORT_ON_FAILURE = 2
_SEQUENCE_MAX = 2**64 - 1
_INDEX_BYTES_PER_BLOCK = 34


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What a release says of its image; `sequence` is epoch << 32 | counter, identifiers are 16 bytes."""

    sequence: int
    version: tuple[int, ...]
    vendor: bytes
    device_class: bytes

    def __post_init__(self) -> None:
        """Refuse what no device would accept."""
        if not 0 <= self.sequence <= _SEQUENCE_MAX:
            raise ToolError("the sequence number must fit 64 bits: epoch << 32 | counter")
        if not 1 <= len(self.version) <= 6:
            raise ToolError("a version has 1 to 6 numbers, such as 1.4.0")


def parse_version(text: str) -> tuple[int, ...]:
    """Return the numbers of a version written with dots."""
    try:
        return tuple(int(part) for part in text.split("."))
    except ValueError:
        raise ToolError(f"{text!r} is not a version: write numbers with dots, such as 1.4.0") from None


def manifest(image: bytes, uri: str, statement: Statement) -> bytes:
    """Return the manifest of an image whose index has this URI."""
    policy = _REPORT_ON_FAILURE
    shared = [
        codes.COMMAND_OVERRIDE_PARAMETERS,
        {
            codes.PARAMETER_VENDOR: statement.vendor,
            codes.PARAMETER_CLASS: statement.device_class,
            codes.PARAMETER_IMAGE_DIGEST: cbor.encode([codes.ALG_SHA256, sha256(image)]),
            codes.PARAMETER_IMAGE_SIZE: len(image),
        },
        *(codes.COMMAND_VENDOR, policy),
        *(codes.COMMAND_CLASS, policy),
    ]
    install = [
        *(codes.COMMAND_OVERRIDE_PARAMETERS, {codes.PARAMETER_URI: uri}),
        *(codes.COMMAND_FETCH, policy),
        *(codes.COMMAND_IMAGE_MATCH, policy),
    ]
    common = {codes.COMMON_COMPONENTS: [[b"app"]], codes.COMMON_SHARED_SEQUENCE: cbor.encode(shared)}
    elements = {
        codes.MANIFEST_VERSION: 1,
        codes.MANIFEST_SEQUENCE_NUMBER: statement.sequence,
        codes.MANIFEST_COMMON: cbor.encode(common),
        codes.MANIFEST_SET_VERSION: cbor.encode(list(statement.version)),
        codes.MANIFEST_VALIDATE: cbor.encode([codes.COMMAND_IMAGE_MATCH, policy]),
        codes.MANIFEST_INVOKE: cbor.encode([codes.COMMAND_INVOKE, policy]),
        codes.MANIFEST_INSTALL: cbor.encode(install),
    }
    return cbor.encode(elements)


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


def build(image: bytes, statement: Statement, signers: Sequence[Signer]) -> bytes:
    """Return the bundle of a release: envelope, index, image, and its blocks deflated where that makes it smaller."""
    if not image:
        raise ToolError("the image is empty: `pawl pack` makes one")
    deflated = [deflate(block) for block in index.cut(image)]
    # The second variant costs its own lengths and digests in the index, which every device fetches.
    is_smaller = sum(map(len, deflated)) + _INDEX_BYTES_PER_BLOCK * len(deflated) < len(image)
    listing = index.write(image, deflated if is_smaller else None)
    digest = sha256(listing)
    body = manifest(image, index.uri_of(digest), statement)
    members = {index.uri_of(digest): image, "#i:" + index.b64u(digest): listing}
    if is_smaller:
        members[f"#p:{index.b64u(digest)}:1"] = b"".join(deflated)
    return bundle.envelope_of(sign(body, signers), body, members)
