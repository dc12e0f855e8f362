"""Cursors come back as what was written, and only to the list that wrote them."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pawl_server.api.cursors import NUMBER_MAX, NumberCursor, TextCursor
from pawl_server.errors import InvalidError

DEVICES = TextCursor("devices")
EVENTS = NumberCursor("events")


def _cursor(value):
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).rstrip(b"=").decode()


@given(name=st.from_regex(r"[a-z0-9][a-z0-9.-]{0,62}", fullmatch=True))
def test_names_come_back(name):
    """And nothing of them has to be quoted in a URL."""
    cursor = DEVICES.write(name)
    assert DEVICES.read(cursor) == name
    assert cursor.replace("-", "").replace("_", "").isalnum()


@given(number=st.integers(1, NUMBER_MAX))
def test_numbers_come_back(number):
    """Up to what a column holds."""
    assert EVENTS.read(EVENTS.write(number)) == number


def test_the_first_page_has_no_cursor():
    """It begins before everything."""
    assert (DEVICES.read(""), EVENTS.read("")) == ("", 0)


@pytest.mark.parametrize(
    "cursor",
    [
        "bench-1",
        "A",
        "AAAA",
        "é",
        "====",
        "_" * 256,
        EVENTS.write(1),
        TextCursor("groups").write("bench-1"),
        DEVICES.write("x" * 64),
        _cursor(["devices", ""]),
        _cursor(["devices", 1]),
        _cursor(["devices", None]),
        _cursor(["devices", "é"]),
        _cursor(["devices"]),
        _cursor("devices"),
        _cursor(["devices", ["bench-1"]]),
        DEVICES.write("bench-1") + "=",
        base64.urlsafe_b64encode(b'["devices", "bench-1"]').rstrip(b"=").decode(),
        base64.urlsafe_b64encode(b"[" * 100_000).rstrip(b"=").decode(),
    ],
)
def test_what_the_list_never_gave_is_refused(cursor):
    """By the name of the field."""
    with pytest.raises(InvalidError) as refused:
        DEVICES.read(cursor)
    assert refused.value.field == "after"


@pytest.mark.parametrize("number", [0, -1, NUMBER_MAX + 1, 10**100, 1.0, True, "1"])
def test_a_number_that_no_column_holds_is_refused(number):
    """It would be a fault of the database."""
    with pytest.raises(InvalidError):
        EVENTS.read(_cursor(["events", number]))
