"""Which phase a device of a rollout is in; pure, and the same whoever asks."""

from collections.abc import Collection, Iterable

from pawl_server.domain.plan import Plan


def rank(rollout_name: str, device: str) -> int:
    """Return where a device stands in its rollout: pseudo-random and stable, so no device is always a canary."""
    raise NotImplementedError


def allot(plan: Plan, rollout_name: str, target: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Return the phase of each device that has one, given the target as pairs of group and device.

    Raises PlanError for a phase before the last one that gets no device.
    """
    raise NotImplementedError


def phase_of_newcomer(plan: Plan, groups: Collection[str]) -> int | None:
    """Return the phase of a device of these groups that joins later; None if none takes it."""
    raise NotImplementedError
