"""Names of reason and event codes, for hosts only: a device sends numbers and never imports this file.

The names are those of `codes`, so that no second list can fall out of step: `REASON_SEQUENCE_LOW` reads `sequence-low`.

    assert reason_name(44) == "sequence-low"
"""

from pawl import codes


def _names_of(prefix):
    """Return {code: name} of the constants in `codes` that begin with the prefix."""
    return {
        getattr(codes, name): name[len(prefix) :].lower().replace("_", "-")
        for name in dir(codes)
        if name.startswith(prefix)
    }


_REASONS = _names_of("REASON_")
_EVENTS = _names_of("EVENT_")


def reason_name(code) -> str:
    """Return the name of a reason; one of a newer agent reads `reason-<number>`."""
    return _REASONS.get(code) or "reason-%d" % code


def reason_code(name):
    """Return the code of a reason's name, or None."""
    for code in _REASONS:
        if _REASONS[code] == name:
            return code
    return None


def event_name(code) -> str:
    """Return the name of a report's event; one of a newer agent reads `event-<number>`."""
    return _EVENTS.get(code) or "event-%d" % code


def role_name(role):
    """Return the name of an image role, such as `app-release`."""
    return _names_of("ROLE_")[role]
