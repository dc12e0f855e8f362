"""Deterministic CBOR (RFC 8949, 4.2.1) out of a lenient library: decoded, encoded again, compared, looked through."""

from hashlib import sha256
from typing import Any, TypeVar, cast

import cbor2

_DEPTH_MAX, _SHA256 = 8, -16
_KEYS = {int, str, bytes, tuple}  # texts are filed under component identifiers, which come as tuples
_T = TypeVar("_T", int, str, bytes, list[Any], dict[Any, Any])


class RefusedError(Exception):
    """A release, or an anchor, that must not be used; the text says why, for people."""


def require(is_so: object, reason: str) -> None:
    """Refuse unless it is so."""
    if not is_so:
        raise RefusedError(reason)


def decode(raw: bytes) -> Any:
    """Return the one item that these bytes are the one encoding of."""
    try:
        item = cbor2.loads(raw)
        encoded = cbor2.dumps(item)
    except Exception as error:
        raise RefusedError(f"not CBOR: {error!r}") from error
    # Keys stay in the order they were read in; heads are as short as can be; what follows the item is gone.
    require(encoded == raw, "not the one encoding of its value")
    return _plain(item, 0)


def _plain(item: Any, depth: int) -> Any:
    """Return an item in arrays, maps and tags of one type; refuse what the profile doesn't name."""
    require(depth <= _DEPTH_MAX, "nested too deep")
    if isinstance(item, (dict, cbor2.frozendict)):
        keys = [cbor2.dumps(key) for key in item]
        require(keys == sorted(keys) and {type(key) for key in item} <= _KEYS, "map keys")
        return {key: _plain(value, depth + 1) for key, value in item.items() if [_plain(key, depth + 1)]}
    if isinstance(item, (list, tuple)):
        return [_plain(value, depth + 1) for value in item]
    if isinstance(item, cbor2.CBORTag):
        require(item.tag in {18, 107}, "a tag that is not called for")
        return cbor2.CBORTag(item.tag, _plain(item.value, depth))
    is_known = type(item) in {int, str, bytes, bool, type(None)}
    require(is_known and (type(item) is not int or -(2**64) <= item < 2**64), "another type or size")
    return item


def of(kind: type[_T], item: Any, low: int = 0, high: int = 2**64 - 1) -> _T:
    """Return an item of this very type, its value or length within bounds."""
    is_of_kind = type(item) is kind
    require(is_of_kind and low <= (item if kind is int else len(item)) <= high, f"no {kind} in {low}..{high}")
    return cast("_T", item)


def digest(item: Any) -> bytes:
    """Return the SHA-256 of a SUIT_Digest."""
    algorithm, value = of(list, item, 2, 2)
    require(algorithm == _SHA256, "a digest of another algorithm")
    return of(bytes, value, 32, 32)


def digest_of_bstr(content: bytes) -> bytes:
    """Return the SHA-256 of a byte string with its head (suit-manifest, 8.3)."""
    return sha256(cbor2.dumps(content)).digest()
