"""Steps of a rollout with one fault each, by name: what the random histories must find."""

from dataclasses import replace

from pawl_server.domain import rollout
from pawl_server.domain.rollout import Ask, Become, HoldOutside, Progress, Recover, RolloutState, Withdraw


def _with_phases(**changes):
    """Return a step that takes every phase of the plan for another."""

    def planted(one, counts, now_s):
        phases = tuple(
            replace(phase, **{name: change(phase) for name, change in changes.items()})
            for phase in one.plan.phases
        )
        actions = rollout.step(replace(one, plan=replace(one.plan, phases=phases)), counts, now_s)
        return [
            Become(replace(action.rollout, plan=one.plan)) if isinstance(action, Become) else action
            for action in actions
        ]

    return planted


def _with_counts(**changes):
    """Return a step that counts wrongly."""

    def planted(one, counts, now_s):
        seen = [replace(each, **{name: change(each) for name, change in changes.items()}) for each in counts]
        return rollout.step(one, seen, now_s)

    return planted


def _without(kind):
    """Return a step that forgets one kind of action."""

    def planted(one, counts, now_s):
        return [action for action in rollout.step(one, counts, now_s) if not isinstance(action, kind)]

    return planted


def _asks_while(state):
    """Return a step that goes on asking in a state in which nothing may be asked."""

    def planted(one, counts, now_s):
        actions = rollout.step(one, counts, now_s)
        if one.state is not state:
            return actions
        left = (Progress.WAITING, Progress.HELD, Progress.WITHDRAWN)
        return [*(Ask(phase, 1) for phase, each in enumerate(counts) if each.of(*left)), *actions]

    return planted


def _goes_on_after_failure(one, counts, now_s):
    """Ask first, and stop afterwards."""
    asked = [Ask(phase, each.ready) for phase, each in enumerate(counts[: one.phase + 1]) if each.ready]
    is_running = one.state is RolloutState.RUNNING and one.plan.phases[0].concurrency is None
    return [*(asked if is_running else []), *rollout.step(one, counts, now_s)]


def _one_phase_too_far(one, counts, now_s):
    """Ask the phase that hasn't begun yet."""
    actions = rollout.step(one, counts, now_s)
    following = one.phase + 1
    if one.state is not RolloutState.RUNNING or following >= len(counts) or not counts[following].ready:
        return actions
    return [*actions, Ask(following, 1)]


def _forgets_late_ones(one, counts, now_s):
    """Leave a device on the bad release that confirms it after the others went back."""
    return [] if one.state is RolloutState.ROLLED_BACK else rollout.step(one, counts, now_s)


def _is_done_too_soon(one, counts, now_s):
    """Take those that wait for having ended."""
    left = (Progress.WAITING, Progress.HELD)
    seen = [
        replace(each, counts={name: number for name, number in each.counts.items() if name not in left})
        for each in counts
    ]
    return rollout.step(one, seen, now_s)


PLANTED = {
    "soak skipped": _with_phases(soak_s=lambda _: 0),
    "start time forgotten": _with_phases(starts_at_s=lambda _: None),
    "success threshold halved": _with_phases(success_percent=lambda phase: (phase.success_percent + 1) // 2),
    "one failure too many": _with_phases(
        failure_count=lambda phase: (phase.failure_count or 100) + 1, failure_percent=lambda _: None
    ),
    "one too many at a time": _with_phases(
        concurrency=lambda phase: None if phase.concurrency is None else phase.concurrency + 1
    ),
    "window and backoff forgotten": _with_counts(ready=lambda each: each.of(Progress.WAITING, Progress.HELD)),
    "closing window ignored": _without(HoldOutside),
    "cancelled, not withdrawn": _without(Withdraw),
    "went back without recovery": _without(Recover),
    "asks while paused": _asks_while(RolloutState.PAUSED),
    "asks while cancelled": _asks_while(RolloutState.CANCELLED),
    "asks while going back": _asks_while(RolloutState.ROLLING_BACK),
    "asks before approval": _asks_while(RolloutState.AWAITING),
    "asks, then stops": _goes_on_after_failure,
    "one phase too far": _one_phase_too_far,
    "late ones stay on it": _forgets_late_ones,
    "done too soon": _is_done_too_soon,
}
