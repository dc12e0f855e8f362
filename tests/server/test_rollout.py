"""The rollout's table and its pure step: order, failure, commands, and a model that random histories can't lead astray."""

import itertools
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pawl_server.domain.rollout import (
    ASKABLE,
    FINAL_STATES,
    TRANSITIONS,
    UNSETTLED,
    Ask,
    Become,
    GroupCounts,
    Hold,
    Progress,
    Rollout,
    RolloutEvent,
    RolloutState,
    RolloutStateError,
    Withdraw,
    follow,
    step,
)

NOW_S = 1_800_000_000
ROLLOUT = Rollout(
    id=1,
    name="spring",
    release=b"d" * 32,
    groups=("canary", "production"),
    created_at_s=NOW_S,
    changed_at_s=NOW_S,
)


def _group(**counts):
    return GroupCounts(
        counts={Progress(name): number for name, number in counts.items()}, trouble="b-1 failed"
    )


def _state(name, reason="why"):
    return replace(ROLLOUT, state=RolloutState(name), reason=reason)


@pytest.mark.parametrize(
    ("state", "canary", "production", "actions"),
    [
        ("running", {"waiting": 2}, {"waiting": 1}, [Ask(0)]),
        ("running", {"open": 1, "waiting": 1}, {"waiting": 1}, [Ask(0)]),
        ("running", {"open": 1, "succeeded": 9}, {"waiting": 1}, []),
        ("running", {"succeeded": 2}, {"waiting": 1}, [Ask(1)]),
        ("running", {"succeeded": 2}, {"held": 1, "succeeded": 1}, [Ask(1)]),
        ("running", {}, {"waiting": 1}, [Ask(1)]),
        ("paused", {"waiting": 2}, {"waiting": 1}, []),
        ("paused", {"open": 1, "held": 1}, {"waiting": 1}, [Hold(0)]),
        ("failed", {"open": 1}, {"held": 1}, [Withdraw(0), Withdraw(1)]),
        ("failed", {"displaced": 1, "failed": 2, "succeeded": 3}, {"waiting": 1}, []),
        ("done", {"open": 1}, {"waiting": 1}, []),
    ],
)
def test_what_a_step_does(state, canary, production, actions):
    """One row a situation; a group is asked only when the one before it has succeeded whole."""
    assert step(_state(state), [_group(**canary), _group(**production)], NOW_S) == actions


@pytest.mark.parametrize("trouble", ["failed", "displaced"])
def test_trouble_pauses_and_holds_the_others(trouble):
    """With the group and the reason, whichever group it is in."""
    groups = [_group(succeeded=1), _group(open=2, **{trouble: 1})]
    paused, *held = step(ROLLOUT, groups, NOW_S + 5)
    assert paused.rollout.state is RolloutState.PAUSED
    assert paused.rollout.reason == "group production: b-1 failed"
    assert paused.rollout.changed_at_s == NOW_S + 5
    assert held == [Hold(1)]


@pytest.mark.parametrize("state", ["running", "paused"])
def test_when_all_have_succeeded_it_is_done(state):
    """Also if it was paused when the last one said so."""
    (done,) = step(_state(state), [_group(succeeded=1), _group(succeeded=2)], NOW_S)
    assert (done.rollout.state, done.rollout.reason) == (RolloutState.DONE, "")


def test_the_table_is_total_and_ends():
    """Every pair is answered or refused; nothing leads out of an end."""
    for state, event in itertools.product(RolloutState, RolloutEvent):
        following = TRANSITIONS[state].get(event)
        if following is None:
            with pytest.raises(RolloutStateError, match=f"is {state}: it can't {event}"):
                follow(_state(state), event, NOW_S)
        else:
            assert follow(_state(state), event, NOW_S).state is following
        if state in FINAL_STATES:
            assert following in {None, state}


def test_a_command_again_changes_nothing():
    """Neither reason nor time."""
    once = follow(ROLLOUT, RolloutEvent.PAUSE, NOW_S + 1, "paused by an operator")
    assert follow(once, RolloutEvent.PAUSE, NOW_S + 2, "another reason") == once


