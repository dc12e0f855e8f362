"""When a device is left alone: after so many final failures in a row, over rollouts, until people or a success clear it."""

QUARANTINE_FAILURES = 3


def is_quarantined(failures: int) -> bool:
    """Return whether rollouts don't take a device that failed so often in a row."""
    return failures >= QUARANTINE_FAILURES
