"""Releases that are almost right: CBOR trees that are changed at random, encoded again, and signed again.

A tree is plain values and the classes below, which can say what no honest encoder says. The same seed and number give the
same bytes.
"""

import zlib
from dataclasses import dataclass

import cbor2

# What stands where something else belongs; tokens are encodings that no value has.
TOKENS = [
    bytes.fromhex(text)
    for text in [
        "f93c00",
        "fb3ff0000000000000",
        "f7",
        "e0",
        "f820",
        "f800",
        "c24101",
        "c249010000000000000000",
        "c074",
        "d9d9f700",
        "d81c80",
        "d90100",
        "9f01ff",
        "bf0102ff",
        "5f4101ff",
        "7f6161ff",
        "ff",
        "1800",
        "190001",
        "1a00000001",
        "1b0000000000000001",
        "3800",
        "5801",
        "61ff",
        "63eda080",
        "a201010101",
        "a2020101",
        "a201000100",
        "8180",
        "d88100",
        "d26161",
        "1bffffffffffffffff",
        "3bffffffffffffffff",
        "818181818181818181818100",
    ]
]
VALUES = [
    0,
    1,
    2,
    3,
    12,
    15,
    16,
    21,
    22,
    24,
    64,
    -1,
    -7,
    -8,
    -9,
    -16,
    -19,
    -2,
    4095,
    4096,
    4097,
    65536,
    2**32,
    2**63,
]
VALUES += [
    2**64 - 1,
    -(2**64),
    True,
    False,
    None,
    "",
    "x",
    "app",
    "pawl:",
    b"",
    b"x",
    b"app",
    b"data",
    bytes(16),
]
VALUES += [bytes(32), bytes(31), bytes(33), b"\x80", b"\xa0", b"\x82\x03\x02", []]


@dataclass
class Map:
    """A map that may hold a key twice, in any order: pairs."""

    pairs: list


@dataclass
class Tag:
    """A tag and what it holds, in a list."""

    number: int
    held: list


@dataclass
class Wrapped:
    """A byte string that holds the encoding of a tree, in a list."""

    held: list


@dataclass
class Token:
    """Bytes that stand in the encoding as they are."""

    raw: bytes


@dataclass
class Spelled:
    """A tree whose first head is longer than needed."""

    held: list
    width: int


@dataclass
class Endless:
    """An array or map of indefinite length."""

    held: list


def tree_of(raw):
    """Return the tree of an encoding; byte strings that hold an array, map or tag become trees too."""
    return _tree(cbor2.loads(raw))


def _tree(value):
    if isinstance(value, dict):
        return Map([[_tree(key), _tree(one)] for key, one in value.items()])
    if isinstance(value, list):
        return [_tree(one) for one in value]
    if isinstance(value, cbor2.CBORTag):
        return Tag(value.tag, [_tree(value.value)])
    return _unwrapped(value) if isinstance(value, bytes) else value


def _unwrapped(value):
    if len(value) in {16, 32, 64}:
        return value
    try:
        inner = cbor2.loads(value)
        is_wrapped = isinstance(inner, (list, dict, cbor2.CBORTag)) and cbor2.dumps(inner) == value
    except (cbor2.CBORError, ValueError):
        return value
    return Wrapped([_tree(inner)]) if is_wrapped else value


def encode(node):  # noqa: PLR0911  # one a kind of node
    """Return the encoding of a tree."""
    if isinstance(node, Token):
        return node.raw
    if isinstance(node, Wrapped):
        content = encode(node.held[0])
        return head(2, len(content)) + content
    if isinstance(node, Tag):
        return head(6, node.number) + encode(node.held[0])
    if isinstance(node, Map):
        return head(5, len(node.pairs)) + b"".join(encode(key) + encode(value) for key, value in node.pairs)
    if isinstance(node, list):
        return head(4, len(node)) + b"".join(map(encode, node))
    if isinstance(node, Spelled):
        return _spelled(encode(node.held[0]), node.width)
    if isinstance(node, Endless):
        return _endless(encode(node.held[0]))
    return cbor2.dumps(node)


def head(major, argument, width=0):
    """Return the head of an item, at least `width` bytes long after its first."""
    if argument < 24 and not width:
        return bytes([major << 5 | argument])
    for bits, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if size >= width and argument < 1 << 8 * size:
            return bytes([major << 5 | bits]) + argument.to_bytes(size, "big")
    raise ValueError("too large")


def _spelled(raw, width):
    length = {24: 1, 25: 2, 26: 4, 27: 8}.get(raw[0] & 31, 0)
    if raw[0] & 31 > 27 or length >= width or raw[0] >> 5 == 7:
        return raw
    argument = int.from_bytes(raw[1 : 1 + length], "big") if length else raw[0] & 31
    return head(raw[0] >> 5, argument, width) + raw[1 + length :]


