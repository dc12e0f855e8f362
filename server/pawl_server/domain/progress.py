"""How far the devices of a rollout are, one by one and counted by phase."""

from dataclasses import dataclass, field
from enum import StrEnum


class Progress(StrEnum):
    """How far a device of a rollout is.

    `WAITING` wasn't asked, or waits to be asked again; `DISPLACED` was assigned another release since; `WITHDRAWN` isn't
    asked any more, because its rollout was cancelled or goes back.
    """

    WAITING = "waiting"
    OPEN = "open"
    HELD = "held"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DISPLACED = "displaced"
    WITHDRAWN = "withdrawn"
    RECOVERING = "recovering"
    RECOVERED = "recovered"
    UNRECOVERED = "unrecovered"


FINAL_PROGRESS = frozenset(
    {
        Progress.SUCCEEDED,
        Progress.FAILED,
        Progress.DISPLACED,
        Progress.WITHDRAWN,
        Progress.RECOVERED,
        Progress.UNRECOVERED,
    }
)
# Whom a running rollout asks to install, if they are ready.
ASKABLE = (Progress.WAITING, Progress.HELD)
# Who was asked to install and hasn't answered.
UNSETTLED = (Progress.OPEN, Progress.HELD)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseState:
    """How far a phase is; `forgiven` failures were seen by an operator who let it go on."""

    began_at_s: int | None = None
    passed_at_s: int | None = None
    forgiven: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseCounts:
    """How many devices of a phase are how far.

    `ready` wait or are held, and may be asked now: their backoff is over and their window open. `outside` are open, and
    their window has closed. `trouble` is the first failed device and its reason.
    """

    counts: dict[Progress, int] = field(default_factory=dict)
    ready: int = 0
    outside: int = 0
    trouble: str = ""

    def of(self, *progress: Progress) -> int:
        """Return how many devices are as far as one of these."""
        return sum(self.counts.get(one, 0) for one in progress)

    @property
    def members(self) -> int:
        """How many devices count: all that are still this rollout's."""
        return self.of(*Progress) - self.of(Progress.DISPLACED, Progress.WITHDRAWN)

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to wait for."""
        return self.of(*Progress) == self.of(*FINAL_PROGRESS)