class Fleet:
    """Three groups of devices that fail as often as foreseen and then succeed; what the shell does, without a database."""

    def __init__(self, failures):
        self.groups = [list(group) for group in failures]
        self.rollout = replace(ROLLOUT, groups=tuple(f"g{n}" for n in range(len(failures))))
        self.progress = [[Progress.WAITING] * len(group) for group in failures]
        self.asked = Counter()

    def reconcile(self):
        """Carry out what the step says."""
        counts = [GroupCounts(counts=dict(Counter(group)), trouble="x") for group in self.progress]
        for action in step(self.rollout, counts, NOW_S):
            match action:
                case Become(rollout):
                    self.rollout = rollout
                case Ask(group):
                    assert all(set(before) <= {Progress.SUCCEEDED} for before in self.progress[:group])
                    assert self.rollout.state is RolloutState.RUNNING
                    self.change(group, ASKABLE, Progress.OPEN)
                case Hold(group):
                    self.change(group, (Progress.OPEN,), Progress.HELD)
                case Withdraw(group):
                    self.change(group, (Progress.OPEN, Progress.HELD), Progress.DISPLACED)

    def change(self, group, before, after):
        """Move devices of a group."""
        self.progress[group] = [after if one in before else one for one in self.progress[group]]

    def report(self, group, place):
        """Let a device say how it went; said again, or unasked, it changes nothing."""
        group %= len(self.groups)
        if not self.groups[group]:
            return
        place %= len(self.groups[group])
        if self.progress[group][place] is not Progress.OPEN:
            return
        if self.groups[group][place]:
            self.groups[group][place] -= 1
            self.progress[group][place] = Progress.FAILED
        else:
            self.progress[group][place] = Progress.SUCCEEDED

    def command(self, event):
        """Do what an operator does, if the state allows it."""
        if event not in TRANSITIONS[self.rollout.state]:
            return
        before, self.rollout = self.rollout, follow(self.rollout, event, NOW_S)
        if event is RolloutEvent.RESUME and before != self.rollout:
            for group in range(len(self.groups)):
                self.change(group, UNSETTLED, Progress.WAITING)

    def finish(self):
        """Let every device answer and resume after every pause, until nothing is left to do."""
        for _ in range(200):
            self.reconcile()
            for group, members in enumerate(self.groups):
                for place in range(len(members)):
                    self.report(group, place)
            if self.rollout.state is RolloutState.PAUSED:
                self.reconcile()
                self.command(RolloutEvent.RESUME)
        return self.rollout.state, self.progress


_FAILURES = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=4), min_size=1, max_size=3)
_MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("reconcile")),
        st.tuples(st.just("report"), st.integers(0, 2), st.integers(0, 3)),
        st.tuples(st.just("command"), st.sampled_from([RolloutEvent.PAUSE, RolloutEvent.RESUME])),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=300)
@given(failures=_FAILURES, moves=_MOVES)
def test_any_order_and_repetition_leads_to_the_same_end(failures, moves):
    """No later group before the earlier one succeeded, a paused one asks nobody, and all end on the release."""
    fleet = Fleet(failures)
    for name, *arguments in moves:
        getattr(fleet, name)(*arguments)
    state, progress = fleet.finish()
    assert state is RolloutState.DONE
    assert progress == Fleet(failures).finish()[1]


@settings(deadline=None, max_examples=200)
@given(failures=_FAILURES, before=_MOVES, after=_MOVES)
def test_a_cancelled_rollout_asks_nobody_any_more(failures, before, after):
    """Whatever happened before and is tried after; who has the release keeps it."""
    fleet = Fleet(failures)
    for name, *arguments in before:
        getattr(fleet, name)(*arguments)
    if fleet.rollout.state in FINAL_STATES:
        return
    fleet.command(RolloutEvent.CANCEL)
    fleet.reconcile()
    left = [list(group) for group in fleet.progress]
    for name, *arguments in after:
        getattr(fleet, name)(*arguments)
    assert fleet.finish() == (RolloutState.FAILED, left)
    assert not any({Progress.OPEN, Progress.HELD} & set(group) for group in left)
