"""A release that goes to devices in phases, stops by itself when too many fail, and takes itself back; pure.

`step` looks at how far the devices are and says what has to be done now. It remembers nothing but the rollout itself: done
twice, cut anywhere, or done by another process after a crash, it leads to the same end.

    for action in step(rollout, counts, now_s): ...

Counts and actions belong in one transaction. Any number of the actions from the first one on may be carried out, and each
for some of its devices only: the next step finds the rest. What a phase needs to begin is in `docs/architecture.md`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from pawl_server.domain.plan import Plan


class RolloutState(StrEnum):
    """What a rollout does; `CANCELLED` and `ROLLED_BACK` are ends, and `DONE` is one until its failed devices are retried."""

    AWAITING = "awaiting-approval"
    RUNNING = "running"
    PAUSED = "paused"
    ROLLING_BACK = "rolling-back"
    ROLLED_BACK = "rolled-back"
    DONE = "done"
    CANCELLED = "cancelled"


class RolloutEvent(StrEnum):
    """What moves a rollout: all but the last two come from operators, those from `step`."""

    APPROVE = "approve"
    REJECT = "reject"
    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"
    ROLL_BACK = "roll-back"
    CANCEL = "cancel"
    FAILURE = "failure"
    COMPLETION = "completion"


FINAL_STATES = frozenset({RolloutState.DONE, RolloutState.ROLLED_BACK, RolloutState.CANCELLED})


class RolloutStateError(Exception):
    """A rollout in this state can't do that; nothing was changed."""


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
class Rollout:
    """What its rows say; `reason` says why it is in its state."""

    id: int
    name: str
    plan: Plan
    phase_states: tuple[PhaseState, ...]
    created_at_s: int
    changed_at_s: int
    state: RolloutState = RolloutState.RUNNING
    reason: str = ""

    @property
    def phase(self) -> int:
        """The newest phase that has begun, -1 before the first."""
        return sum(state.began_at_s is not None for state in self.phase_states) - 1


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


@dataclass(frozen=True, slots=True)
class Ask:
    """Assign the release to so many devices of a phase that are ready."""

    phase: int
    limit: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Stop those devices of a phase that are open, where they are."""

    phase: int


@dataclass(frozen=True, slots=True)
class HoldOutside:
    """Stop those devices of a phase that are open while their window is closed."""

    phase: int


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Take the release back from those devices of a phase that are as far as one of `whom`."""

    phase: int
    whom: tuple[Progress, ...] = UNSETTLED


@dataclass(frozen=True, slots=True)
class Recover:
    """Assign the recovery release to those devices of a phase that have succeeded."""

    phase: int


@dataclass(frozen=True, slots=True)
class Become:
    """Keep the rollout as it is here."""

    rollout: Rollout


Action = Ask | Hold | HoldOutside | Withdraw | Recover | Become


def begin(plan: Plan, *, rollout_id: int, name: str, now_s: int) -> Rollout:
    """Return a new rollout: it runs, or awaits approval if its plan says so."""
    return Rollout(
        id=rollout_id,
        name=name,
        plan=plan,
        phase_states=tuple(PhaseState() for _ in plan.phases),
        created_at_s=now_s,
        changed_at_s=now_s,
        state=RolloutState.AWAITING if plan.needs_approval else RolloutState.RUNNING,
    )


def follow(
    rollout: Rollout,
    event: RolloutEvent,
    now_s: int,
    reason: str = "",
    counts: Sequence[PhaseCounts] = (),
) -> Rollout:
    """Return the rollout after an event; raises RolloutStateError where the table has no answer.

    RESUME and RETRY need the counts: they forgive the failures that are left once the command was carried out at the devices.
    """
    raise NotImplementedError


def step(rollout: Rollout, counts: Sequence[PhaseCounts], now_s: int) -> list[Action]:
    """Return what has to be done now, in this order; nothing if all is as it must be."""
    return _STEPS[rollout.state](rollout, counts, now_s)


_STEPS: dict[RolloutState, Callable[[Rollout, Sequence[PhaseCounts], int], list[Action]]] = {}
