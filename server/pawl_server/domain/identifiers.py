"""Vendor and class identifiers: UUID version 5 of names that people can read (suit-manifest §8.4.8.2)."""

import uuid


def vendor_id(text: str) -> bytes:
    """Return the 16 bytes of a vendor given as its domain name, or as a UUID."""
    return uuid_bytes(text) or uuid.uuid5(uuid.NAMESPACE_DNS, text).bytes


def class_id(vendor: bytes, text: str) -> bytes:
    """Return the 16 bytes of a device class given as its name within the vendor, or as a UUID."""
    return uuid_bytes(text) or uuid.uuid5(uuid.UUID(bytes=vendor), text).bytes


def uuid_bytes(text: str) -> bytes | None:
    """Return the 16 bytes of a written UUID, or None of anything else, which is a name."""
    try:
        return uuid.UUID(text).bytes
    except ValueError:
        return None
