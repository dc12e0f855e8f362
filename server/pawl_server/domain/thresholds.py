"""Whether a phase did well enough to go on, or badly enough to stop, and the figures for people; pure.

Failures that an operator forgave neither stop a phase nor keep it from passing: they count for nothing.
"""

from collections.abc import Sequence

from pawl_server.domain.plan import Phase, Plan
from pawl_server.domain.progress import PhaseCounts, PhaseState, Progress


def may_begin(plan: Plan, before: Sequence[PhaseState], now_s: int) -> bool:
    """Return whether the phase after these may begin: its own start has come, and the one before passed and soaked."""
    starts_at_s = plan.phases[len(before)].starts_at_s
    if starts_at_s is not None and now_s < starts_at_s:
        return False
    if not before:
        return True
    passed_at_s = before[-1].passed_at_s
    return passed_at_s is not None and now_s >= passed_at_s + plan.phases[len(before) - 1].soak_s


def is_met(phase: Phase, state: PhaseState, counts: PhaseCounts) -> bool:
    """Return whether enough devices have succeeded; of a phase without devices, they have."""
    return _percent_reached(
        counts.of(Progress.SUCCEEDED), counts.members - state.forgiven, phase.success_percent
    )


def stop_reason(plan: Plan, states: Sequence[PhaseState], counts: Sequence[PhaseCounts]) -> str:
    """Return why the rollout must stop, empty if it needn't: the first begun phase in which too many failed."""
    for position, (phase, state, one) in enumerate(zip(plan.phases, states, counts, strict=True)):
        limit = _limit_reached(phase, one.of(Progress.FAILED) - state.forgiven, one.members)
        if state.began_at_s is not None and limit:
            return f"{_name(position, phase)}: {_failed(state, one)}, {limit}"
    return ""


def shortfall(plan: Plan, states: Sequence[PhaseState], counts: Sequence[PhaseCounts]) -> str:
    """Return which begun phase has nobody left to wait for and too few successes, empty if none."""
    for position, (phase, state, one) in enumerate(zip(plan.phases, states, counts, strict=True)):
        if state.began_at_s is not None and one.is_settled and not is_met(phase, state, one):
            return (
                f"{_name(position, phase)}: {_failed(state, one)}, {one.of(Progress.SUCCEEDED)} succeeded "
                f"and no other is left, {phase.success_percent} percent must succeed"
            )
    return ""


def _limit_reached(phase: Phase, failed: int, members: int) -> str:
    if failed <= 0:
        return ""
    if phase.failure_count is not None and failed >= phase.failure_count:
        return f"{phase.failure_count} stop it"
    if phase.failure_percent is not None and _percent_reached(failed, members, phase.failure_percent):
        return f"{phase.failure_percent} percent stop it"
    return ""


def _percent_reached(part: int, whole: int, percent: int) -> bool:
    return part * 100 >= percent * whole


def _name(position: int, phase: Phase) -> str:
    return f"phase {position + 1} ({phase.title})"


def _failed(state: PhaseState, counts: PhaseCounts) -> str:
    forgiven = f", {state.forgiven} of them forgiven" if state.forgiven else ""
    trouble = f" ({counts.trouble})" if counts.trouble else ""
    return f"{counts.of(Progress.FAILED)} of {counts.members} devices failed{trouble}{forgiven}"
