"""When a device may be asked: maintenance windows by the clock on its wall; pure.

A window of 02:00 to 04:00 is that on the clock of the device's zone, summer and winter. On the day on which the clock
jumps forward, what it leaves out of a window is lost; on the day on which it goes back, what it repeats counts twice.
"""

from collections.abc import Sequence

from pawl_server.domain.plan import Window


def known_zone(zone: str) -> bool:
    """Return whether this names an IANA time zone, such as Europe/Berlin."""
    raise NotImplementedError


def is_open(windows: Sequence[Window], zone: str, now_s: int) -> bool:
    """Return whether one of the windows is open; no windows are always open. ValueError names `timezone` if unknown."""
    raise NotImplementedError


def next_opening_s(windows: Sequence[Window], zone: str, now_s: int) -> int:
    """Return when the next window opens, `now_s` if one is open."""
    raise NotImplementedError
