"""Whether a device that failed is asked again by itself, and after how long; pure, one table by reason."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Ask it again after so many seconds."""

    backoff_s: int


@dataclass(frozen=True, slots=True)
class Final:
    """Don't ask it again but by an operator's command."""


def decide(reason: int, tries: int, tries_max: int, device: str) -> RetryAt | Final:
    """Return what follows the failure of a device that was asked `tries` times, this one included."""
    raise NotImplementedError
