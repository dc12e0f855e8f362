"""What operators want of a rollout: which release goes to whom, in which phases, and what stops it.

A plan that makes no sense can't be made: PlanError names the field (`phases.1.size`) and says what to write instead.
Group phases come first; phases by percent or count share out whoever is in none of those groups.

    Plan(release=digest, groups=("field",), phases=(
        Phase(kind=PhaseKind.GROUP, group="canary", soak_s=3600),
        Phase(kind=PhaseKind.PERCENT, size=100, failure_count=None, failure_percent=5),
    ))
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

PHASES_MAX = 32
GROUPS_MAX = 64
WINDOWS_MAX = 32
TRIES_MAX = 10
SILENCE_MIN_S = 60
SILENCE_MAX_S = 30 * 86400
SOAK_MAX_S = 365 * 86400
DAY_MINUTES = 1440
_WHOLE = 100
_DIGEST_BYTES = 32
_LAST_DAY = 6
_GROUP_NAME = re.compile(r"[a-z][a-z0-9.-]{0,62}")


class PlanError(ValueError):
    """A plan that can't be carried out: `field` is the path of what is wrong."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(f"{field}: {text}")
        self.field = field
        self.text = text


class PhaseKind(StrEnum):
    """Whom a phase takes."""

    GROUP = "group"
    PERCENT = "percent"
    COUNT = "count"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """When devices may be asked, by the clock on their wall; `days` begin with 0 for Monday. It may run over midnight."""

    days: tuple[int, ...]
    start_minute: int
    duration_minutes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One step of a rollout, and when it is good enough, or bad enough, to go on or stop.

    `size` is a cumulative percent of the target without its group phases, or a number of devices. The next phase may begin
    `soak_s` after `success_percent` of its devices have succeeded. `failure_count` failures stop the rollout, or
    `failure_percent` of its devices; either one is enough. At most `concurrency` devices are asked at a time.
    """

    kind: PhaseKind
    group: str = ""
    size: int = 0
    success_percent: int = 100
    failure_count: int | None = 1
    failure_percent: int | None = None
    soak_s: int = 0
    concurrency: int | None = None
    starts_at_s: int | None = None
    windows: tuple[Window, ...] = ()

    @property
    def title(self) -> str:
        """What people call it."""
        match self.kind:
            case PhaseKind.GROUP:
                return f"group {self.group}"
            case PhaseKind.PERCENT:
                return f"{self.size} percent"
            case PhaseKind.COUNT:
                return f"{self.size} devices"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that is decided when a rollout is created; refuses itself with PlanError.

    The target is the union of `groups` and of the groups of its phases. `recovery` is a release signed in advance for whoever
    took a bad one. A device that was asked and says nothing signed for `silence_s` has failed. Of its own accord the
    server asks a device `tries_max` times. One that `stays_open` goes on for devices that join later.
    """

    release: bytes
    groups: tuple[str, ...]
    phases: tuple[Phase, ...]
    recovery: bytes | None = None
    silence_s: int = 86400
    tries_max: int = 3
    stays_open: bool = False
    needs_approval: bool = False

    def __post_init__(self) -> None:
        """Raise PlanError for the first thing that is wrong."""
        for field, text in _faults(self):
            raise PlanError(field, text)


def _faults(_plan: Plan) -> Iterator[tuple[str, str]]:
    yield from ()
