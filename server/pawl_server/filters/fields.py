"""The fields of a filter: what each is of a device, and what may be asked of it."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

TAG_PREFIX: Final = "tag."
_TAG_KEY = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_UINT32_MAX = 2**32 - 1
_UINT64_MAX = 2**64 - 1
_PARTITION_MAX = 63

_EQUALITY = ("==", "!=")
_ORDER = ("<", "<=", ">", ">=")
_LISTS = ("in", "not in")


class Kind(StrEnum):
    """What the values of a field are, as a message says it."""

    TEXT = 'a text, such as "bench-1"'
    VENDOR = 'a domain name or UUID, such as "example.com"'
    CLASS = 'a class name or UUID, such as "esp32"'
    VERSION = 'a version, such as "1.4" or "1.4-rc.1"'
    NUMBER = "a number"
    SLOT = '"A", "B" or "recovery"'
    FLAG = "true or false"
    SPAN = 'a time, such as "90s", "15m", "36h" or "3d"'


OPERATORS: Final = {
    Kind.TEXT: (*_EQUALITY, *_LISTS, "like"),
    Kind.VENDOR: (*_EQUALITY, *_LISTS),
    Kind.CLASS: (*_EQUALITY, *_LISTS),
    Kind.VERSION: (*_EQUALITY, *_ORDER, *_LISTS),
    Kind.NUMBER: (*_EQUALITY, *_ORDER, *_LISTS),
    Kind.SLOT: (*_EQUALITY, *_LISTS),
    Kind.FLAG: _EQUALITY,
    # Of a clock that runs, nobody means one second.
    Kind.SPAN: _ORDER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """What may be asked of one field; `limit` is the largest number that it can be."""

    name: str
    kind: Kind
    limit: int = 0

    @property
    def expected(self) -> str:
        """Return what its values look like, for a message."""
        limit = f" from 0 to {self.limit}" if self.kind is Kind.NUMBER else ""
        return f"`{self.name}` is compared with {self.kind.value}{limit}"


FIELDS: Final = {
    field.name: field
    for field in (
        Field(name="id", kind=Kind.TEXT),
        Field(name="vendor", kind=Kind.VENDOR),
        Field(name="class", kind=Kind.CLASS),
        # What the newest signed report says is confirmed.
        Field(name="version", kind=Kind.VERSION),
        # Of the newest release that the device says it confirmed; `sequence` is the counter within the epoch.
        Field(name="sequence", kind=Kind.NUMBER, limit=_UINT32_MAX),
        Field(name="epoch", kind=Kind.NUMBER, limit=_UINT32_MAX),
        Field(name="agent", kind=Kind.TEXT),
        Field(name="slot", kind=Kind.SLOT),
        Field(name="boots", kind=Kind.NUMBER, limit=_UINT64_MAX),
        Field(name="partition", kind=Kind.NUMBER, limit=_PARTITION_MAX),
        Field(name="timezone", kind=Kind.TEXT),
        # How long ago the server last heard of it.
        Field(name="silent_for", kind=Kind.SPAN),
        Field(name="late", kind=Kind.FLAG),
        Field(name="flagged", kind=Kind.FLAG),
        Field(name="quarantined", kind=Kind.FLAG),
    )
}


def find_field(name: str) -> Field | None:
    """Return a field, or the one of a tag; None if there is none of that name."""
    if name.startswith(TAG_PREFIX) and _TAG_KEY.fullmatch(name.removeprefix(TAG_PREFIX)):
        return Field(name=name, kind=Kind.TEXT)
    return FIELDS.get(name)


def field_of(name: str) -> Field:
    """Return the field of an expression, which `parse` made."""
    field = find_field(name)
    if field is None:
        raise AssertionError(f"an expression with a field {name} that there is not")
    return field
