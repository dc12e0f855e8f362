"""Which phase a device of a rollout is in; pure, and the same whoever asks.

A device goes with the first phase whose group has it. The others stand in an order that is drawn for this rollout alone,
so that no device is always the first; phases by percent and count cut that row into pieces.
"""

from collections.abc import Collection, Iterable
from hashlib import sha256

from pawl_server.domain.plan import Phase, PhaseKind, Plan, PlanError

_WHOLE = 100
_RANK_BYTES = 8


def rank(rollout_name: str, device: str) -> int:
    """Return where a device stands in a rollout: a number of 63 bits, stable, and other in each rollout."""
    return int.from_bytes(sha256(f"{rollout_name}/{device}".encode()).digest()[:_RANK_BYTES]) >> 1


def allot(plan: Plan, rollout_name: str, target: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Return the phase of each device that has one, given the target as pairs of group and device.

    Raises PlanError for a phase before the last one that gets no device.
    """
    groups: dict[str, set[str]] = {}
    for group, device in target:
        groups.setdefault(device, set()).add(group)
    phases = {
        device: phase for device in groups if (phase := _phase_by_group(plan, groups[device])) is not None
    }
    left = [
        device for device in groups if device not in phases and not groups[device].isdisjoint(plan.groups)
    ]
    phases |= _share_out(plan, sorted(left, key=lambda device: (rank(rollout_name, device), device)))
    _require_devices(plan, phases.values())
    return phases


def phase_of_newcomer(plan: Plan, groups: Collection[str]) -> int | None:
    """Return the phase of a device of these groups that joins later; None if none takes it."""
    by_group = _phase_by_group(plan, groups)
    last = plan.phases[-1]
    takes_all = last.kind is PhaseKind.PERCENT and last.size == _WHOLE
    if by_group is None and takes_all and not set(plan.groups).isdisjoint(groups):
        return len(plan.phases) - 1
    return by_group


def _phase_by_group(plan: Plan, groups: Collection[str]) -> int | None:
    named = (position for position, phase in enumerate(plan.phases) if phase.kind is PhaseKind.GROUP)
    return next((position for position in named if plan.phases[position].group in groups), None)


def _share_out(plan: Plan, row: list[str]) -> dict[str, int]:
    phases: dict[str, int] = {}
    reached = 0
    for position, phase in enumerate(plan.phases):
        end = _end(phase, reached, len(row))
        phases |= dict.fromkeys(row[reached:end], position)
        reached = max(reached, end)
    return phases


def _end(phase: Phase, reached: int, devices: int) -> int:
    """Return how many devices of the row are taken once this phase has its own."""
    match phase.kind:
        case PhaseKind.GROUP:
            return reached
        case PhaseKind.PERCENT:
            return -(-phase.size * devices // _WHOLE)  # rounded up
        case PhaseKind.COUNT:
            return reached + phase.size


def _require_devices(plan: Plan, taken: Iterable[int]) -> None:
    empty = set(range(len(plan.phases) - 1)) - set(taken)
    if empty:
        position = min(empty)
        text = f"this phase ({plan.phases[position].title}) gets no device: leave it out, or make it larger"
        raise PlanError(f"phases.{position}", text)
