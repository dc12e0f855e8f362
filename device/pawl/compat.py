"""What differs between MicroPython and CPython, in one place.

Refuses to grow: only names that the rest of the package needs on both interpreters.
"""

import hashlib
import io

try:
    from micropython import const  # type: ignore[assignment]
except ImportError:

    def const(value):
        """Return the value: only MicroPython's compiler folds constants."""
        return value


_WINDOW_BITS = const(12)

try:
    import deflate

    def _inflate(payload, most):
        block = bytearray(most)
        stream = io.BytesIO(payload)
        try:
            got = deflate.DeflateIO(stream, deflate.RAW, _WINDOW_BITS).readinto(block)
        except (OSError, EOFError):
            return b""
        behind = stream.read(1)  # pyright: ignore[reportAttributeAccessIssue]  # the stubs lack it
        return b"" if behind else memoryview(block)[:got]

except ImportError:
    import zlib

    def _inflate(payload, most):
        stream = zlib.decompressobj(-_WINDOW_BITS)
        try:
            block = memoryview(stream.decompress(payload, most))
        except zlib.error:
            return b""
        return block if stream.eof and not stream.unused_data else b""


def inflate(payload, size):
    """Return the `size` bytes that raw DEFLATE data with a 4 KiB window holds, or None if it holds others, has no end,
    or goes on behind it.

    Never inflates more than `size` + 1 bytes, whatever the data says.
    """
    block = _inflate(payload, size + 1)
    return block if len(block) == size else None


def sha256(data) -> bytes:
    """Return the 32-byte SHA-256 of a buffer."""
    return hashlib.sha256(data).digest()
