"""CBOR, deterministic only (RFC 8949 §4.2.1): a strict reader over a buffer, and the encoder to match.

Refuses indefinite lengths, heads longer than needed, floats, simple values but false, true and null,
map keys out of order or twice, text that isn't UTF-8, nesting beyond `DEPTH_MAX`, and trailing bytes. A
tag is accepted only where the caller names it. Byte strings come out as slices of the buffer: nothing is copied.

    reader = Reader(message)
    reader.tag(18)
    reader.array(4)
    protected = reader.bytes()
"""

from pawl import codes
from pawl.compat import const
from pawl.errors import ManifestError

UINT = const(0)
NINT = const(1)
BYTES = const(2)
TEXT = const(3)
ARRAY = const(4)
MAP = const(5)
TAG = const(6)
SIMPLE = const(7)

DEPTH_MAX = const(8)
_FALSE = const(20)
_TRUE = const(21)
_NULL = const(22)
_LEAST = (24, 0x100, 0x10000, 0x100000000)  # smallest argument that needs 1, 2, 4, 8 bytes


def malformed(detail):
    """Return the error of bytes that are not what they should be."""
    return ManifestError(codes.REASON_MALFORMED, detail)


class Reader:
    """A cursor over one buffer; every method reads one item or raises ManifestError."""

    def __init__(self, buf):
        self.buf = memoryview(buf)
        self.pos = 0

    def _take(self, count):
        start = self.pos
        if count > len(self.buf) - start:
            raise malformed("cut short")
        self.pos = start + count
        return self.buf[start : self.pos]

    def head(self):
        """Read one head; return (major type, argument)."""
        first = self._take(1)[0]
        major = first >> 5
        info = first & 31
        if info < 24:
            return major, info
        if info > 27 or major == SIMPLE:
            raise malformed("indefinite length, float or unassigned head")
        argument = int.from_bytes(self._take(1 << (info - 24)), "big")
        if argument < _LEAST[info - 24]:
            raise malformed("head longer than needed")
        return major, argument

    def peek(self):
        """Return the major type of the next item without reading it."""
        if self.pos >= len(self.buf):
            raise malformed("cut short")
        return self.buf[self.pos] >> 5

    def _expect(self, major, what):
        got, argument = self.head()
        if got != major:
            raise malformed("not " + what)
        return argument

    def uint(self):
        """Read an unsigned integer of at most 64 bits."""
        return self._expect(UINT, "an unsigned integer")

    def int(self):
        """Read an integer, negative or not."""
        major, argument = self.head()
        if major == UINT:
            return argument
        if major == NINT:
            return -1 - argument
        raise malformed("not an integer")

    def bytes(self):
        """Read a byte string; return it as a slice of the buffer."""
        return self._take(self._expect(BYTES, "a byte string"))

    def bytes_of(self, size):
        """Read a byte string of exactly `size` bytes; return a copy."""
        got = self.bytes()
        if len(got) != size:
            raise malformed("byte string of another length")
        return bytes(got)

    def text(self):
        """Read a text string."""
        raw = self._take(self._expect(TEXT, "a text string"))
        if not _is_utf8(raw):
            raise malformed("text is not UTF-8")
        return str(raw, "utf-8")

    def array(self, size=-1):
        """Read an array's head; return the count, which must be `size` unless that is negative."""
        count = self._expect(ARRAY, "an array")
        if size >= 0 and count != size:
            raise malformed("array of another length")
        if count > len(self.buf) - self.pos:
            raise malformed("cut short")
        return count

    def map(self):
        """Read a map's head; return the number of pairs."""
        count = self._expect(MAP, "a map")
        if 2 * count > len(self.buf) - self.pos:
            raise malformed("cut short")
        return count

    def keys(self, read_key=None):
        """Read a map: yield each key, in order and once; the caller reads the value before going on.

        `read_key(reader)` reads one; else they are integers, text or byte strings.
        """
        last = b""
        for _ in range(self.map()):
            start = self.pos
            key = self._key() if read_key is None else read_key(self)
            raw = bytes(self.buf[start : self.pos])
            if raw <= last:
                raise malformed("map keys out of order or twice")
            last = raw
            yield key

    def _key(self):
        major = self.peek()
        if major == TEXT:
            return self.text()
        if major == BYTES:
            return bytes(self.bytes())
        return self.int()

    def tag(self, number):
        """Read a tag, which must be `number`."""
        if self._expect(TAG, "a tag") != number:
            raise malformed("another tag")

    def nil(self):
        """Read null."""
        if self._expect(SIMPLE, "null") != _NULL:
            raise malformed("not null")

    def is_nil(self):
        """Read null if it comes next; return whether it did."""
        if self.pos < len(self.buf) and self.buf[self.pos] == 0xF6:
            self.pos += 1
            return True
        return False

    def value(self, depth=DEPTH_MAX):
        """Read any item but a tag into plain Python values; byte strings are slices of the buffer."""
        major = self.peek()
        if major <= NINT:
            return self.int()
        if major == BYTES:
            return self.bytes()
        if major == TEXT:
            return self.text()
        if major == SIMPLE:
            return self._simple()
        if depth == 0 or major == TAG:
            raise malformed("nested too deep, or a tag where none is allowed")
        if major == ARRAY:
            return [self.value(depth - 1) for _ in range(self.array())]
        return {key: self.value(depth - 1) for key in self.keys()}

    def _simple(self):
        argument = self.head()[1]
        if argument not in (_FALSE, _TRUE, _NULL):
            raise malformed("simple value out of the profile")
        return None if argument == _NULL else argument == _TRUE

    def end(self):
        """Refuse anything that follows."""
        if self.pos != len(self.buf):
            raise ManifestError(codes.REASON_TRAILING_BYTES, "bytes after the last item")


