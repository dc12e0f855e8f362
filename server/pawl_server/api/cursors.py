"""Cursors: where the next page begins, as text that says nothing to clients and that only the list which gave it takes.

    found = await inventory.devices(DEVICES.read(after), limit)
    following = DEVICES.write(found[-1].device.name) if len(found) == limit else None

A cursor is base64url of a JSON list: the list's name and the last item's. Anything else is refused as the field `after`.
"""

import base64
import json
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query

from pawl_server.errors import InvalidError

FIELD = "after"
CURSOR_MAX_CHARACTERS = 256
PAGE_MAX = 1000
PAGE_DEFAULT = 100
NUMBER_MAX = 2**63 - 1  # what a column holds

Cursor = Annotated[
    str,
    Query(
        pattern=r"^[A-Za-z0-9_-]*$",
        max_length=CURSOR_MAX_CHARACTERS,
        description="What `next` of the page before said; empty for the first page.",
        json_schema_extra={"format": "cursor"},
    ),
]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX, description="The most items of a page.")]


@dataclass(frozen=True, slots=True)
class TextCursor:
    """Cursors of a list that is in order of names; `limit` is the longest of them."""

    list_name: str
    limit: int = 63

    def write(self, last: str) -> str:
        """Return the cursor that goes on after this item."""
        return _encoded([self.list_name, last])

    def read(self, cursor: str) -> str:
        """Return the item that the page before ended with, empty for the first page; InvalidError for what we never gave."""
        if not cursor:
            return ""
        last = _last(self.list_name, cursor)
        if not isinstance(last, str) or not 0 < len(last) <= self.limit or not last.isascii():
            raise _no_cursor()
        return last


@dataclass(frozen=True, slots=True)
class NumberCursor:
    """Cursors of a list that is in order of numbers from 1 on."""

    list_name: str

    def write(self, last: int) -> str:
        """Return the cursor that goes on after this item."""
        return _encoded([self.list_name, last])

    def read(self, cursor: str) -> int:
        """Return the number that the page before ended with, 0 for the first page; InvalidError for what we never gave."""
        if not cursor:
            return 0
        last = _last(self.list_name, cursor)
        if type(last) is not int or not 0 < last <= NUMBER_MAX:
            raise _no_cursor()
        return last


def _encoded(value: list[Any]) -> str:
    raw = json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _last(list_name: str, cursor: str) -> object:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        value = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        raise _no_cursor() from None
    match value:
        case [name, last] if name == list_name and _encoded([name, last]) == cursor:
            return last
    raise _no_cursor()


def _no_cursor() -> InvalidError:
    return InvalidError(
        FIELD, "this is no cursor of this list: send what `next` of the page before said, or nothing"
    )
