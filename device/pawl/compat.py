"""What differs between MicroPython and CPython, in one place.

Refuses to grow: only names that the rest of the package needs on both interpreters.
"""

try:
    from micropython import const  # type: ignore[assignment]
except ImportError:

    def const(value):
        """Return the value: only MicroPython's compiler folds constants."""
        return value


import hashlib


def sha256(data) -> bytes:
    """Return the 32-byte SHA-256 of a buffer."""
    return hashlib.sha256(data).digest()
