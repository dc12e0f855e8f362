"""A plan that makes no sense can't be made, and the error names the field."""

from dataclasses import replace

import pytest

from pawl_server.domain.plan import Phase, PhaseKind, Plan, PlanError, Window

CANARY = Phase(kind=PhaseKind.GROUP, group="canary")
TENTH = Phase(kind=PhaseKind.PERCENT, size=10)
ALL = Phase(kind=PhaseKind.PERCENT, size=100)
FIVE = Phase(kind=PhaseKind.COUNT, size=5)
PLAN = Plan(release=b"d" * 32, groups=("field",), phases=(CANARY, FIVE, TENTH, ALL))
NIGHT = Window(days=(0, 6), start_minute=1439, duration_minutes=1440)


def _phases(*phases):
    return {"phases": phases}


def _first(phase, **changes):
    return _phases(replace(phase, **changes), ALL)


def _window(**changes):
    return _first(CANARY, windows=(NIGHT, replace(NIGHT, **changes)))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"release": b"d" * 31}, "release"),
        ({"recovery": b"r"}, "recovery"),
        ({"recovery": b"d" * 32}, "recovery"),
        ({"silence_s": 59}, "silence_s"),
        ({"silence_s": 30 * 86400 + 1}, "silence_s"),
        ({"tries_max": 0}, "tries_max"),
        ({"tries_max": 11}, "tries_max"),
        (_phases(), "phases"),
        (_phases(*(replace(CANARY, group=f"g{n}") for n in range(65))), "phases"),
        (_phases(ALL, CANARY), "phases.1.kind"),
        (_phases(CANARY, CANARY, ALL), "phases.1.group"),
        (_phases(ALL, FIVE), "phases.1.size"),
        (_phases(ALL, ALL), "phases.1.size"),
        (_phases(TENTH, TENTH), "phases.1.size"),
        (_phases(CANARY), "groups"),
        ({"groups": ()}, "groups"),
        ({"groups": ("canary",)}, "groups"),
        ({"groups": ("field", "field")}, "groups"),
        ({"groups": tuple(f"g{n}" for n in range(64))}, "groups"),
        ({"groups": ("field", "Field")}, "groups.1"),
        (_first(CANARY, group=""), "phases.0.group"),
        (_first(CANARY, group="7up"), "phases.0.group"),
        (_first(CANARY, size=5), "phases.0.size"),
        (_first(TENTH, group="canary"), "phases.0.group"),
        (_first(FIVE, group="canary"), "phases.0.group"),
        (_first(FIVE, size=0), "phases.0.size"),
        (_first(TENTH, size=0), "phases.0.size"),
        (_first(TENTH, size=101), "phases.0.size"),
        (_first(CANARY, success_percent=0), "phases.0.success_percent"),
        (_first(CANARY, success_percent=101), "phases.0.success_percent"),
        (_first(CANARY, failure_count=None), "phases.0.failure_count"),
        (_first(CANARY, failure_count=0), "phases.0.failure_count"),
        (_first(CANARY, failure_percent=0), "phases.0.failure_percent"),
        (_first(CANARY, failure_percent=101), "phases.0.failure_percent"),
        (_first(CANARY, soak_s=-1), "phases.0.soak_s"),
        (_first(CANARY, soak_s=366 * 86400), "phases.0.soak_s"),
        (_first(CANARY, concurrency=0), "phases.0.concurrency"),
        (_first(CANARY, starts_at_s=-1), "phases.0.starts_at_s"),
        (_first(CANARY, windows=(NIGHT,) * 33), "phases.0.windows"),
        (_window(days=()), "phases.0.windows.1.days"),
        (_window(days=(1, 1)), "phases.0.windows.1.days"),
        (_window(days=(2, 1)), "phases.0.windows.1.days"),
        (_window(days=(0, 7)), "phases.0.windows.1.days"),
        (_window(days=(-1, 0)), "phases.0.windows.1.days"),
        (_window(start_minute=1440), "phases.0.windows.1.start_minute"),
        (_window(start_minute=-1), "phases.0.windows.1.start_minute"),
        (_window(duration_minutes=0), "phases.0.windows.1.duration_minutes"),
        (_window(duration_minutes=1441), "phases.0.windows.1.duration_minutes"),
    ],
)
def test_a_plan_that_makes_no_sense(changes, field):
    """One row a rule."""
    with pytest.raises(PlanError) as caught:
        replace(PLAN, **changes)
    assert caught.value.field == field
    assert str(caught.value) == f"{field}: {caught.value.text}"


@pytest.mark.parametrize(
    "changes",
    [
        _first(CANARY, windows=(NIGHT, NIGHT), concurrency=1, starts_at_s=0, soak_s=365 * 86400),
        _first(CANARY, failure_count=None, failure_percent=1, success_percent=1),
        {"groups": (), **_phases(CANARY)},
        {"groups": ("canary",), **_phases(CANARY)},
        _phases(FIVE, FIVE),
        _phases(*(replace(TENTH, size=size) for size in range(1, 33))),
        {"silence_s": 60, "tries_max": 10, "recovery": b"r" * 32},
        {"groups": tuple(f"g{n}" for n in range(63))},
    ],
)
def test_a_plan_at_its_limits(changes):
    """Just inside each rule."""
    assert replace(PLAN, **changes).release == b"d" * 32


def test_what_people_call_a_phase():
    """Its kind and size."""
    assert [phase.title for phase in PLAN.phases] == [
        "group canary",
        "5 devices",
        "10 percent",
        "100 percent",
    ]
