"""A release that goes to devices in phases, stops by itself when too many fail, and takes itself back; pure.

`step` looks at how far the devices are and says what has to be done now. It remembers nothing but the rollout itself: done
twice, cut anywhere, or done by another process after a crash, it leads to the same end.

    for action in step(rollout, counts, now_s): ...

Counts and actions belong in one transaction. Any number of the actions from the first one on may be carried out, and each
for some of its devices only: the next step finds the rest. What a phase needs to begin is in `docs/architecture.md`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pawl_server.domain import thresholds
from pawl_server.domain.progress import (
    ASKABLE,
    FINAL_PROGRESS,
    UNSETTLED,
    PhaseCounts,
    PhaseState,
    Progress,
)
from pawl_server.domain.rollout_states import (
    FINAL_STATES,
    GOING_BACK,
    TRANSITIONS,
    Rollout,
    RolloutEvent,
    RolloutState,
    RolloutStateError,
    begin,
    follow,
)

__all__ = [
    "ASKABLE",
    "FINAL_PROGRESS",
    "FINAL_STATES",
    "GOING_BACK",
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
    # Why it went back is what people ask when it has.
    return [Become(follow(rollout, RolloutEvent.COMPLETION, now_s, rollout.reason))]


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
    RolloutState.AWAITING: _nothing,
    RolloutState.RUNNING: _run,
    RolloutState.PAUSED: _rest,
    RolloutState.ROLLING_BACK: _undo,
    RolloutState.ROLLED_BACK: _take_back,
    RolloutState.DONE: _nothing,
    RolloutState.CANCELLED: _withdraw,
}
