"""Which phase a device is in: groups first, then pieces of a row that is drawn for each rollout."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pawl_server.domain.joining import allot, phase_of_newcomer, rank
from pawl_server.domain.plan import Phase, PhaseKind, Plan, PlanError

CANARY = Phase(kind=PhaseKind.GROUP, group="canary")


def _plan(*phases):
    return Plan(release=b"d" * 32, groups=("field",), phases=(CANARY, *phases))


def _percent(size):
    return Phase(kind=PhaseKind.PERCENT, size=size)


def _count(size):
    return Phase(kind=PhaseKind.COUNT, size=size)


def _target(canaries, field):
    """Return pairs of a fleet whose canaries are in the field too."""
    names = [f"bench-{number}" for number in range(canaries + field)]
    return [("field", name) for name in names] + [("canary", name) for name in names[:canaries]]


def _sizes(plan, canaries, field):
    taken = Counter(allot(plan, "spring", _target(canaries, field)).values())
    return [taken[position] for position in range(len(plan.phases))]


@pytest.mark.parametrize(
    ("phases", "field", "sizes"),
    [
        ([_percent(10), _percent(50), _percent(100)], 100, [10, 40, 50]),
        ([_percent(10), _percent(100)], 11, [2, 9]),
        ([_percent(1), _percent(100)], 2, [1, 1]),
        ([_percent(50)], 9, [5]),
        ([_count(3), _percent(50), _percent(100)], 10, [3, 2, 5]),
        ([_count(3), _count(4)], 10, [3, 4]),
        ([_count(30)], 10, [10]),
        ([_percent(100)], 0, [0]),
    ],
)
def test_sizes_of_phases(phases, field, sizes):
    """Percents are of those without a group phase, cumulative, rounded up; counts come on top of what is reached."""
    assert _sizes(_plan(*phases), 2, field) == [2, *sizes]


@pytest.mark.parametrize(
    ("phases", "canaries", "field", "empty"),
    [
        ([_percent(100)], 0, 5, "phases.0"),
        ([_count(5), _percent(10), _percent(100)], 1, 10, "phases.2"),
        ([_percent(1), _percent(2), _percent(100)], 1, 10, "phases.2"),
    ],
)
def test_a_phase_without_a_device_is_refused(phases, canaries, field, empty):
    """But for the last one, which may wait for devices to join."""
    with pytest.raises(PlanError, match="gets no device: leave it out") as caught:
        _sizes(_plan(*phases), canaries, field)
    assert caught.value.field == empty


def test_the_first_group_takes_a_device():
    """And a device that is only in a group phase is in no piece of the rest."""
    plan = replace(_plan(_percent(100)), phases=(CANARY, replace(CANARY, group="lab"), _percent(100)))
    target = [("lab", "b-1"), ("canary", "b-1"), ("lab", "b-2"), ("field", "b-3")]
    assert allot(plan, "spring", target) == {"b-1": 0, "b-2": 1, "b-3": 2}


@given(names=st.lists(st.integers(0, 999), unique=True, min_size=2), seed=st.randoms())
def test_the_order_in_which_devices_come_doesnt_matter(names, seed):
    """Nor how often."""
    pairs = [("field", f"b-{number}") for number in names] + [("canary", "b-x")]
    mixed = 2 * pairs
    seed.shuffle(mixed)
    plan = _plan(_percent(50), _percent(100))
    assert allot(plan, "spring", pairs) == allot(plan, "spring", mixed)


def test_the_row_is_drawn_anew_for_each_rollout():
    """No device is always the first; the numbers are kept, so they must not change, and fit a signed 64-bit column."""
    names = [f"bench-{number}" for number in range(50)]
    rows = [sorted(names, key=lambda name: rank(rollout, name)) for rollout in ("spring", "summer")]
    assert rows[0] != rows[1]
    assert rank("spring", "bench-1") == 1251552826139455215
    assert all(0 <= rank("spring", name) < 2**63 for name in names)


@pytest.mark.parametrize(
    ("phases", "groups", "phase"),
    [
        ([_percent(50), _percent(100)], ("field",), 2),
        ([_percent(50), _percent(100)], ("field", "canary"), 0),
        ([_percent(50), _percent(100)], ("elsewhere",), None),
        ([_percent(50)], ("field",), None),
        ([_count(5)], ("field",), None),
        ([_count(5)], ("canary",), 0),
    ],
)
def test_newcomers(phases, groups, phase):
    """They join the phase of their group, else the last one if that takes all."""
    assert phase_of_newcomer(_plan(*phases), groups) == phase
