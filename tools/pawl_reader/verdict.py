"""What the reader says of a release, in values that another reader's words can be compared with."""

from dataclasses import dataclass

# kty, crv, x, y: a key is known by these, whatever its encoding; y is empty for Ed25519.
KeyIdentity = tuple[int, int, bytes, bytes]


class RefusedError(Exception):
    """A release, or an anchor, that must not be used; the text says why, for people."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Image:
    """An image that the release brings into a slot (0 or 1) of a component."""

    component: str
    slot: int
    digest: bytes
    size: int
    uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a release may be used, and what it is; of a refused one only the reason is told.

    `blocks` names each payload block: SHA-256 of its index, variant, number, SHA-256 of the block; it is sorted.
    """

    accepted: bool
    reason: str = ""
    digest: bytes = b""
    sequence: int = 0
    version: tuple[int, ...] = ()
    role: int = 0
    signers: frozenset[KeyIdentity] = frozenset()
    images: frozenset[Image] = frozenset()
    blocks: tuple[tuple[bytes, int, int, bytes], ...] = ()
