"""Deterministic CBOR (RFC 8949, 4.2.1) out of a lenient library: decoded, looked through, encoded again and compared."""

from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any, NoReturn

import cbor2

from pawl_reader.verdict import RefusedError

_DEPTH_MAX = 8
_TAGS = (18, 107)
_SHA256 = -16


def refuse(reason: str) -> NoReturn:
    """Raise the refusal."""
    raise RefusedError(reason)


def require(is_so: object, reason: str) -> None:
    """Refuse unless it is so."""
    if not is_so:
        refuse(reason)


def decode(raw: bytes) -> Any:
    """Return the one item that these bytes are the one encoding of."""
    try:
        item = cbor2.loads(raw)
        _look_through(item, 0)
        # Maps come back in the order they were read in, heads as short as they can be, bytes after the item not at all.
        require(cbor2.dumps(item) == raw, "not the one encoding of its value")
    except RefusedError:
        raise
    except Exception as error:  # noqa: BLE001  # whatever the library can't read is not readable
        refuse(f"not CBOR: {error!r}")
    return item


def _look_through(item: Any, depth: int) -> None:
    """Refuse values outside of the profile, and map keys out of order."""
    require(depth <= _DEPTH_MAX, "nested too deep")
    if isinstance(item, dict):
        keys = [cbor2.dumps(key) for key in item]
        require(keys == sorted(keys), "map keys out of order")
        for key, value in item.items():
            # A component identifier, which texts are filed under, comes as a tuple.
            require(type(key) in {int, str, bytes, tuple}, "a map key of another type")
            _look_through(key, depth + 1)
            _look_through(value, depth + 1)
    elif isinstance(item, (list, tuple)):
        for value in item:
            _look_through(value, depth + 1)
    elif isinstance(item, cbor2.CBORTag):
        require(item.tag in _TAGS, "a tag that is not called for")
        _look_through(item.value, depth)
    elif type(item) is int:
        require(-(2**64) <= item < 2**64, "an integer of more than 64 bits")
    else:
        require(type(item) in {str, bytes, bool, type(None)}, "a value of another type")


def tagged(item: Any, tag: int) -> Any:
    """Return what a tag holds."""
    require(isinstance(item, cbor2.CBORTag) and item.tag == tag, f"no tag {tag}")
    return item.value


def number(item: Any, high: int = 2**64 - 1) -> int:
    """Return an unsigned integer that is at most `high`."""
    if type(item) is not int or not 0 <= item <= high:
        refuse("a number is missing, or out of range")
    return item


def octets(item: Any, length: int | None = None) -> bytes:
    """Return a byte string, of this length if one is given."""
    if type(item) is not bytes or length not in {None, len(item)}:
        refuse("a byte string is missing, or of another length")
    return item


def text(item: Any) -> str:
    """Return a text."""
    if type(item) is not str:
        refuse("a text is missing")
    return item


def array(item: Any, low: int, high: int) -> list[Any]:
    """Return an array of `low` to `high` items."""
    if type(item) is not list or not low <= len(item) <= high:
        refuse("an array is missing, or of another length")
    return item


def mapping(item: Any) -> dict[Any, Any]:
    """Return a map."""
    if not isinstance(item, dict):
        refuse("a map is missing")
    return item


def digest(item: Any) -> bytes:
    """Return the SHA-256 of a SUIT_Digest."""
    algorithm, value = array(item, 2, 2)
    require(type(algorithm) is int and algorithm == _SHA256, "a digest of another algorithm")
    return octets(value, 32)


def digest_of_bstr(content: bytes) -> bytes:
    """Return the SHA-256 of a byte string with its head (suit-manifest, 8.3)."""
    return sha256(cbor2.dumps(content)).digest()


def b64u(value: bytes) -> str:
    """Return base64url without padding."""
    return urlsafe_b64encode(value).rstrip(b"=").decode()
