"""What the reader says of a release, in values that another reader's words can be compared with."""

from dataclasses import dataclass
from typing import NamedTuple

# kty, crv, x, y: a key is known by these, whatever its encoding; y is empty for Ed25519.
KeyIdentity = tuple[int, int, bytes, bytes]


class Image(NamedTuple):
    """An image that the release brings into a slot (0 or 1) of a component."""

    component: str
    slot: int
    digest: bytes
    size: int
    uri: str


class Block(NamedTuple):
    """A block of a payload, named as devices fetch it: `listing` is the SHA-256 of the index."""

    listing: bytes
    variant: int
    number: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a release may be used, and what it is; of a refused one only the reason is told, for people."""

    accepted: bool
    reason: str = ""
    digest: bytes = b""
    sequence: int = 0
    version: tuple[int, ...] = ()
    role: int = 0
    signers: frozenset[KeyIdentity] = frozenset()
    images: frozenset[Image] = frozenset()
    blocks: frozenset[Block] = frozenset()
