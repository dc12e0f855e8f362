"""Maintenance windows by the clock on the wall: over midnight, and on the days on which the clock is changed."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pawl_server.domain.plan import Window
from pawl_server.domain.windows import is_open, known_zone, next_opening_s

BERLIN = "Europe/Berlin"
DAILY = tuple(range(7))


def _window(start, minutes, days=DAILY):
    hour, minute = start.split(":")
    return Window(days=days, start_minute=int(hour) * 60 + int(minute), duration_minutes=minutes)


def _utc(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


NIGHT = _window("02:00", 120)


@pytest.mark.parametrize(
    ("window", "zone", "now", "is_inside"),
    [
        (NIGHT, "UTC", "2026-06-01T01:59:59", False),
        (NIGHT, "UTC", "2026-06-01T02:00:00", True),
        (NIGHT, "UTC", "2026-06-01T03:59:59", True),
        (NIGHT, "UTC", "2026-06-01T04:00:00", False),
        (NIGHT, BERLIN, "2026-06-01T00:00:00", True),  # summer
        (NIGHT, BERLIN, "2026-06-01T02:00:00", False),
        (NIGHT, BERLIN, "2026-12-01T01:00:00", True),  # winter
        (NIGHT, BERLIN, "2026-12-01T00:59:59", False),
        (NIGHT, "Asia/Kolkata", "2026-06-01T20:30:00", True),
        (_window("23:00", 120, (4,)), "UTC", "2026-06-05T23:30:00", True),  # Friday
        (_window("23:00", 120, (4,)), "UTC", "2026-06-06T00:59:59", True),  # over midnight
        (_window("23:00", 120, (4,)), "UTC", "2026-06-06T01:00:00", False),
        (_window("23:00", 120, (4,)), "UTC", "2026-06-05T00:30:00", False),
        (_window("23:59", 1440, (6,)), "UTC", "2026-06-08T23:58:59", True),
        (NIGHT, BERLIN, "2026-03-29T00:59:59", False),  # 01:59, then the clock jumps to 03:00
        (NIGHT, BERLIN, "2026-03-29T01:00:00", True),
        (NIGHT, BERLIN, "2026-03-29T01:59:59", True),
        (NIGHT, BERLIN, "2026-03-29T02:00:00", False),
        (NIGHT, BERLIN, "2026-10-25T00:00:00", True),  # 02:00 for the first time
        (NIGHT, BERLIN, "2026-10-25T01:00:00", True),  # and again
        (NIGHT, BERLIN, "2026-10-25T02:59:59", True),
        (NIGHT, BERLIN, "2026-10-25T03:00:00", False),
    ],
)
def test_when_a_window_is_open(window, zone, now, is_inside):
    """To the second."""
    assert is_open((window,), zone, _utc(now)) is is_inside


@pytest.mark.parametrize(
    ("window", "zone", "now", "following"),
    [
        (NIGHT, "UTC", "2026-06-01T02:30:00", "2026-06-01T02:30:00"),
        (NIGHT, "UTC", "2026-06-01T04:00:00", "2026-06-02T02:00:00"),
        (NIGHT, BERLIN, "2026-06-01T02:00:00", "2026-06-02T00:00:00"),
        (_window("02:00", 60, (0,)), "UTC", "2026-06-01T03:00:00", "2026-06-08T02:00:00"),
        (NIGHT, BERLIN, "2026-03-28T12:00:00", "2026-03-29T01:00:00"),  # where the clock jumps
        (_window("02:30", 45), BERLIN, "2026-03-29T00:00:00", "2026-03-29T01:00:00"),
        (_window("02:00", 30), BERLIN, "2026-03-28T12:00:00", "2026-03-30T00:00:00"),  # lost that day
        (_window("02:30", 15, (6,)), BERLIN, "2026-03-23T00:00:00", "2026-04-05T00:30:00"),
        (_window("02:00", 30), BERLIN, "2026-10-25T00:30:00", "2026-10-25T01:00:00"),  # once more
        (_window("01:30", 60), BERLIN, "2026-10-25T00:30:00", "2026-10-25T01:00:00"),
    ],
)
def test_when_it_opens_next(window, zone, now, following):
    """Now, if it is open."""
    assert next_opening_s((window,), zone, _utc(now)) == _utc(following)


def test_without_windows_it_is_always_open():
    """Also for a device whose zone nobody knows."""
    assert is_open((), "", 0)
    assert next_opening_s((), "", 5) == 5


@given(
    start=st.integers(0, 1439),
    minutes=st.integers(30, 1440),
    days=st.sets(st.integers(0, 6), min_size=1),
    zone=st.sampled_from(["UTC", BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    minute=st.integers(0, 366 * 1440),
)
def test_the_next_opening_is_the_first(start, minutes, days, zone, minute):
    """It is open then, wasn't the second before, and isn't at any quarter of an hour up to then."""
    windows = (Window(days=tuple(sorted(days)), start_minute=start, duration_minutes=minutes),)
    now_s = _utc("2026-01-01T00:00:00") + minute * 60
    found_s = next_opening_s(windows, zone, now_s)
    assert is_open(windows, zone, found_s)
    assert found_s == now_s or not is_open(windows, zone, found_s - 1)
    assert not any(is_open(windows, zone, at_s) for at_s in range(now_s, found_s, 900))
    wall = datetime.fromtimestamp(found_s, ZoneInfo(zone))
    assert days & {wall.weekday(), (wall - timedelta(days=1)).weekday()}


@pytest.mark.parametrize(
    "zone", ["", "Mars/Olympus", "Europe", "../etc/passwd", "localtime", "europe/berlin", "UTC\0"]
)
def test_an_unknown_zone(zone):
    """It is refused by the name of its field; a folder or file is none."""
    assert not known_zone(zone)
    with pytest.raises(ValueError, match=r"^timezone: .* is no IANA time zone: write one such as"):
        is_open((NIGHT,), zone, 0)
    with pytest.raises(ValueError, match=r"^timezone: "):
        next_opening_s((NIGHT,), zone, 0)


def test_known_zones():
    """Places and UTC."""
    assert all(known_zone(zone) for zone in ("UTC", BERLIN, "America/Argentina/Buenos_Aires"))
