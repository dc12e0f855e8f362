"""A release that goes to devices in phases, stops by itself when too many fail, and takes itself back; pure.

`step` looks at how far the devices are and says what has to be done now. It remembers nothing but the rollout itself: done
twice, cut anywhere, or done by another process after a crash, it leads to the same end.

    for action in step(rollout, counts, now_s): ...

Counts and actions belong in one transaction. Any number of the actions from the first one on may be carried out, and each
for some of its devices only: the next step finds the rest. What a phase needs to begin is in `docs/architecture.md`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from pawl_server.domain import thresholds
from pawl_server.domain.plan import Plan
from pawl_server.domain.progress import (
    ASKABLE,
    FINAL_PROGRESS,
    UNSETTLED,
    PhaseCounts,
    PhaseState,
    Progress,
)

__all__ = [
    "ASKABLE",
    "FINAL_PROGRESS",
    "FINAL_STATES",
    "TRANSITIONS",
    "UNSETTLED",
    "Action",
    "Ask",
    "Become",
    "Hold",
    "HoldOutside",
    "PhaseCounts",
    "PhaseState",
    "Progress",
    "Recover",
    "Rollout",
    "RolloutEvent",
    "RolloutState",
    "RolloutStateError",
    "Withdraw",
    "begin",
    "follow",
    "step",
]


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
        RolloutEvent.ROLL_BACK: _ROLLING_BACK,
        RolloutEvent.CANCEL: _CANCELLED,
        RolloutEvent.COMPLETION: _ROLLED_BACK,
    },
    _ROLLED_BACK: {RolloutEvent.ROLL_BACK: _ROLLED_BACK},
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

    What brings a rollout back to RUNNING needs the counts, as they are once the command was carried out at the devices: the
    failures that are left are forgiven. ValueError without them.
    """
    following = _following(rollout, event)
    if following == rollout.state:
        return rollout
    moved = replace(rollout, state=following, reason=reason, changed_at_s=now_s)
    return _forgive(moved, counts) if event in _FORGIVING else moved


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


def step(rollout: Rollout, counts: Sequence[PhaseCounts], now_s: int) -> list[Action]:
    """Return what has to be done now, in this order; nothing if all is as it must be."""
    return _STEPS[rollout.state](rollout, counts, now_s)


def _run(rollout: Rollout, counts: Sequence[PhaseCounts], now_s: int) -> list[Action]:
    """Stop what fails, else let phases begin, else end, else ask."""
    stop = thresholds.stop_reason(rollout.plan, rollout.phase_states, counts)
    if stop:
        return _become(follow(rollout, RolloutEvent.FAILURE, now_s, stop), counts, now_s)
    marked = _mark(rollout, counts, now_s)
    missed = thresholds.shortfall(rollout.plan, marked.phase_states, counts)
    if missed:
        return _become(follow(marked, RolloutEvent.PAUSE, now_s, missed), counts, now_s)
    if _is_complete(marked, counts):
        return _become(follow(marked, RolloutEvent.COMPLETION, now_s), counts, now_s)
    changed: list[Action] = [] if marked == rollout else [Become(marked)]
    return [*changed, *_ask(marked, counts)]


def _become(rollout: Rollout, counts: Sequence[PhaseCounts], now_s: int) -> list[Action]:
    """Keep the rollout in its new state, and do at once what that one asks for."""
    return [Become(rollout), *step(rollout, counts, now_s)]


def _mark(rollout: Rollout, counts: Sequence[PhaseCounts], now_s: int) -> Rollout:
    """Note which phases pass and begin now: each after the one before it."""
    states: list[PhaseState] = []
    for phase, state, one in zip(rollout.plan.phases, rollout.phase_states, counts, strict=True):
        began_at_s = state.began_at_s
        if began_at_s is None and thresholds.may_begin(rollout.plan, states, now_s):
            began_at_s = now_s
        noted = replace(state, began_at_s=began_at_s, forgiven=min(state.forgiven, one.of(Progress.FAILED)))
        is_passed = began_at_s is not None and thresholds.is_met(phase, noted, one)
        passed_at_s = (now_s if state.passed_at_s is None else state.passed_at_s) if is_passed else None
        states.append(replace(noted, passed_at_s=passed_at_s))
    return replace(rollout, phase_states=tuple(states))


def _is_complete(rollout: Rollout, counts: Sequence[PhaseCounts]) -> bool:
    """Whether nothing is left to wait for, and no phase is below what its plan asks for."""
    if rollout.plan.stays_open or rollout.phase + 1 < len(rollout.plan.phases):
        return False
    phases = zip(rollout.plan.phases, rollout.phase_states, counts, strict=True)
    return all(one.is_settled and thresholds.is_met(phase, state, one) for phase, state, one in phases)


def _ask(rollout: Rollout, counts: Sequence[PhaseCounts]) -> list[Action]:
    actions: list[Action] = []
    for position in range(rollout.phase + 1):
        one, most = counts[position], rollout.plan.phases[position].concurrency
        limit = one.ready if most is None else min(one.ready, most - one.of(Progress.OPEN))
        actions += [HoldOutside(position)] if one.outside else []
        actions += [Ask(position, limit)] if limit > 0 else []
    return actions


def _rest(rollout: Rollout, counts: Sequence[PhaseCounts], now_s: int) -> list[Action]:
    """Stop a paused rollout's devices; one whose devices all did well meanwhile has nothing left to pause."""
    stop = thresholds.stop_reason(rollout.plan, rollout.phase_states, counts)
    if not stop and _is_complete(rollout, counts):
        return [Become(follow(rollout, RolloutEvent.COMPLETION, now_s))]
    return [Hold(position) for position, one in enumerate(counts) if one.of(Progress.OPEN)]


def _undo(rollout: Rollout, counts: Sequence[PhaseCounts], now_s: int) -> list[Action]:
    actions = _take_back(rollout, counts, now_s)
    if actions or any(one.of(Progress.RECOVERING) for one in counts):
        return actions
    return [Become(follow(rollout, RolloutEvent.COMPLETION, now_s))]


def _take_back(_rollout: Rollout, counts: Sequence[PhaseCounts], _now_s: int) -> list[Action]:
    """Stop who hasn't the bad release, and bring the recovery release to who has; also to one that confirms it late."""
    actions: list[Action] = []
    for position, one in enumerate(counts):
        actions += [Withdraw(position)] if one.of(*UNSETTLED) else []
        actions += [Recover(position)] if one.of(Progress.SUCCEEDED) else []
    return actions


def _withdraw(_rollout: Rollout, counts: Sequence[PhaseCounts], _now_s: int) -> list[Action]:
    """Stop everybody where they are, on the way there as on the way back."""
    return [Withdraw(position, _UNDER_WAY) for position, one in enumerate(counts) if one.of(*_UNDER_WAY)]


_UNDER_WAY = (*UNSETTLED, Progress.RECOVERING)


def _nothing(_rollout: Rollout, _counts: Sequence[PhaseCounts], _now_s: int) -> list[Action]:
    return []


_STEPS: dict[RolloutState, Callable[[Rollout, Sequence[PhaseCounts], int], list[Action]]] = {
    _AWAITING: _nothing,
    _RUNNING: _run,
    _PAUSED: _rest,
    _ROLLING_BACK: _undo,
    _ROLLED_BACK: _take_back,
    _DONE: _nothing,
    _CANCELLED: _withdraw,
}
