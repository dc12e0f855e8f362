"""A record in flash: magic, length, body, SHA-256 of all three; valid as a whole or not there at all."""

from pawl import codes
from pawl.compat import const, sha256
from pawl.errors import StorageError

OVERHEAD_BYTES = const(40)
_HEAD = const(8)


def write(region, offset, magic, body):
    """Program a record at an erased place; `magic` is 4 bytes."""
    head = magic + len(body).to_bytes(4, "big")
    raw = head + bytes(body)
    region.program(offset, raw + sha256(raw))


def read(region, offset, magic, room):
    """Return the body of the record at `offset` as a copy, or None if there is no valid one within `room` bytes."""
    head = region.view(offset, _HEAD)
    size = int.from_bytes(head[4:], "big")
    if head[:4] != magic or size > room - OVERHEAD_BYTES:
        return None
    raw = bytes(region.view(offset, _HEAD + size + 32))
    if sha256(raw[:-32]) != raw[-32:]:
        return None
    return raw[_HEAD:-32]


def replace(region, magic, body):
    """Make a region hold one record, written over whatever was there."""
    if len(body) > region.size - OVERHEAD_BYTES:
        raise StorageError(codes.REASON_FLASH_RANGE, "record is larger than its region")
    region.erase()
    write(region, 0, magic, body)


def load(region, magic):
    """Return the body of the one record of a region, or None."""
    return read(region, 0, magic, region.size)
