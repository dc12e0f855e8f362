"""A release that goes to groups of devices in order, and stops by itself when a device fails; pure.

`step` looks at how far the devices are and says what has to be done now. It remembers nothing: done twice, or by another
process after a crash, it leads to the same end. Who carries the actions out writes them and the new state in one
transaction.

    for action in step(rollout, counts_by_group, now_s): ...

A group starts when every device of those before it has succeeded. A failure pauses the rollout, and a paused rollout
offers nothing; resuming it asks those again that haven't succeeded.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum


class RolloutState(StrEnum):
    """`FAILED` is how a cancelled rollout ends: not all of its devices have the release."""

    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"


class RolloutEvent(StrEnum):
    """What moves a rollout: three come from operators, two from `step`."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    FAILURE = "failure"
    COMPLETION = "completion"


FINAL_STATES = frozenset({RolloutState.DONE, RolloutState.FAILED})
_RUNNING, _PAUSED, _DONE, _FAILED = RolloutState

# A state that repeats itself makes a command idempotent; a pair that isn't here is refused.
TRANSITIONS: dict[RolloutState, dict[RolloutEvent, RolloutState]] = {
    _RUNNING: {
        RolloutEvent.PAUSE: _PAUSED,
        RolloutEvent.RESUME: _RUNNING,
        RolloutEvent.CANCEL: _FAILED,
        RolloutEvent.FAILURE: _PAUSED,
        RolloutEvent.COMPLETION: _DONE,
    },
    _PAUSED: {
        RolloutEvent.PAUSE: _PAUSED,
        RolloutEvent.RESUME: _RUNNING,
        RolloutEvent.CANCEL: _FAILED,
        RolloutEvent.COMPLETION: _DONE,
    },
    _DONE: {},
    _FAILED: {RolloutEvent.CANCEL: _FAILED},
}


class RolloutStateError(Exception):
    """A rollout in this state can't do that; nothing was changed."""


class Progress(StrEnum):
    """How far a device of a rollout is; `DISPLACED` was assigned another release since."""

    WAITING = "waiting"
    OPEN = "open"
    HELD = "held"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DISPLACED = "displaced"


Counts = dict[Progress, int]
_TROUBLE = (Progress.FAILED, Progress.DISPLACED)
# Whom a running rollout asks to install.
ASKABLE = (Progress.WAITING, Progress.HELD)
# Who asks again after a resume.
UNSETTLED = (Progress.HELD, Progress.FAILED, Progress.DISPLACED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """What one row says; `groups` are names in order, `reason` says why it isn't running."""

    id: int
    name: str
    release: bytes
    groups: tuple[str, ...]
    created_at_s: int
    changed_at_s: int
    state: RolloutState = RolloutState.RUNNING
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupCounts:
    """How many devices of a group are how far, and one that is in trouble, by name and reason."""

    counts: Counts = field(default_factory=dict)
    trouble: str = ""

    def of(self, *progress: Progress) -> int:
        """Return how many devices are as far as one of these."""
        return sum(self.counts.get(one, 0) for one in progress)

    @property
    def has_succeeded(self) -> bool:
        """Whether every device of the group has."""
        return self.of(*Progress) == self.of(Progress.SUCCEEDED)


@dataclass(frozen=True, slots=True)
class Ask:
    """Assign the release to those devices of a group that wait or are held."""

    group: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Stop those devices of a group that are installing, where they are."""

    group: int


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Take the release back from those devices of a group that haven't settled."""

    group: int


@dataclass(frozen=True, slots=True)
class Become:
    """Keep the rollout as it is here."""

    rollout: Rollout


Action = Ask | Hold | Withdraw | Become


def follow(rollout: Rollout, event: RolloutEvent, now_s: int, reason: str = "") -> Rollout:
    """Return the rollout after an event; raises RolloutStateError where the table has no answer."""
    following = TRANSITIONS[rollout.state].get(event)
    if following is None:
        raise RolloutStateError(f"rollout {rollout.name} is {rollout.state}: it can't {event} any more")
    if following == rollout.state:
        return rollout
    return replace(rollout, state=following, reason=reason, changed_at_s=now_s)


def step(rollout: Rollout, groups: Sequence[GroupCounts], now_s: int) -> list[Action]:
    """Return what has to be done now; nothing if all is as it must be."""
    return _STEPS[rollout.state](rollout, groups, now_s)


def _run(rollout: Rollout, groups: Sequence[GroupCounts], now_s: int) -> list[Action]:
    for name, group in zip(rollout.groups, groups, strict=True):
        if group.of(*_TROUBLE):
            paused = follow(rollout, RolloutEvent.FAILURE, now_s, f"group {name}: {group.trouble}")
            return [Become(paused), *_rest(paused, groups, now_s)]
    for position, group in enumerate(groups):
        if not group.has_succeeded:
            return [Ask(position)] if group.of(*ASKABLE) else []
    return [Become(follow(rollout, RolloutEvent.COMPLETION, now_s))]


def _rest(rollout: Rollout, groups: Sequence[GroupCounts], now_s: int) -> list[Action]:
    """Stop a paused rollout's devices; one whose devices all succeeded meanwhile has nothing left to pause."""
    if all(group.has_succeeded for group in groups):
        return [Become(follow(rollout, RolloutEvent.COMPLETION, now_s))]
    return [Hold(position) for position, group in enumerate(groups) if group.of(Progress.OPEN)]


def _withdraw(_rollout: Rollout, groups: Sequence[GroupCounts], _now_s: int) -> list[Action]:
    unsettled = (Progress.OPEN, Progress.HELD)
    return [Withdraw(position) for position, group in enumerate(groups) if group.of(*unsettled)]


def _nothing(_rollout: Rollout, _groups: Sequence[GroupCounts], _now_s: int) -> list[Action]:
    return []


_STEPS: dict[RolloutState, Callable[[Rollout, Sequence[GroupCounts], int], list[Action]]] = {
    _RUNNING: _run,
    _PAUSED: _rest,
    _DONE: _nothing,
    _FAILED: _withdraw,
}
