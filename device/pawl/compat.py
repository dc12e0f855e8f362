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
        try:
            got = deflate.DeflateIO(io.BytesIO(payload), deflate.RAW, _WINDOW_BITS).readinto(block)
        except (OSError, EOFError):
            return b""
        return memoryview(block)[:got]

except ImportError:
    import zlib

    def _inflate(payload, most):
        try:
            return memoryview(zlib.decompressobj(-_WINDOW_BITS).decompress(payload, most))
        except zlib.error:
            return b""


def inflate(payload, size):
    """Return the `size` bytes that raw DEFLATE data with a 4 KiB window holds, or None if it holds others.

    Never inflates more than `size` + 1 bytes, whatever the data says.
    """
    block = _inflate(payload, size + 1)
    return block if len(block) == size else None


def sha256(data) -> bytes:
    """Return the 32-byte SHA-256 of a buffer."""
    return hashlib.sha256(data).digest()
