"""Log lines about refused messages, at a bounded rate: repeats are merged. They are counted elsewhere, every one."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pawl_server.events import Event, MessageRefused

_log = logging.getLogger(__name__)

WINDOW_S = 60.0


@dataclass(slots=True)
class _Window:
    """When the line was logged, and how often the same came since."""

    began_s: float
    repeats: int = 0


class RefusalLog:
    """At most one line a minute about each device and reason; `clock` gives seconds and may be any that rises."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._windows: dict[MessageRefused, _Window] = {}

    def take(self, events: Iterable[Event]) -> None:
        """Log the refusals among these events, or count them as repeats."""
        for event in events:
            if isinstance(event, MessageRefused):
                self._note(event)

    def sweep(self) -> None:
        """Log what was repeated within windows that are over, and forget those that were quiet."""
        now_s = self._clock()
        for refused, window in list(self._windows.items()):
            if now_s - window.began_s < WINDOW_S:
                continue
            del self._windows[refused]
            if window.repeats:
                self._windows[refused] = _Window(now_s)
                _write(refused, window.repeats)

    def _note(self, refused: MessageRefused) -> None:
        window = self._windows.get(refused)
        now_s = self._clock()
        if window is not None and now_s - window.began_s < WINDOW_S:
            window.repeats += 1
            return
        self._windows[refused] = _Window(now_s)
        _write(refused, 1 + (window.repeats if window else 0))


def _write(refused: MessageRefused, count: int) -> None:
    _log.warning(
        "refused %s of %s: %s (%d times)",
        refused.where,
        refused.device or "nobody known",
        refused.reason,
        count,
    )
