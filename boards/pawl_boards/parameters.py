"""The page of RAM that an emulator fills before a board's first instruction: heap size, entropy, watchdog.

Little endian words: magic, heap bytes (0: the memory map's default), 8 words of entropy,
seconds of the watchdog (0: the memory map's; only less than that counts).
"""

import secrets
import struct

MAGIC = 0x4C574150  # "PAWL"
ENTROPY_BYTES = 32


def fresh(heap_bytes: int, watchdog_s: int = 0) -> bytes:
    """Return the page's content with entropy that no start had before."""
    return struct.pack("<II", MAGIC, heap_bytes) + secrets.token_bytes(ENTROPY_BYTES) + struct.pack("<I", watchdog_s)
