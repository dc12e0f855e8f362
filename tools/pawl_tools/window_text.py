"""Windows of a rollout's phase as people write them: `mon-fri/22:00-04:00+sat.sun/00:00-00:00`, or `22:00-04:00` on any day."""

import re
from collections.abc import Iterator

from pawl_server.domain.plan import DAY_MINUTES, WINDOWS_MAX, Window
from pawl_tools.pointed import Part

_HOUR_MINUTES = 60
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_EVERY_DAY = tuple(range(len(_DAYS)))
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_A_WINDOW = "a window such as mon-fri/22:00-04:00, sat.sun/00:00-00:00 or 22:00-04:00"


def parse(part: Part) -> tuple[Window, ...]:
    """Return the windows that a part stands for; PointedError says where it is none."""
    windows = tuple(_window(one) for one in part.split("+"))
    if len(windows) > WINDOWS_MAX:
        raise part.refuse(f"at most {WINDOWS_MAX} windows")
    return windows


def _window(part: Part) -> Window:
    days, hours = part.partition("/")
    start, end = (hours or days).partition("-")
    if end is None or (hours is None and start.text in _DAYS):
        raise part.refuse(_A_WINDOW)
    begins, ends = _clock(start), _clock(end)
    return Window(
        days=_EVERY_DAY if hours is None else _days(days),
        start_minute=begins,
        # From 22:00 to 22:00 is a whole day.
        duration_minutes=(ends - begins) % DAY_MINUTES or DAY_MINUTES,
    )


def _clock(part: Part) -> int:
    found = _CLOCK.fullmatch(part.text)
    if found is None:
        raise part.refuse("a time of day such as 22:00")
    return int(found[1]) * _HOUR_MINUTES + int(found[2])


def _days(part: Part) -> tuple[int, ...]:
    days: set[int] = set()
    for stretch in part.split("."):
        first, last = stretch.partition("-")
        begins = _day(first)
        ends = begins if last is None else _day(last)
        # From saturday to monday runs over the week's end.
        days |= {day % len(_DAYS) for day in range(begins, begins + (ends - begins) % len(_DAYS) + 1)}
    return tuple(sorted(days))


def _day(part: Part) -> int:
    if part.text not in _DAYS:
        raise part.refuse(f"a day: {', '.join(_DAYS)}")
    return _DAYS.index(part.text)


def write(windows: tuple[Window, ...]) -> str:
    """Return the text of windows."""
    return "+".join(_written(window) for window in windows)


def _written(window: Window) -> str:
    days = "" if window.days == _EVERY_DAY else ".".join(_stretches(window.days)) + "/"
    end = (window.start_minute + window.duration_minutes) % DAY_MINUTES
    return f"{days}{_written_clock(window.start_minute)}-{_written_clock(end)}"


def _stretches(days: tuple[int, ...]) -> Iterator[str]:
    """Yield days that follow each other as one stretch, if they are three or more."""
    left = list(days)
    while left:
        length = next((at for at, day in enumerate(left) if day != left[0] + at), len(left))
        if length > 2:
            yield f"{_DAYS[left[0]]}-{_DAYS[left[length - 1]]}"
        else:
            yield from (_DAYS[day] for day in left[:length])
        del left[:length]


def _written_clock(minute: int) -> str:
    return f"{minute // _HOUR_MINUTES:02}:{minute % _HOUR_MINUTES:02}"


def body(window: Window) -> dict[str, object]:
    """Return a window as the server's interface has it."""
    days = [_DAYS[day] for day in window.days]
    return {
        "days": days,
        "start": _written_clock(window.start_minute),
        "minutes": window.duration_minutes,
    }
