"""For applications: is the device still being looked after, and may it be updated now?

    from pawl import health

    health.stale()          True: no offer was accepted for 24 h of uptime (a freeze, or nobody there)
    health.unanswered_s()   uptime since the last one
    health.postpone()       no update for now: one that asks for leave is refused until `allow`
    health.allow()

Decides nothing itself: a stale device keeps running what it runs. The agent says at its start where the time is
known from; before that nothing is stale. What the application says before that counts.
"""

from pawl.compat import const

STALE_S = const(86400)


class _Health:
    """What the agent and the application tell each other."""

    def __init__(self):
        self.unanswered_s = None
        self.is_postponed = False


_health = _Health()


def watch(unanswered_s):
    """Called by the agent: `unanswered_s()` gives the uptime since an offer was accepted."""
    _health.unanswered_s = unanswered_s


def unanswered_s() -> int:
    """Return the seconds of uptime since the last accepted offer, over resets too."""
    return 0 if _health.unanswered_s is None else _health.unanswered_s()


def stale() -> bool:
    """Return whether no offer was accepted for 24 h of uptime."""
    return unanswered_s() >= STALE_S


def postpone():
    """Object to updates for now; a reset ends it."""
    _health.is_postponed = True


def allow():
    """Object no longer."""
    _health.is_postponed = False


def is_authorised(priority) -> bool:
    """Answer a manifest that asks for leave (update-management, update-authorized); the priority is not weighed."""
    return not _health.is_postponed
