"""For applications: what must hold for the device to be well; is it still looked after; may it be updated now?

    from pawl import health

    health.require(check)   `check()` is asked every second; while it returns anything but True, or raises, the watchdog
                            isn't fed and no trial is confirmed

    health.stale()          True: no offer was accepted for 24 h of uptime (a freeze, or nobody there)
    health.unanswered_s()   uptime since the last one
    health.postpone()       no update for now: one that asks for leave is refused until `allow`
    health.allow()

Decides nothing itself: a stale device keeps running what it runs. The agent says at its start where the time is
known from; before that nothing is stale. What the application says before that counts. A reset ends what it required.
A check is a plain function that returns at once: one that never returns ends as any hang does. It speaks of what a
reset can mend, so not of a server that doesn't answer: for being out of reach the device would reset for ever.
"""

from pawl.compat import const

STALE_S = const(86400)


class _Health:
    """What the agent and the application tell each other."""

    def __init__(self):
        self.unanswered_s = None
        self.is_postponed = False
        self.checks = []
        self.has_turned = False


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


def require(check):
    """Let the health of the device hang on a check of the application, until the next reset."""
    if not callable(check):
        raise TypeError("health.require takes a function that returns True while all is well")
    _health.checks.append(check)


def fault():
    """Ask every check of the application; return in words which one fails, or None.

    Only True is well: a check that forgot to return, or a coroutine function, whose result is an object, is none.
    """
    for check in _health.checks:
        name = getattr(check, "__name__", "of the application")
        try:
            answer = check()
        except Exception as error:
            return "check %s raised %s" % (name, repr(error))
        if answer is not True:
            return "check %s returned %s, not True" % (name, type(answer).__name__)
    return None


def note_turn():
    """Called by the agent: it goes on."""
    _health.has_turned = True


def take_turn() -> bool:
    """Return whether the agent went on since the last call."""
    has_turned, _health.has_turned = _health.has_turned, False
    return has_turned
