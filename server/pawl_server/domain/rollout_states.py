"""The states of a rollout and what moves it from one to another: one table; pure.

after = follow(rollout, RolloutEvent.PAUSE, now_s, "paused by an operator")
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from pawl_server.domain.plan import Plan
from pawl_server.domain.progress import PhaseCounts, PhaseState, Progress


class RolloutState(StrEnum):
    """What a rollout does; `CANCELLED` is an end, `DONE` and `ROLLED_BACK` are until those that failed are retried."""

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


GOING_BACK = frozenset({RolloutState.ROLLING_BACK, RolloutState.ROLLED_BACK})
FINAL_STATES = frozenset({RolloutState.DONE, RolloutState.ROLLED_BACK, RolloutState.CANCELLED})

_AWAITING, _RUNNING, _PAUSED, _ROLLING_BACK, _ROLLED_BACK, _DONE, _CANCELLED = RolloutState

# A state that repeats itself makes a command idempotent; a pair that isn't here is refused. A failure of a rollout that has a
# recovery release is answered as ROLL_BACK is.
TRANSITIONS: dict[RolloutState, dict[RolloutEvent, RolloutState]] = {
    _AWAITING: {
        RolloutEvent.APPROVE: _RUNNING,
        RolloutEvent.REJECT: _CANCELLED,
        RolloutEvent.CANCEL: _CANCELLED,
    },
    _RUNNING: {
        RolloutEvent.APPROVE: _RUNNING,
        RolloutEvent.PAUSE: _PAUSED,
        RolloutEvent.RESUME: _RUNNING,
        RolloutEvent.RETRY: _RUNNING,
        RolloutEvent.ROLL_BACK: _ROLLING_BACK,
        RolloutEvent.CANCEL: _CANCELLED,
        RolloutEvent.FAILURE: _PAUSED,
        RolloutEvent.COMPLETION: _DONE,
    },
    _PAUSED: {
        RolloutEvent.PAUSE: _PAUSED,
        RolloutEvent.RESUME: _RUNNING,
        RolloutEvent.RETRY: _RUNNING,
        RolloutEvent.ROLL_BACK: _ROLLING_BACK,
        RolloutEvent.CANCEL: _CANCELLED,
        RolloutEvent.COMPLETION: _DONE,
    },
    _ROLLING_BACK: {
        RolloutEvent.RETRY: _ROLLING_BACK,
        RolloutEvent.ROLL_BACK: _ROLLING_BACK,
        RolloutEvent.CANCEL: _CANCELLED,
        RolloutEvent.COMPLETION: _ROLLED_BACK,
    },
    _ROLLED_BACK: {
        RolloutEvent.RETRY: _ROLLING_BACK,
        RolloutEvent.ROLL_BACK: _ROLLED_BACK,
    },
    _DONE: {
        RolloutEvent.RETRY: _RUNNING,
        RolloutEvent.ROLL_BACK: _ROLLING_BACK,
    },
    _CANCELLED: {
        RolloutEvent.REJECT: _CANCELLED,
        RolloutEvent.CANCEL: _CANCELLED,
    },
}


class RolloutStateError(Exception):
    """A rollout in this state can't do that; nothing was changed."""


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

    What brings a rollout back to RUNNING needs the counts, as they are once the command was carried out at the devices: the
    failures that are left are forgiven. ValueError without them.
    """
    following = _following(rollout, event)
    if following == rollout.state:
        return rollout
    moved = replace(rollout, state=following, reason=reason, changed_at_s=now_s)
    return _forgive(moved, counts) if following is RolloutState.RUNNING and event in _FORGIVING else moved


_FORGIVING = (RolloutEvent.RESUME, RolloutEvent.RETRY)


def _following(rollout: Rollout, event: RolloutEvent) -> RolloutState:
    has_recovery = rollout.plan.recovery is not None
    asked = RolloutEvent.ROLL_BACK if event is RolloutEvent.FAILURE and has_recovery else event
    following = TRANSITIONS[rollout.state].get(asked)
    if following is None:
        raise RolloutStateError(f"rollout {rollout.name} is {rollout.state}: it can't {event} any more")
    if following is RolloutState.ROLLING_BACK and not has_recovery:
        raise RolloutStateError(
            f"rollout {rollout.name} names no recovery release: cancel it, and roll out a release that mends this one"
        )
    return following


def _forgive(rollout: Rollout, counts: Sequence[PhaseCounts]) -> Rollout:
    states = [
        replace(state, forgiven=one.of(Progress.FAILED))
        for state, one in zip(rollout.phase_states, counts, strict=True)
    ]
    return replace(rollout, phase_states=tuple(states))
