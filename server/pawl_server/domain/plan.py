"""What operators want of a rollout: which release goes to whom, in which phases, and what stops it.

A plan that makes no sense can't be made: PlanError names the field (`phases.1.size`) and says what to write instead.
Group phases come first; phases by percent or count share out whoever is in none of those groups.

    Plan(release=digest, groups=("field",), phases=(
        Phase(kind=PhaseKind.GROUP, group="canary", soak_s=3600),
        Phase(kind=PhaseKind.PERCENT, size=100, failure_count=None, failure_percent=5),
    ))
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

PHASES_MAX = 64
GROUPS_MAX = 64
WINDOWS_MAX = 32
TRIES_MAX = 10
SILENCE_MIN_S = 60
SILENCE_MAX_S = 30 * 86400
SOAK_MAX_S = 365 * 86400
DAY_MINUTES = 1440
_WHOLE = 100
_DIGEST_BYTES = 32
_LAST_DAY = 6
_GROUP_NAME = re.compile(r"[a-z][a-z0-9.-]{0,62}")


class PlanError(ValueError):
    """A plan that can't be carried out: `field` is the path of what is wrong."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(f"{field}: {text}")
        self.field = field
        self.text = text


class PhaseKind(StrEnum):
    """Whom a phase takes."""

    GROUP = "group"
    PERCENT = "percent"
    COUNT = "count"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """When devices may be asked, by the clock on their wall; `days` begin with 0 for Monday. It may run over midnight."""

    days: tuple[int, ...]
    start_minute: int
    duration_minutes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One step of a rollout, and when it is good enough, or bad enough, to go on or stop.

    `size` is a cumulative percent of the target without its group phases, or a number of devices. The next phase may begin
    `soak_s` after `success_percent` of its devices have succeeded. `failure_count` failures stop the rollout, or
    `failure_percent` of its devices; either one is enough. At most `concurrency` devices are asked at a time.
    """

    kind: PhaseKind
    group: str = ""
    size: int = 0
    success_percent: int = 100
    failure_count: int | None = 1
    failure_percent: int | None = None
    soak_s: int = 0
    concurrency: int | None = None
    starts_at_s: int | None = None
    windows: tuple[Window, ...] = ()

    @property
    def title(self) -> str:
        """What people call it."""
        match self.kind:
            case PhaseKind.GROUP:
                return f"group {self.group}"
            case PhaseKind.PERCENT:
                return f"{self.size} percent"
            case PhaseKind.COUNT:
                return f"{self.size} devices"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that is decided when a rollout is created; refuses itself with PlanError.

    The target is the union of `groups` and of the groups of its phases. `recovery` is a release signed in advance for whoever
    took a bad one. A device that was asked and says nothing signed for `silence_s` has failed. Of its own accord the
    server asks a device `tries_max` times. One that `stays_open` goes on for devices that join later.
    """

    release: bytes
    groups: tuple[str, ...]
    phases: tuple[Phase, ...]
    recovery: bytes | None = None
    silence_s: int = 86400
    tries_max: int = 3
    stays_open: bool = False
    needs_approval: bool = False

    def __post_init__(self) -> None:
        """Raise PlanError for the first thing that is wrong."""
        for field, text in _faults(self):
            raise PlanError(field, text)


_Faults = Iterator[tuple[str, str]]


def _faults(plan: Plan) -> _Faults:
    """Yield what is wrong: the path of a field, and what it must be."""
    yield from _release_faults(plan)
    yield from _number("silence_s", plan.silence_s, SILENCE_MIN_S, SILENCE_MAX_S)
    yield from _number("tries_max", plan.tries_max, 1, TRIES_MAX)
    if not 0 < len(plan.phases) <= PHASES_MAX:
        yield "phases", f"a rollout has 1 to {PHASES_MAX} phases"
    for position, phase in enumerate(plan.phases):
        for field, text in _phase_faults(phase):
            yield f"phases.{position}.{field}", text
    yield from _order_faults(plan.phases)
    yield from _group_faults(plan)


def _release_faults(plan: Plan) -> _Faults:
    for field, digest in (("release", plan.release), ("recovery", plan.recovery)):
        if digest is not None and len(digest) != _DIGEST_BYTES:
            yield field, "a release is named by the 32 bytes of its manifest digest"
    if plan.recovery == plan.release:
        yield (
            "recovery",
            "a release can't recover from itself: name another one, signed with the recovery role",
        )


