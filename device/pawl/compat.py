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

# `_inflate_into(payload, block)` fills the block; returns how many bytes it wrote, or -1 for bad data.
try:
    # It needs no memory but the block.
    from _pawl_native import inflate as _inflate_into  # pyright: ignore[reportMissingImports]  # some boards have it
except ImportError:
    try:
        import deflate

        def _inflate_into(payload, block):  # pyright: ignore[reportRedeclaration]
            stream = io.BytesIO(payload)
            try:
                got = deflate.DeflateIO(stream, deflate.RAW, _WINDOW_BITS).readinto(block)
            except (OSError, EOFError):
                return -1
            return -1 if stream.read(1) else got  # pyright: ignore[reportAttributeAccessIssue]  # the stubs lack it

    except ImportError:
        import zlib

        def _inflate_into(payload, block):
            stream = zlib.decompressobj(-_WINDOW_BITS)
            try:
                content = stream.decompress(payload, len(block))
            except zlib.error:
                return -1
            block[: len(content)] = content
            return len(content) if stream.eof and not stream.unused_data else -1


def inflate(payload, size, room=None):
    """Return the `size` bytes that raw DEFLATE data with a 4 KiB window holds, or None if it holds others, has no end,
    or goes on behind it.

    Never inflates more than `size` + 1 bytes, whatever the data says; `room` is a buffer of as many, if there is one.
    """
    block = memoryview(bytearray(size + 1) if room is None else room)[: size + 1]
    return block[:size] if _inflate_into(payload, block) == size else None


def sha256(data) -> bytes:
    """Return the 32-byte SHA-256 of a buffer."""
    return hashlib.sha256(data).digest()
