"""Which releases couldn't be published lately, and why: so that a pass every other second doesn't read them each time.

A release is tried again after a while, and at once when it was imported again or another anchor judges.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from pawl.errors import PawlError
from pawl_server.judges import DisagreementError

_log = logging.getLogger(__name__)

AGAIN_S = 60

# What is wrong with a release, not with the link or the database.
UNUSABLE = (PawlError, DisagreementError, FileNotFoundError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """A release can't be published; `reason` is for people."""

    reason: str


class Faults:
    """Remembers by release and by the version of the anchor that judged it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._held: dict[tuple[bytes, int], tuple[float, Unusable]] = {}

    def known(self, digest: bytes, version: int) -> Unusable | None:
        """Return what was wrong lately; None if the release should be tried."""
        until_s, found = self._held.get((digest, version), (0.0, None))
        return found if self._clock() < until_s else None

    def keep(self, digest: bytes, version: int, error: Exception) -> Unusable:
        """Remember for a while what is wrong, and log it."""
        found = Unusable(reason=reason_of(error))
        _log.warning("release %s can't be published: %s", digest.hex(), found.reason)
        self._held[digest, version] = (self._clock() + AGAIN_S, found)
        return found

    def forget(self, digest: bytes) -> None:
        """Let a release be tried again at once."""
        self._held = {key: held for key, held in self._held.items() if key[0] != digest}


def reason_of(error: Exception) -> str:
    """Return what is wrong with a release, and what to do where that isn't plain."""
    if isinstance(error, FileNotFoundError):
        return "its file is gone: import the release again"
    return str(error)