def _phase_faults(phase: Phase) -> _Faults:
    yield from _WHOM[phase.kind](phase)
    yield from _number("success_percent", phase.success_percent, 1, _WHOLE)
    if phase.failure_count is None and phase.failure_percent is None:
        yield "failure_count", "say how many failures stop the rollout, here or in failure_percent"
    yield from _number("failure_count", phase.failure_count, 1)
    yield from _number("failure_percent", phase.failure_percent, 1, _WHOLE)
    yield from _number("soak_s", phase.soak_s, 0, SOAK_MAX_S)
    yield from _number("concurrency", phase.concurrency, 1)
    yield from _number("starts_at_s", phase.starts_at_s, 0)
    if len(phase.windows) > WINDOWS_MAX:
        yield "windows", f"a phase has at most {WINDOWS_MAX} windows"
    for position, window in enumerate(phase.windows):
        for field, text in _window_faults(window):
            yield f"windows.{position}.{field}", text


def _of_group(phase: Phase) -> _Faults:
    yield from _name("group", phase.group)
    if phase.size:
        yield "size", "a group phase takes its whole group: leave the size out"


def _of_percent(phase: Phase) -> _Faults:
    yield from _number("size", phase.size, 1, _WHOLE)
    yield from _no_group(phase)


def _of_count(phase: Phase) -> _Faults:
    yield from _number("size", phase.size, 1)
    yield from _no_group(phase)


def _no_group(phase: Phase) -> _Faults:
    if phase.group:
        yield "group", "only a group phase names a group: list it in the rollout's groups"


_WHOM: dict[PhaseKind, Callable[[Phase], _Faults]] = {
    PhaseKind.GROUP: _of_group,
    PhaseKind.PERCENT: _of_percent,
    PhaseKind.COUNT: _of_count,
}


def _window_faults(window: Window) -> _Faults:
    is_rising = list(window.days) == sorted(set(window.days))
    if not window.days or not is_rising or not 0 <= window.days[0] <= window.days[-1] <= _LAST_DAY:
        yield "days", "name days from 0 (Monday) to 6 (Sunday), ascending, each once"
    yield from _number("start_minute", window.start_minute, 0, DAY_MINUTES - 1)
    yield from _number("duration_minutes", window.duration_minutes, 1, DAY_MINUTES)


def _order_faults(phases: tuple[Phase, ...]) -> _Faults:
    """Group phases come first, percents rise, and nothing follows the whole."""
    reached, is_shared_out = 0, False
    for position, phase in enumerate(phases):
        if phase.kind is PhaseKind.GROUP and is_shared_out:
            yield f"phases.{position}.kind", "group phases come before those by percent or count: move it up"
        if phase.kind is not PhaseKind.GROUP and reached == _WHOLE:
            yield (
                f"phases.{position}.size",
                "the phases before it reach 100 percent: nobody is left for this one",
            )
        if phase.kind is PhaseKind.PERCENT and phase.size <= reached:
            yield (
                f"phases.{position}.size",
                f"percents are cumulative: more than {reached}, which is reached before",
            )
        is_shared_out = is_shared_out or phase.kind is not PhaseKind.GROUP
        reached = phase.size if phase.kind is PhaseKind.PERCENT else reached


def _group_faults(plan: Plan) -> _Faults:
    for position, group in enumerate(plan.groups):
        yield from _name(f"groups.{position}", group)
    named = [phase.group for phase in plan.phases if phase.kind is PhaseKind.GROUP]
    for position, group in enumerate(named):
        if group in named[:position]:
            yield f"phases.{position}.group", f"group {group} has a phase before: name each once"
    if len(set(plan.groups)) != len(plan.groups) or len({*plan.groups, *named}) > GROUPS_MAX:
        yield "groups", f"name at most {GROUPS_MAX} groups, those of phases included, each once"
    left = [group for group in plan.groups if group not in named]
    if len(named) == len(plan.phases) and left:
        yield "groups", f"no phase takes group {left[0]}: add a phase of it, or one by percent or count"
    if len(named) != len(plan.phases) and not left:
        yield (
            "groups",
            "phases by percent or count share out groups that have no phase of their own: name one",
        )


def _name(field: str, name: str) -> _Faults:
    if not _GROUP_NAME.fullmatch(name):
        yield field, f"{name!r} is no group's name: a letter, then a-z, 0-9, . and -, 63 at most"


def _number(field: str, number: int | None, least: int, most: int | None = None) -> _Faults:
    if number is None or (least <= number and (most is None or number <= most)):
        return
    yield (
        field,
        f"{number} is out of range: {least} to {most}" if most else f"{number} is too low: {least} or more",
    )
