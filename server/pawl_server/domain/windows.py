"""When a device may be asked: maintenance windows by the clock on its wall; pure.

A window from 02:00 to 04:00 is that on the clock of the device's zone, summer and winter. On the day on which the clock
jumps forward, what it leaves out of a window is lost; on the day on which it goes back, what it repeats counts twice.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from pawl_server.domain.plan import Window

# A weekly window may fall into an hour that the clock leaves out: then the next one is two weeks away.
_AHEAD_DAYS = 16
# What the machine takes for its own time, which says nothing of a device's.
_NO_PLACE = frozenset({"localtime", "Factory"})


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones()) - _NO_PLACE


def known_zone(zone: str) -> bool:
    """Return whether this names an IANA time zone, such as Europe/Berlin."""
    return zone in _zones()


def is_open(windows: Sequence[Window], zone: str, now_s: int) -> bool:
    """Return whether one of the windows is open; no windows are always open. ValueError for an unknown zone."""
    return not windows or _is_open(windows, _zone_of(zone), now_s)


def next_opening_s(windows: Sequence[Window], zone: str, now_s: int) -> int:
    """Return when the next window opens, `now_s` if one is open. ValueError for an unknown zone."""
    if is_open(windows, zone, now_s):
        return now_s
    place = _zone_of(zone)
    found = (
        at_s
        for at_s in sorted(set(_turns(windows, place, now_s)))
        if at_s > now_s and _is_open(windows, place, at_s)
    )
    return next(found)


def _zone_of(zone: str) -> ZoneInfo:
    if not known_zone(zone):
        raise ValueError(f"timezone: {zone!r} is no IANA time zone: write one such as Europe/Berlin or UTC")
    return ZoneInfo(zone)


def _is_open(windows: Sequence[Window], place: ZoneInfo, now_s: int) -> bool:
    wall = _wall(place, now_s)
    return any(_covers(window, wall) for window in windows)


def _wall(place: ZoneInfo, at_s: int) -> datetime:
    return datetime.fromtimestamp(at_s, place).replace(tzinfo=None)


def _covers(window: Window, wall: datetime) -> bool:
    """Look at the window of this day and at that of the day before, which may have run over midnight."""
    return any(
        day.weekday() in window.days
        and timedelta() <= wall - _start(window, day) < timedelta(minutes=window.duration_minutes)
        for day in (wall.date(), wall.date() - timedelta(days=1))
    )


def _start(window: Window, day: date) -> datetime:
    return datetime.combine(day, time()) + timedelta(minutes=window.start_minute)


def _turns(windows: Sequence[Window], place: ZoneInfo, now_s: int) -> Iterator[int]:
    """Yield the moments at which a window may open: its start, read once or twice, and where the clock is changed."""
    today = _wall(place, now_s).date()
    for ahead in range(-1, _AHEAD_DAYS):
        day = today + timedelta(days=ahead)
        for window in windows:
            start = _start(window, day)
            yield from (_moment(start, place, fold) for fold in (0, 1))
        yield from _change(place, day)


def _moment(wall: datetime, place: ZoneInfo, fold: int) -> int:
    return int(wall.replace(tzinfo=place, fold=fold).timestamp())


def _change(place: ZoneInfo, day: date) -> Iterator[int]:
    """Yield the second of this day at which the clock is changed, if it is."""
    low, high = (_moment(datetime.combine(one, time()), place, 0) for one in (day, day + timedelta(days=1)))
    before = _offset(place, low)
    if before == _offset(place, high):
        return
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset(place, middle) == before else (low, middle)
    yield high


def _offset(place: ZoneInfo, at_s: int) -> timedelta:
    return _wall(place, at_s) - datetime.fromtimestamp(at_s, UTC).replace(tzinfo=None)
