"""What operators want of a rollout, as JSON has it; `domain/plan.py` says what makes no sense."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field

from pawl.index import b64u
from pawl_server.api.values import Body, GroupName, ReleaseDigest
from pawl_server.domain.plan import (
    DAY_MINUTES,
    GROUPS_MAX,
    PHASES_MAX,
    SILENCE_MAX_S,
    SILENCE_MIN_S,
    SOAK_MAX_S,
    TRIES_MAX,
    WINDOWS_MAX,
    Phase,
    PhaseKind,
    Plan,
    Window,
)

DEVICES_MAX = 1_000_000_000
TIME_MAX_S = 253_402_300_799  # the last second that a calendar has
_HOUR_MINUTES = 60

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_Percent = Annotated[int, Field(ge=1, le=100)]
_Devices = Annotated[int, Field(ge=1, le=DEVICES_MAX)]


class WindowBody(Body):
    """When devices may be asked, in their own time zone; a window may run over midnight."""

    days: list[Day] = Field(
        min_length=1,
        max_length=len(_DAYS),
        examples=[["sat", "sun"]],
        json_schema_extra={"uniqueItems": True},
    )
    start: str = Field(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$", examples=["22:00"])
    minutes: int = Field(ge=1, le=DAY_MINUTES)

    def window(self) -> Window:
        """Return the value."""
        hours, minutes = self.start.split(":")
        return Window(
            days=tuple(sorted(_DAYS.index(day) for day in self.days)),
            start_minute=int(hours) * _HOUR_MINUTES + int(minutes),
            duration_minutes=self.minutes,
        )

    @classmethod
    def of(cls, window: Window) -> Self:
        """Return what people see of a window."""
        hours, minutes = divmod(window.start_minute, _HOUR_MINUTES)
        return cls(
            days=[_DAYS[day] for day in window.days],
            start=f"{hours:02}:{minutes:02}",
            minutes=window.duration_minutes,
        )


class PhaseBody(Body):
    """One step of a rollout: a whole group, a cumulative percent of who is in no group phase, or a number of these.

    Either `failure_count` failures or `failure_percent` of its devices stop the rollout.
    """

    kind: Literal["group", "percent", "count"]
    group: GroupName = Field(default_factory=str, description="Of a group phase.")
    size: int = Field(0, ge=0, le=DEVICES_MAX, description="Of a phase by percent or count.")
    success_percent: _Percent = 100
    failure_count: _Devices | None = 1
    failure_percent: _Percent | None = None
    soak_s: int = Field(0, ge=0, le=SOAK_MAX_S)
    concurrency: _Devices | None = Field(None, description="The most devices that are asked at a time.")
    starts_at_s: Annotated[int, Field(ge=0, le=TIME_MAX_S)] | None = None
    windows: list[WindowBody] = Field(default_factory=list, max_length=WINDOWS_MAX)

    def phase(self) -> Phase:
        """Return the value."""
        plain = {name: getattr(self, name) for name in _PLAIN}
        windows = tuple(window.window() for window in self.windows)
        return Phase(kind=PhaseKind(self.kind), windows=windows, **plain)


_PLAIN = tuple(name for name in PhaseBody.model_fields if name not in {"kind", "windows"})


class PlanBody(Body):
    """What is to be rolled out, to whom, in which phases; releases may be named by the beginning of a digest.

    Without phases, the groups are asked one after the other.
    """

    release: ReleaseDigest
    groups: list[GroupName] = Field(default_factory=list, max_length=GROUPS_MAX, examples=[["field"]])
    phases: list[PhaseBody] = Field(
        default_factory=list,
        min_length=1,
        max_length=PHASES_MAX,
        examples=[[{"kind": "group", "group": "canary", "soak_s": 3600}, {"kind": "percent", "size": 100}]],
    )
    recovery: ReleaseDigest | None = Field(
        None, description="A release signed in advance for those who took a bad one."
    )
    silence_s: int = Field(86400, ge=SILENCE_MIN_S, le=SILENCE_MAX_S)
    tries_max: int = Field(3, ge=1, le=TRIES_MAX)
    stays_open: bool = False
    needs_approval: bool = False

    def plan(self, release: bytes, recovery: bytes | None) -> Plan:
        """Return the value, of releases that were found; PlanError if it makes no sense."""
        one_by_one = tuple(Phase(kind=PhaseKind.GROUP, group=group) for group in self.groups)
        return Plan(
            release=release,
            recovery=recovery,
            groups=tuple(self.groups),
            phases=tuple(phase.phase() for phase in self.phases) or one_by_one,
            silence_s=self.silence_s,
            tries_max=self.tries_max,
            stays_open=self.stays_open,
            needs_approval=self.needs_approval,
        )


class PlanView(BaseModel):
    """A plan as it was decided; its phases are beside it."""

    release: str
    recovery: str | None
    groups: list[str]
    silence_s: int
    tries_max: int
    stays_open: bool
    needs_approval: bool

    @classmethod
    def fields_of(cls, plan: Plan) -> dict[str, object]:
        """Return the fields that people see of a plan."""
        return {
            "release": b64u(plan.release),
            "recovery": b64u(plan.recovery) if plan.recovery else None,
            "groups": list(plan.groups),
            "silence_s": plan.silence_s,
            "tries_max": plan.tries_max,
            "stays_open": plan.stays_open,
            "needs_approval": plan.needs_approval,
        }
