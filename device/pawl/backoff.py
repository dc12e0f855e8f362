"""How long a download that keeps losing the link is put off: doubling from 4 s to once a day, while it gets nowhere.

A new block, or an offer of another release, ends the wait. In RAM only: a reset begins anew.
"""

from pawl.compat import const

_FIRST_S = const(4)
_MOST_S = const(86400)


class Backoff:
    """The wait of one release; times are seconds of uptime."""

    def __init__(self):
        self._digest = None
        self._until_s = 0
        self._pause_s = 0

    def lose(self, digest, has_progress, now_s):
        """Say that the link was lost while this release was fetched, with or without a new block."""
        if has_progress or digest != self._digest:
            self._pause_s = 0
        self._digest = digest
        self._pause_s = 0 if has_progress else min(max(_FIRST_S, 2 * self._pause_s), _MOST_S)
        self._until_s = now_s + self._pause_s

    def left_s(self, digest, now_s):
        """Return how long this release has to wait; 0 for every other."""
        return max(0, self._until_s - now_s) if digest == self._digest else 0
