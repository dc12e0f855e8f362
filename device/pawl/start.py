"""When a job may begin: not before the delay that its offer asks for, nor while its download keeps losing the link.

The delay keeps a fleet from coming all at once. The backoff keeps one device from trying for ever at full speed: doubling
from 4 s to once a day while no new block comes; a new block, or an offer of another release, ends it. In RAM only: a
reset begins anew.
"""

from pawl.compat import const

_DELAY_MAX_S = const(86400)
_FIRST_S = const(4)
_MOST_S = const(86400)


class Start:
    """The start of the newest offer's job; `clock` gives uptime."""

    def __init__(self, clock):
        self.clock = clock
        self._not_before_s = 0
        self._lost = None  # digest of the release whose download lost the link
        self._pause_s = 0
        self._retry_s = 0

    def accept(self, offer):
        """Begin the delay of an offer that was just accepted."""
        self._not_before_s = self.clock.uptime_s() + min(offer.delay_s or 0, _DELAY_MAX_S)

    def lose(self, digest, has_progress):
        """Say that the link was lost while this release was fetched, with or without a new block."""
        if has_progress or digest != self._lost:
            self._pause_s = 0
        self._lost = digest
        self._pause_s = 0 if has_progress else min(max(_FIRST_S, 2 * self._pause_s), _MOST_S)
        self._retry_s = self.clock.uptime_s() + self._pause_s

    def left_s(self, offers):
        """Return how long the job of the current offer still has to wait."""
        if offers.current is None or not offers.is_job_open:
            return 0
        now_s = self.clock.uptime_s()
        return max(
            0, self._not_before_s - now_s, self._retry_s - now_s if offers.current.digest == self._lost else 0
        )

    def is_backing_off(self):
        """Return whether a download has to wait for the link: then the device goes on checking in."""
        return self._retry_s > self.clock.uptime_s()
