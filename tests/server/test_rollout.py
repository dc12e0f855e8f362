"""The rollout's table and its pure step, one row a situation: order, thresholds, soak, concurrency, commands, the way back."""

import itertools
from dataclasses import replace

import pytest

from pawl_server.domain.plan import Phase, PhaseKind, Plan
from pawl_server.domain.rollout import (
    FINAL_PROGRESS,
    TRANSITIONS,
    UNSETTLED,
    Ask,
    Become,
    Hold,
    HoldOutside,
    PhaseCounts,
    PhaseState,
    Progress,
    Recover,
    RolloutEvent,
    RolloutState,
    RolloutStateError,
    Withdraw,
    begin,
    follow,
    step,
)

NOW_S = 1_800_000_000
CANARY = Phase(kind=PhaseKind.GROUP, group="canary", soak_s=3600)
PRODUCTION = Phase(kind=PhaseKind.PERCENT, size=100, failure_count=None, failure_percent=20, concurrency=3)
PLAN = Plan(release=b"d" * 32, groups=("field",), phases=(CANARY, PRODUCTION))
RECOVERY = b"r" * 32


def _rollout(state="running", *, begun=0, passed=(), forgiven=0, **changes):
    """Return a rollout of which so many phases have begun, an hour ago, and these have passed."""
    one = begin(replace(PLAN, **changes), rollout_id=1, name="spring", now_s=NOW_S - 9000)
    states = [
        PhaseState(
            began_at_s=NOW_S - 9000 if position < begun else None,
            passed_at_s=dict(enumerate(passed)).get(position),
            forgiven=forgiven,
        )
        for position in range(2)
    ]
    return replace(one, state=RolloutState(state), phase_states=tuple(states))


def _counts(ready=None, outside=0, trouble="b-1: trials", **counts):
    is_asked = counts.get("waiting", 0) + counts.get("held", 0)
    return PhaseCounts(
        counts={Progress(name): number for name, number in counts.items()},
        ready=is_asked if ready is None else ready,
        outside=outside,
        trouble=trouble,
    )


LONG_AGO_S, JUST_NOW_S = NOW_S - 3600, NOW_S - 3599
BOTH = {"begun": 2, "passed": (LONG_AGO_S,)}


@pytest.mark.parametrize(
    ("rollout", "canary", "production", "actions"),
    [
        (_rollout(begun=1), {"waiting": 2}, {"waiting": 1}, [Ask(0, 2)]),
        (_rollout(begun=1), {"waiting": 2, "ready": 1}, {"waiting": 1}, [Ask(0, 1)]),
        (_rollout(begun=1), {"open": 1, "succeeded": 9}, {"waiting": 1}, []),
        (_rollout(begun=1), {"open": 2, "outside": 2, "held": 1, "ready": 0}, {}, [HoldOutside(0)]),
        (_rollout(begun=1, passed=(JUST_NOW_S,)), {"succeeded": 2}, {"waiting": 1}, []),
        (_rollout(**BOTH), {"succeeded": 2}, {"waiting": 9}, [Ask(1, 3)]),
        (_rollout(**BOTH), {"succeeded": 2}, {"waiting": 9, "open": 2}, [Ask(1, 1)]),
        (_rollout(**BOTH), {"succeeded": 2}, {"waiting": 9, "open": 4}, []),
        (_rollout(**BOTH), {"succeeded": 2}, {"waiting": 8, "failed": 1, "open": 3}, []),
        (_rollout("awaiting-approval"), {"waiting": 2}, {"waiting": 1}, []),
        (_rollout("paused", begun=1), {"waiting": 2}, {"waiting": 1}, []),
        (_rollout("paused", **BOTH), {"open": 1, "held": 1}, {"open": 1}, [Hold(0), Hold(1)]),
        (_rollout("paused", **BOTH), {"failed": 1}, {"succeeded": 1}, []),
        (_rollout("cancelled", **BOTH), {"failed": 2, "succeeded": 3}, {"withdrawn": 1}, []),
        (_rollout("rolling-back", **BOTH), {"open": 1, "succeeded": 1}, {"held": 1}, [Withdraw(0), Recover(0), Withdraw(1)]),
        (_rollout("rolling-back", **BOTH), {"recovering": 1, "failed": 1}, {"withdrawn": 4}, []),
        (_rollout("rolled-back", **BOTH), {"recovered": 1, "succeeded": 1}, {"open": 1}, [Recover(0), Withdraw(1)]),
        (_rollout("done", **BOTH), {"succeeded": 1}, {"succeeded": 1}, []),
        (_rollout(**BOTH, stays_open=True), {"succeeded": 1}, {"displaced": 1, "open": 1}, []),
    ],
)  # fmt: skip
def test_what_a_step_does(rollout, canary, production, actions):
    """Nothing that has been done already, and nothing too early."""
    found = step(rollout, [_counts(**canary), _counts(**production)], NOW_S)
    assert [action for action in found if not isinstance(action, Become)] == actions


