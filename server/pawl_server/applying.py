"""The one answer to which rollout has to do with a device, and why: for people, in a sentence."""

from dataclasses import dataclass

from pawl_server.domain import windows
from pawl_server.domain.fleet import QUARANTINE_FAILURES, Device
from pawl_server.domain.joining import phase_of_newcomer
from pawl_server.domain.progress import Progress
from pawl_server.domain.rollout import Rollout, RolloutState
from pawl_server.errors import UnknownError
from pawl_server.store import Transaction
from pawl_server.store.members import Member


@dataclass(frozen=True, slots=True, kw_only=True)
class Applies:
    """The rollout that has a device, or will take it next, if any; phases count from 0."""

    rollout: str | None
    phase: int | None
    progress: Progress | None
    why: str


async def applying_to(transaction: Transaction, name: str, now_s: int) -> Applies:
    """Return which rollout has to do with a device; UnknownError if the device isn't enrolled."""
    device = await transaction.device(name)
    if device is None:
        raise UnknownError(f"no device {name} is enrolled")
    active = await transaction.rollouts.active()
    number = await transaction.members.rollout_of(name)
    owner = next((one for one in active if one.id == number), None)
    others = [one for one in active if one is not owner and await _takes(transaction, one, name, now_s)]
    if owner is None:
        return _of_nobody(device, others)
    member = await transaction.members.one(owner, name, now_s)
    assert member is not None  # noqa: S101  # read in this very transaction
    later = "".join(
        f"; rollout {one.name} has a group with it, and takes it when {owner.name} has ended"
        for one in others[:1]
    )
    why = _where(owner, member.phase) + ": " + _how_far(owner, member, device, now_s) + later
    return Applies(rollout=owner.name, phase=member.phase, progress=member.progress, why=why)


async def _takes(transaction: Transaction, rollout: Rollout, device: str, now_s: int) -> bool:
    groups = await transaction.joining.groups_with(rollout.plan, device, now_s)
    return phase_of_newcomer(rollout.plan, groups) is not None


def _of_nobody(device: Device, others: list[Rollout]) -> Applies:
    if device.failures >= QUARANTINE_FAILURES:
        why = f"quarantined after {device.failures} failures: no rollout takes it until that is cleared"
    elif others:
        why = f"rollout {others[0].name} has a group with it, and takes it next"
    else:
        why = "no rollout that runs has a group with it"
    return Applies(rollout=None, phase=None, progress=None, why=why)


def _where(rollout: Rollout, phase: int) -> str:
    return f"in rollout {rollout.name}, phase {phase + 1} ({rollout.plan.phases[phase].title})"


def _how_far(rollout: Rollout, member: Member, device: Device, now_s: int) -> str:
    if member.progress in {Progress.WAITING, Progress.HELD} and rollout.state is RolloutState.RUNNING:
        return _waits_for(rollout, member, device, now_s)
    told = _TOLD[member.progress]
    state = "" if rollout.state is RolloutState.RUNNING else f" (the rollout is {rollout.state})"
    return told + (f": {member.reason}" if member.reason else "") + state


def _waits_for(rollout: Rollout, member: Member, device: Device, now_s: int) -> str:
    phase = rollout.plan.phases[member.phase]
    if member.phase > rollout.phase:
        return _begins_when(rollout, member.phase)
    if member.not_before_s > now_s:
        return f"failed ({member.reason}), and is asked again in {member.not_before_s - now_s} s"
    if not windows.is_open(phase.windows, device.timezone, now_s):
        opens_s = windows.next_opening_s(phase.windows, device.timezone, now_s)
        return f"waits for its window, which opens in {opens_s - now_s} s"
    return "waits for its turn"


def _begins_when(rollout: Rollout, phase: int) -> str:
    """Say what the phase waits for: the one before it, its soak, or its own start."""
    states = rollout.phase_states
    if phase and states[phase - 1].passed_at_s is None:
        return f"waits until phase {phase} has succeeded"
    if phase and states[phase - 1].began_at_s is not None and rollout.plan.phases[phase - 1].soak_s:
        return f"waits until phase {phase} has soaked"
    return "waits until its phase begins"


_TOLD = {
    Progress.WAITING: "waits",
    Progress.OPEN: "was asked to install",
    Progress.HELD: "is held where it is",
    Progress.SUCCEEDED: "succeeded",
    Progress.FAILED: "failed",
    Progress.DISPLACED: "was assigned another release",
    Progress.WITHDRAWN: "isn't asked any more",
    Progress.RECOVERING: "goes back to the recovery release",
    Progress.RECOVERED: "went back to the recovery release",
    Progress.UNRECOVERED: "failed to go back",
}
