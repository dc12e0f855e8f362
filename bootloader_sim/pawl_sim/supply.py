"""What a simulated device is offered: releases, anchors, a director's signature. Made by whoever explores, with test keys.

The explorer signs nothing itself and knows no way to make a release: it gets bundles as `pawl release` writes them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pawl import bundle, suit, topics, trust


@dataclass(frozen=True, kw_only=True, eq=False)
class Release:
    """A signed bundle, and what a broker keeps of it: {topic: payload}."""

    raw: bytes

    @cached_property
    def opened(self) -> Any:
        """Return the Bundle."""
        return bundle.Bundle(suit.Envelope(self.raw))

    @cached_property
    def digest(self) -> bytes:
        """Return the manifest digest."""
        return bytes(self.opened.envelope.digest)

    @cached_property
    def sequence(self) -> int:
        """Return the sequence number."""
        return int(self.opened.manifest.sequence_number)

    @cached_property
    def retained(self) -> dict[str, bytes]:
        """Return envelope, indexes and blocks by topic."""
        kept = {topics.release(self.digest): self.opened.wire_envelope()}
        for content in self.opened.contents:
            kept[topics.index(content.digest)] = bytes(content.index_bytes)
        for listing, variant, number, payload in self.opened.blocks():
            kept[topics.block(listing, variant.number, number)] = bytes(payload)
        return kept

    def images(self, slot: int) -> dict[bytes, bytes]:
        """Return {component: image} of a slot."""
        return {
            image.component: bytes(self.opened.content(image).image)
            for image in self.opened.manifest.images(slot)
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Supply:
    """`releases` by name (those that `scenarios` asks for); `anchors` from version 1 on, each signed by the one before.

    `verify(key, message, signature)` and `sign(secret, message)` are the port's primitives; `sign_offer(content)` returns the
    offer as the director sends it.
    """

    releases: dict[str, Release]
    anchors: tuple[bytes, ...]
    vendor: bytes
    device_class: bytes
    report_key: bytes
    verify: Callable[[Any, Any, Any], bool]
    sign: Callable[[bytes, bytes], bytes]
    sign_offer: Callable[[bytes], bytes]

    @cached_property
    def by_digest(self) -> dict[bytes, Release]:
        """Return the releases by manifest digest."""
        return {release.digest: release for release in self.releases.values()}

    @cached_property
    def anchor_references(self) -> tuple[tuple[int, bytes], ...]:
        """Return (version, digest) of each anchor."""
        loaded = [trust.load(file, self.verify) for file in self.anchors]
        return tuple((anchor.version, anchor.digest) for anchor in loaded)