def test_a_cancelled_rollout_stops_those_on_the_way_back_too():
    """A cancelled rollout offers nothing."""
    (action,) = step(_rollout("cancelled", begun=1), [_counts(recovering=1, held=1), _counts()], NOW_S)
    assert action == Withdraw(0, (*UNSETTLED, Progress.RECOVERING))


def test_phases_begin_one_after_the_other():
    """The first at once; the next when the soak is over, which begins when the threshold is met."""
    counts = [_counts(succeeded=2), _counts(waiting=2)]
    (first,) = step(_rollout(), counts, NOW_S)
    assert (first.rollout.phase, first.rollout.phase_states[0]) == (
        0,
        PhaseState(began_at_s=NOW_S, passed_at_s=NOW_S),
    )
    assert step(first.rollout, counts, NOW_S + 3599) == []
    second, ask = step(first.rollout, counts, NOW_S + 3600)
    assert second.rollout.phase_states[1].began_at_s == NOW_S + 3600
    assert ask == Ask(1, 2)


def test_a_soak_begins_anew_when_the_threshold_is_lost():
    """A device that joined meanwhile has to succeed first."""
    rollout = _rollout(begun=1, passed=(LONG_AGO_S,))
    lost, _ = step(rollout, [_counts(succeeded=2, waiting=1), _counts(waiting=1)], NOW_S)
    assert lost.rollout.phase_states[0].passed_at_s is None
    (again,) = step(lost.rollout, [_counts(succeeded=3), _counts(waiting=1)], NOW_S + 60)
    assert (again.rollout.phase_states[0].passed_at_s, again.rollout.phase) == (NOW_S + 60, 0)


def test_a_phase_waits_for_its_own_start():
    """The first one too."""
    phases = (replace(CANARY, starts_at_s=NOW_S + 10), replace(PRODUCTION, starts_at_s=NOW_S + 9000))
    counts = [_counts(succeeded=1), _counts(waiting=1)]
    assert step(_rollout(phases=phases), counts, NOW_S + 9) == []
    (first,) = step(_rollout(phases=phases), counts, NOW_S + 10)
    assert step(first.rollout, counts, NOW_S + 8999) == []
    assert step(first.rollout, counts, NOW_S + 9000)[0].rollout.phase == 1


def test_empty_phases_pass_at_once():
    """All of them in one step, up to the end."""
    phases = (replace(CANARY, soak_s=0), PRODUCTION)
    (done,) = step(_rollout(phases=phases), [_counts(displaced=1), _counts()], NOW_S)
    assert (done.rollout.state, done.rollout.phase) == (RolloutState.DONE, 1)


@pytest.mark.parametrize(
    ("canary", "production", "reason"),
    [
        ({"failed": 1, "open": 4}, {}, "phase 1 (group canary): 1 of 5 devices failed (b-1: trials), 1 stop it"),
        ({"succeeded": 1}, {"failed": 2, "open": 8}, "phase 2 (100 percent): 2 of 10 devices failed (b-1: trials), 20 percent stop it"),
        ({"succeeded": 1}, {"failed": 1, "succeeded": 9, "displaced": 3}, "phase 2 (100 percent): 1 of 10 devices failed (b-1: trials), 9 succeeded and no other is left, 100 percent must succeed"),
    ],
)  # fmt: skip
def test_a_rollout_pauses_with_figures_and_holds_the_others(canary, production, reason):
    """At the failure threshold, and where nobody is left to meet the other one."""
    counts = [_counts(**canary), _counts(**production)]
    paused, *held = step(_rollout(**BOTH), counts, NOW_S)
    assert (paused.rollout.state, paused.rollout.reason) == (RolloutState.PAUSED, reason)
    assert paused.rollout.changed_at_s == NOW_S
    assert held == [Hold(position) for position, one in enumerate(counts) if one.of(Progress.OPEN)]


def test_a_rollout_with_a_recovery_release_goes_back_by_itself():
    """Who took it recovers, who hasn't is stopped; a later phase isn't touched."""
    counts = [_counts(failed=1, open=1, succeeded=1), _counts(waiting=9)]
    back, *actions = step(_rollout(begun=1, recovery=RECOVERY), counts, NOW_S)
    assert back.rollout.state is RolloutState.ROLLING_BACK
    assert back.rollout.reason.startswith("phase 1 (group canary): 1 of 3 devices failed")
    assert actions == [Withdraw(0), Recover(0)]
    (ended,) = step(back.rollout, [_counts(failed=1, withdrawn=1, recovered=1), _counts(withdrawn=9)], NOW_S)
    assert ended.rollout.state is RolloutState.ROLLED_BACK


