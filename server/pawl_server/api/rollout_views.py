"""What people see of a rollout, its phases and its devices."""

from typing import Any, Self

from pydantic import BaseModel, Field

from pawl_server.api.plans import PhaseBody, PlanView, WindowBody
from pawl_server.applying import Applies
from pawl_server.domain.plan import Phase
from pawl_server.domain.progress import PhaseCounts, PhaseState, Progress
from pawl_server.rollouts import Preview, RolloutView
from pawl_server.store.members import Member


class Counts(BaseModel):
    """How many devices are how far."""

    waiting: int
    open: int
    held: int
    succeeded: int
    failed: int
    displaced: int
    withdrawn: int
    recovering: int
    recovered: int
    unrecovered: int


class PhaseView(BaseModel):
    """A phase as it was planned, and how far it is; `ready` devices may be asked now, `forgiven` failures don't count."""

    title: str = Field(examples=["group canary", "10 percent"])
    kind: str
    group: str
    size: int
    success_percent: int
    failure_count: int | None
    failure_percent: int | None
    soak_s: int
    concurrency: int | None
    starts_at_s: int | None
    windows: list[WindowBody]
    began_at_s: int | None
    passed_at_s: int | None
    forgiven: int
    ready: int
    devices: Counts

    @classmethod
    def of(cls, phase: Phase, state: PhaseState, counts: PhaseCounts) -> Self:
        """Return what people see of a phase."""
        plain: dict[str, Any] = {
            name: getattr(phase, name) for name in PhaseBody.model_fields if name != "windows"
        }
        return cls(
            **plain,
            title=phase.title,
            windows=[WindowBody.of(window) for window in phase.windows],
            began_at_s=state.began_at_s,
            passed_at_s=state.passed_at_s,
            forgiven=state.forgiven,
            ready=counts.ready,
            devices=Counts(**{progress.value: counts.of(progress) for progress in Progress}),
        )


class RolloutFacts(PlanView):
    """A rollout, its plan, and how far it is."""

    id: int
    name: str
    state: str = Field(examples=["awaiting-approval", "running", "paused", "rolling-back", "done"])
    reason: str
    created_at_s: int
    changed_at_s: int
    phases: list[PhaseView]

    @classmethod
    def of(cls, view: RolloutView) -> Self:
        """Return what people see of a rollout."""
        rollout = view.rollout
        planned: dict[str, Any] = PlanView.fields_of(rollout.plan)
        phases = zip(rollout.plan.phases, rollout.phase_states, view.phases, strict=True)
        return cls(
            **planned,
            id=rollout.id,
            name=rollout.name,
            state=rollout.state,
            reason=rollout.reason,
            created_at_s=rollout.created_at_s,
            changed_at_s=rollout.changed_at_s,
            phases=[PhaseView.of(*phase) for phase in phases],
        )


class RolloutPage(BaseModel):
    """Some rollouts, the oldest first; `next` is the `after` of the following page."""

    rollouts: list[RolloutFacts]
    next: str | None


class MemberView(BaseModel):
    """A device of a rollout and how far it is; `phase` counts from 0, `not_before_s` is when it may be asked again."""

    device: str
    phase: int
    progress: str
    reason: str
    tries: int
    asked_at_s: int | None
    not_before_s: int

    @classmethod
    def of(cls, member: Member) -> Self:
        """Return what people see of a rollout's device."""
        return cls(
            device=member.device,
            phase=member.phase,
            progress=member.progress,
            reason=member.reason,
            tries=member.tries,
            asked_at_s=member.asked_at_s,
            not_before_s=member.not_before_s,
        )


class MemberPage(BaseModel):
    """Some devices of a rollout in order of their ids; `next` is the `after` of the following page."""

    devices: list[MemberView]
    next: str | None


class PlannedPhase(BaseModel):
    """A phase and the devices that it would take."""

    title: str
    devices: list[str]


class PlannedRollout(BaseModel):
    """What a rollout would do, were it created now: nothing was changed. `left_out` says whom it wouldn't take, and why."""

    phases: list[PlannedPhase]
    left_out: dict[str, str]

    @classmethod
    def of(cls, phases: tuple[Phase, ...], preview: Preview) -> Self:
        """Return what people see of a preview."""
        planned = zip(phases, preview.phases, strict=True)
        return cls(
            phases=[PlannedPhase(title=phase.title, devices=devices) for phase, devices in planned],
            left_out=preview.left_out,
        )


class AppliesView(BaseModel):
    """Which rollout has a device, or will take it next, and why; phases count from 0."""

    rollout: str | None
    phase: int | None
    progress: str | None
    why: str

    @classmethod
    def of(cls, applies: Applies) -> Self:
        """Return what people see of the answer."""
        return cls(rollout=applies.rollout, phase=applies.phase, progress=applies.progress, why=applies.why)
