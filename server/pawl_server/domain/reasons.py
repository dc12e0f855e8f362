"""Reasons that only the server gives, beside those that devices report; their numbers are far above those of the wire."""

from pawl import names

# An open device said nothing signed for as long as its plan allows.
SILENT = 1000

_NAMES = {SILENT: "silent"}


def reason_name(reason: int) -> str:
    """Return the name of a reason; one of a newer agent reads `reason-<number>`."""
    return _NAMES.get(reason) or names.reason_name(reason)