def test_resumed_after_failures_it_overlooks_those_and_no_others():
    """They count neither as failures nor as missing; one that repairs itself makes no room for another."""
    paused = _rollout("paused", begun=1)
    running = follow(
        paused, RolloutEvent.RESUME, NOW_S, "resumed", [_counts(failed=1, waiting=2), _counts(waiting=1)]
    )
    assert [state.forgiven for state in running.phase_states] == [1, 0]
    assert step(running, [_counts(failed=1, waiting=2), _counts(waiting=1)], NOW_S) == [Ask(0, 2)]
    passed, *_ = step(running, [_counts(failed=1, succeeded=2), _counts(waiting=1)], NOW_S)
    assert passed.rollout.phase_states[0].passed_at_s == NOW_S
    (stopped,) = step(running, [_counts(failed=2, succeeded=1), _counts(waiting=1)], NOW_S)
    assert "2 of 3 devices failed (b-1: trials), 1 of them forgiven, 1 stop it" in stopped.rollout.reason
    repaired, *_ = step(running, [_counts(open=1, succeeded=2), _counts(waiting=1)], NOW_S)
    assert repaired.rollout.phase_states[0].forgiven == 0


@pytest.mark.parametrize("state", ["running", "paused"])
def test_when_all_have_succeeded_it_is_done(state):
    """Also if it was paused when the last one said so."""
    (done,) = step(_rollout(state, **BOTH), [_counts(succeeded=1), _counts(succeeded=2)], NOW_S)
    assert (done.rollout.state, done.rollout.reason) == (RolloutState.DONE, "")


def test_the_table_is_total_and_ends():
    """Every pair is answered or refused; only retrying and going back lead out of an end."""
    for state, event in itertools.product(RolloutState, RolloutEvent):
        rollout = _rollout(state.value, begun=1)
        following = TRANSITIONS[state].get(event)
        if following is None or following is RolloutState.ROLLING_BACK:
            with pytest.raises(RolloutStateError, match="rollout spring"):
                follow(rollout, event, NOW_S, counts=[_counts(), _counts()])
        else:
            assert follow(rollout, event, NOW_S, counts=[_counts(), _counts()]).state is following
        if state is RolloutState.CANCELLED:
            assert following in {None, state}


def test_going_back_takes_a_recovery_release():
    """Without one, a person is told what to do instead; with one, a failure is answered so too."""
    with pytest.raises(RolloutStateError, match="names no recovery release: cancel it"):
        follow(_rollout(), RolloutEvent.ROLL_BACK, NOW_S)
    able = _rollout(recovery=RECOVERY)
    for event in (RolloutEvent.ROLL_BACK, RolloutEvent.FAILURE):
        assert follow(able, event, NOW_S).state is RolloutState.ROLLING_BACK


def test_a_command_again_changes_nothing():
    """Neither reason nor time, nor what is forgiven: a resume that comes twice overlooks nothing new."""
    once = follow(_rollout(), RolloutEvent.PAUSE, NOW_S + 1, "paused by an operator")
    assert follow(once, RolloutEvent.PAUSE, NOW_S + 2, "another reason") == once
    running = _rollout(begun=1)
    assert follow(running, RolloutEvent.RESUME, NOW_S, counts=[_counts(failed=5), _counts()]) == running


def test_resuming_without_counts_is_a_mistake():
    """Nothing would be forgiven, and the rollout paused again at once."""
    with pytest.raises(ValueError, match="zip"):
        follow(_rollout("paused"), RolloutEvent.RESUME, NOW_S)


def test_who_waits_for_approval_begins_nothing():
    """Until it is approved; rejected, it has ended."""
    awaiting = begin(replace(PLAN, needs_approval=True), rollout_id=1, name="spring", now_s=NOW_S)
    assert step(awaiting, [_counts(waiting=1), _counts(waiting=1)], NOW_S) == []
    assert follow(awaiting, RolloutEvent.APPROVE, NOW_S).state is RolloutState.RUNNING
    assert follow(awaiting, RolloutEvent.REJECT, NOW_S, "no").state is RolloutState.CANCELLED


def test_every_progress_is_final_or_not():
    """Those that aren't are asked, on the way, or on the way back."""
    assert set(Progress) - FINAL_PROGRESS == {Progress.WAITING, *UNSETTLED, Progress.RECOVERING}
