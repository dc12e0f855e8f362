"""How many messages of one sender are taken in a time: bursts as a fleet makes them, but no storm.

Kept in memory, by sender: who restarts the server gains one burst more.

    rate = Rate(burst=20, a_second=1)
    if not rate.take("bench-1", now_s): ...   # too many
"""

from collections.abc import Callable, Iterable
from typing import TypeAlias

# A hello costs a signature. A device says it anew after 4 s at the earliest, and again if it gets no answer.
HELLO_BURST = 20
# Reports aren't said again, so those of a device that fails for a night while the server is away must all be taken.
REPORT_BURST = 200
_A_SECOND = 1
CANDIDATE_BURST = 200
CANDIDATES_A_SECOND = 20
_ANYBODY = ""
_SWEEP_MIN = 1024

_State: TypeAlias = dict[str, float | None]
LimitsState: TypeAlias = tuple[_State, _State, _State]


class Rate:
    """A token bucket for each sender; `now_s` is of any clock that doesn't go back.

    What is kept is the moment at which a bucket is full again: one that is full now needs no row.
    """

    def __init__(self, *, burst: int, a_second: float) -> None:
        self._interval_s = 1 / a_second
        self._room_s = (burst - 1) * self._interval_s
        self._full_at_s: dict[str, float] = {}
        self._sweep_at = _SWEEP_MIN

    def take(self, sender: str, now_s: float) -> bool:
        """Return whether one more message of the sender may be taken, and count it if so."""
        full_at_s = max(self._full_at_s.get(sender, now_s), now_s)
        if full_at_s - now_s > self._room_s:
            return False
        self._full_at_s[sender] = full_at_s + self._interval_s
        if len(self._full_at_s) >= self._sweep_at:
            self._sweep(now_s)
        return True

    def state_of(self, senders: Iterable[str]) -> _State:
        """Return what `restore` takes to count nothing of what these senders send from now on."""
        return {sender: self._full_at_s.get(sender) for sender in senders}

    def restore(self, state: _State) -> None:
        """Go back to a state: what was taken since will come again."""
        for sender, full_at_s in state.items():
            if full_at_s is None:
                self._full_at_s.pop(sender, None)
            else:
                self._full_at_s[sender] = full_at_s

    def _sweep(self, now_s: float) -> None:
        self._full_at_s = {sender: at_s for sender, at_s in self._full_at_s.items() if at_s > now_s}
        self._sweep_at = max(_SWEEP_MIN, 2 * len(self._full_at_s))


class Limits:
    """How many messages the server takes; an honest device stays far below, and a refused hello comes again."""

    def __init__(self, ticks: Callable[[], float]) -> None:
        self._ticks = ticks
        self._hellos = Rate(burst=HELLO_BURST, a_second=_A_SECOND)
        self._reports = Rate(burst=REPORT_BURST, a_second=_A_SECOND)
        self._candidates = Rate(burst=CANDIDATE_BURST, a_second=CANDIDATES_A_SECOND)

    def take(self, device: str, *, is_report: bool) -> bool:
        """Return whether one more message of an enrolled device may be taken, and count it if so."""
        return (self._reports if is_report else self._hellos).take(device, self._ticks())

    def take_candidate(self) -> bool:
        """Return whether one more hello of those who aren't enrolled may be looked at, and count it if so."""
        return self._candidates.take(_ANYBODY, self._ticks())

    def state_of(self, devices: Iterable[str]) -> LimitsState:
        """Return what `restore` takes."""
        names = list(devices)
        return (
            self._hellos.state_of(names),
            self._reports.state_of(names),
            self._candidates.state_of([_ANYBODY]),
        )

    def restore(self, state: LimitsState) -> None:
        """Count nothing of what was taken since: it comes again."""
        for rate, before in zip((self._hellos, self._reports, self._candidates), state, strict=True):
            rate.restore(before)