def _endless(raw):
    if raw[0] >> 5 not in {4, 5} or raw[0] & 31 >= 24:
        return raw
    return bytes([raw[0] | 31]) + raw[1:] + b"\xff"


def mutate(rng, node):
    """Change a tree at one to three places; return it."""
    holder = [node]
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = list(_places(holder))
        # Deep places are many: every level gets its share.
        depth = rng.choice([depth for _, _, depth in places[:: max(1, len(places) // 12)]])
        container, at, _ = rng.choice([place for place in places if place[2] == depth])
        rng.choice(_CHANGES)(rng, container, at, places)
    return holder[0]


def _places(container, depth=0):
    """Yield (list, index, depth) of every node below a list."""
    for at, node in enumerate(container):
        yield container, at, depth
        if isinstance(node, Map):
            for pair in node.pairs:
                yield from _places(pair, depth + 1)
        elif isinstance(node, list):
            yield from _places(node, depth + 1)
        elif isinstance(node, (Tag, Wrapped, Spelled, Endless)):
            yield from _places(node.held, depth + 1)


def _replace(rng, container, at, _):
    container[at] = rng.choice(VALUES)


def _misspell(rng, container, at, _):
    container[at] = Token(rng.choice(TOKENS))


def _lengthen(rng, container, at, _):
    container[at] = Spelled([container[at]], rng.choice((1, 2, 4, 8)))


def _leave_open(_rng, container, at, _):
    container[at] = Endless([container[at]])


def _nudge(rng, container, at, _):
    node = container[at]
    if isinstance(node, Wrapped):
        node = encode(node.held[0])
    if type(node) is int:
        container[at] = node + rng.choice((-1, 1, -2, 2))
    elif isinstance(node, bytes):
        container[at] = damage(rng, node)
    elif isinstance(node, str):
        container[at] = node[: rng.randrange(len(node) + 1)] + rng.choice(("", "x", "=", " "))
    else:
        _within(rng, container, at, None)


def _within(rng, container, at, _):
    """Drop, double, move or add an entry of an array or map."""
    node = container[at]
    entries = node.pairs if isinstance(node, Map) else node
    if not isinstance(entries, list) or not entries:
        _replace(rng, container, at, _)
        return
    one = rng.randrange(len(entries))
    kind = rng.randrange(5)
    if kind == 0:
        del entries[one]
    elif kind == 1:
        entries.insert(rng.randrange(len(entries) + 1), _copy(entries[one]))
    elif kind == 2:
        entries.insert(rng.randrange(len(entries)), entries.pop(one))
    elif kind == 3:
        value = rng.choice(VALUES)
        entries.insert(
            rng.randrange(len(entries) + 1), [value, rng.choice(VALUES)] if isinstance(node, Map) else value
        )
    else:
        entries.reverse()


def _copy(node):
    return (
        tree_of(encode(node))
        if isinstance(node, (Map, Tag, Wrapped))
        else list(node)
        if isinstance(node, list)
        else node
    )


def _swap(rng, container, at, places):
    other, there, _ = rng.choice(places)
    first, second = encode(container[at]), encode(other[there])
    container[at], other[there] = Token(second), Token(first)


def _overwrite(rng, container, at, places):
    other, there, _ = rng.choice(places)
    container[at] = Token(encode(other[there]))


def _wrap(rng, container, at, _):
    node = container[at]
    if isinstance(node, (Wrapped, Tag)) and rng.random() < 0.5:
        container[at] = node.held[0]
        return
    container[at] = rng.choice((Wrapped([node]), Tag(rng.choice((18, 107, 24, 1)), [node]), [node]))


_CHANGES = [
    _replace,
    _misspell,
    _lengthen,
    _leave_open,
    _nudge,
    _nudge,
    _within,
    _within,
    _within,
    _swap,
    _overwrite,
    _wrap,
]


def damage(rng, raw):
    """Change bytes without regard to what they mean: flip, cut, insert, delete, double, swap."""
    raw = bytearray(raw)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at, length = rng.randrange(len(raw) + 1), rng.choice((1, 1, 2, 8, 40))
        kind = rng.randrange(6)
        if kind == 0 and at < len(raw):
            raw[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(raw):
            raw[at] = rng.randrange(256)
        elif kind == 2:
            del raw[at : at + length]
        elif kind == 3:
            raw[at:at] = rng.randbytes(length)
        elif kind == 4:
            raw[at:at] = raw[at : at + length]
        elif rng.random() < 0.3:
            del raw[at:]
    return bytes(raw)


SYNC_FLUSH = zlib.Z_SYNC_FLUSH


def zlib_compressor():
    """Return a compressor of raw DEFLATE with a window of 4 KiB."""
    return zlib.compressobj(9, zlib.DEFLATED, -12)


def deflate_all(block):
    """Return a block as DEFLATE data, ended."""
    compressor = zlib_compressor()
    return compressor.compress(block) + compressor.flush()