# First byte of a sequence -> the second bytes allowed, where not all are (RFC 3629 §4).
_SECOND = {0xE0: (0xA0, 0xBF), 0xED: (0x80, 0x9F), 0xF0: (0x90, 0xBF), 0xF4: (0x80, 0x8F)}


def _is_utf8(raw):
    """MicroPython accepts overlong forms and surrogates, so both interpreters ask here."""
    at = 0
    while at < len(raw):
        first = raw[at]
        rest = 0 if first < 0x80 else 1 if first < 0xE0 else 2 if first < 0xF0 else 3
        if 0x80 <= first < 0xC2 or first > 0xF4 or at + rest >= len(raw):
            return False
        low, high = _SECOND.get(first, (0x80, 0xBF))
        for offset in range(1, rest + 1):
            if not low <= raw[at + offset] <= high:
                return False
            low, high = 0x80, 0xBF
        at += rest + 1
    return True


def decode(buf):
    """Decode one item that fills the whole buffer."""
    reader = Reader(buf)
    value = reader.value()
    reader.end()
    return value


class Tag:
    """A tagged item, for the encoder."""

    def __init__(self, number, value):
        self.number = number
        self.value = value


def head(major, argument) -> bytes:
    """Return the shortest head of an item."""
    first = major << 5
    if argument < 24:
        return bytes((first | argument,))
    for power in range(4):
        if argument < 1 << (8 << power):
            return bytes((first | 24 + power,)) + argument.to_bytes(1 << power, "big")
    raise ValueError("beyond 64 bits")


def encode(value) -> bytes:
    """Encode plain Python values and `Tag`; map keys are sorted as RFC 8949 §4.2.1 says."""
    if value is None:
        return b"\xf6"
    if value is True or value is False:
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return head(UINT, value) if value >= 0 else head(NINT, -1 - value)
    if isinstance(value, str):
        raw = value.encode()
        return head(TEXT, len(raw)) + raw
    if isinstance(value, (list, tuple)):
        return head(ARRAY, len(value)) + b"".join([encode(item) for item in value])
    if isinstance(value, dict):
        pairs = sorted([(encode(key), encode(value[key])) for key in value])
        return head(MAP, len(pairs)) + b"".join([key + item for key, item in pairs])
    if isinstance(value, Tag):
        return head(TAG, value.number) + encode(value.value)
    return head(BYTES, len(value)) + bytes(value)
