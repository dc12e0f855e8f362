"""What the broker retains of a release, in the order in which it is put there, and in which it is taken back.

Who finds the envelope finds the rest: it comes last, and goes first.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from pawl import topics
from pawl_server.domain.changes import Outgoing

Publish = Callable[[Outgoing], Awaitable[None]]


def parts_of(bundle: Any) -> Iterator[Outgoing]:
    """Yield what devices fetch of a release; the envelope last."""
    yield from _contents(bundle, ())
    yield _envelope(bundle)


def clearing(bundle: Any) -> Outgoing:
    """Return the message that takes the envelope back: an empty one, retained."""
    return _empty(_envelope(bundle))


def clearings(bundle: Any, kept: Collection[bytes]) -> Iterator[Outgoing]:
    """Yield the messages that take the rest back, but for contents that others share, named by their index."""
    for part in _contents(bundle, kept):
        yield _empty(part)


def indexes_of(bundle: Any) -> frozenset[bytes]:
    """Return the digests of a release's indexes: what has the same one is the same on the broker."""
    return frozenset(bytes(content.digest) for content in bundle.contents)


async def send(messages: Iterable[Outgoing], publish: Publish, window: int) -> None:
    """Publish all, so many at a time, and return when the broker has them."""
    left = iter(messages)
    while some := list(islice(left, window)):
        await asyncio.gather(*[publish(message) for message in some])


def _contents(bundle: Any, kept: Collection[bytes]) -> Iterator[Outgoing]:
    for content in bundle.contents:
        if content.digest not in kept:
            yield _retained(topics.index(content.digest), content.index_bytes)
    for digest, variant, number, payload in bundle.blocks():
        if digest not in kept:
            yield _retained(topics.block(digest, variant.number, number), payload)


def _envelope(bundle: Any) -> Outgoing:
    return _retained(topics.release(bundle.envelope.digest), bundle.wire_envelope())


def _retained(topic: str, payload: bytes) -> Outgoing:
    return Outgoing(topic=topic, payload=bytes(payload), device=None, is_retained=True)


def _empty(part: Outgoing) -> Outgoing:
    return replace(part, payload=b"")
