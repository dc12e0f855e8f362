"""Random histories of rollouts under a virtual clock, cut anywhere; a step with a fault in it is found by the same histories."""

import random
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import Phase as Stage
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from rollout_faults import PLANTED
from rollout_model import NOW_S, SUCCESS, Member, Model

from pawl import codes
from pawl_server.domain import reasons, rollout
from pawl_server.domain.plan import Phase, PhaseKind, Plan, Window
from pawl_server.domain.rollout import (
    RolloutEvent,
)

HOUR_S = 3600
NIGHT = Window(days=tuple(range(7)), start_minute=22 * 60, duration_minutes=6 * 60)
FATES = (
    SUCCESS,
    codes.REASON_BLOCK_DIGEST,
    codes.REASON_BUDGET,
    codes.REASON_TRIALS,
    codes.REASON_QUARANTINE_FINAL,
    reasons.SILENT,
)
COMMANDS = [event for event in RolloutEvent if event not in {RolloutEvent.FAILURE, RolloutEvent.COMPLETION}]

_LIMITS = st.sampled_from([(1, None), (2, None), (None, 34), (3, 50)])


@st.composite
def _phases(draw, number):
    failure_count, failure_percent = draw(_LIMITS)
    return Phase(
        kind=PhaseKind.GROUP,
        group=f"g{number}",
        success_percent=draw(st.sampled_from([100, 100, 60, 1])),
        failure_count=failure_count,
        failure_percent=failure_percent,
        soak_s=draw(st.sampled_from([0, HOUR_S, 24 * HOUR_S])),
        concurrency=draw(st.sampled_from([None, 1, 2])),
        starts_at_s=draw(st.sampled_from([None, None, NOW_S + 30 * HOUR_S])),
        windows=draw(st.sampled_from([(), (), (NIGHT,)])),
    )


@st.composite
def _plans(draw):
    return Plan(
        release=b"d" * 32,
        groups=(),
        phases=tuple(draw(_phases(number)) for number in range(draw(st.integers(1, 3)))),
        recovery=draw(st.sampled_from([None, b"r" * 32])),
        silence_s=draw(st.sampled_from([6 * HOUR_S, 24 * HOUR_S])),
        tries_max=draw(st.integers(1, 3)),
        stays_open=draw(st.booleans()),
        needs_approval=draw(st.sampled_from([False, False, True])),
    )


@st.composite
def _members(draw, phase, number):
    return Member(
        name=f"bench-{number}",
        phase=phase,
        zone=draw(st.sampled_from(["UTC", "Pacific/Auckland"])),
        fates=tuple(draw(st.lists(st.sampled_from(FATES), max_size=3))),
        recovers=draw(st.sampled_from([True, True, False, None])),
        is_late=draw(st.booleans()),
    )


@st.composite
def _fleets(draw, plan):
    sizes = [draw(st.integers(0, 4)) for _ in plan.phases]
    phases = [phase for phase, size in enumerate(sizes) for _ in range(size)]
    return [draw(_members(phase, number)) for number, phase in enumerate(phases)]


class RolloutMachine(RuleBasedStateMachine):
    """Time, engine, devices and operators take turns as chance wants."""

    step = staticmethod(rollout.step)

    @initialize(data=st.data())
    def create(self, data):
        """Begin with any plan."""
        plan = data.draw(_plans())
        self.model = Model(plan, data.draw(_fleets(plan)), type(self).step)

    @rule(hours=st.sampled_from([0.2, 1, 5, 24]))
    def pass_time(self, hours):
        """Let time pass."""
        self.model.now_s += int(hours * HOUR_S)

    @rule(batch=st.sampled_from([None, 1]))
    def settle(self, batch):
        """Let the engine do all there is to do, whole or one device a transaction."""
        self.model.settle(devices_max=batch)

    @rule(actions=st.integers(0, 3), devices=st.integers(1, 2))
    def die_midway(self, actions, devices):
        """Let the process die between two actions, and within them."""
        self.model.run(actions, devices)

    @rule()
    def let_devices_answer(self):
        """Let all that are asked answer."""
        self.model.let_devices_answer()

    @rule(place=st.integers(0, 11), fate=st.sampled_from(FATES))
    def report(self, place, fate):
        """Let one device say anything, asked or not, again or late."""
        member = self._member(place)
        if member is not None and fate == SUCCESS:
            self.model.succeed(member)
        elif member is not None:
            self.model.fail(member, fate)

    @rule(place=st.integers(0, 11), is_recovered=st.booleans())
    def report_recovery(self, place, is_recovered):
        """Let one device say how its recovery went."""
        member = self._member(place)
        if member is not None:
            self.model.recover(member, is_recovered=is_recovered)

    @rule(place=st.integers(0, 11))
    def displace(self, place):
        """Assign another release to one device."""
        member = self._member(place)
        if member is not None:
            self.model.displace(member)

    @rule(data=st.data())
    def join(self, data):
        """Let a device join any phase."""
        phase = data.draw(st.integers(0, len(self.model.plan.phases) - 1))
        self.model.join(data.draw(_members(phase, len(self.model.members))))

    @rule(event=st.sampled_from([*COMMANDS, RolloutEvent.RESUME, RolloutEvent.RETRY]))
    def command(self, event):
        """Let an operator say anything."""
        self.model.command(event)

    @invariant()
    def keeps_its_word(self):
        """Whenever one looks."""
        if hasattr(self, "model"):
            self.model.check_concurrency()
            self.model.check_unbegun()

    def teardown(self):
        """Every device ends, and so does the rollout."""
        if hasattr(self, "model"):
            self.model.finish()

    def _member(self, place):
        members = self.model.members
        return members[place % len(members)] if members else None


TestRollouts = RolloutMachine.TestCase
TestRollouts.settings = settings(
    deadline=None,
    max_examples=300,
    stateful_step_count=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(fault):
    """Each by the same machine, and by no other way."""
    machine = type("Planted", (RolloutMachine,), {"step": staticmethod(PLANTED[fault])})
    quick = settings(
        TestRollouts.settings,
        derandomize=True,
        database=None,
        max_examples=1500,  # it ends with the first that finds it
        phases=[Stage.generate],
        report_multiple_bugs=False,
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=quick)


@st.composite
def _clear_plans(draw):
    """Return a plan whose end is a matter of what devices report, not of when: all of a phase are asked, and all must succeed."""
    plan = draw(_plans())
    clear = {"success_percent": 100, "concurrency": None, "starts_at_s": None, "windows": (), "soak_s": 0}
    phases = tuple(replace(phase, **clear) for phase in plan.phases)
    return replace(plan, phases=phases, needs_approval=False, stays_open=False, silence_s=20 * 86400)


def _end(plan, outcomes, seed):
    """Return the end of a rollout whose devices report again and again, in an order of chance, to an engine that dies."""
    chance = random.Random(seed)
    model = Model(plan, [Member(name=f"bench-{n}", phase=phase) for n, (phase, _) in enumerate(outcomes)])
    said = {member.name: fate for member, (_, fate) in zip(model.members, outcomes, strict=True)}
    asked = -1
    while asked != sum(member.asks for member in model.members):
        model.settle(devices_max=1)
        asked = sum(member.asks for member in model.members)
        reports = 2 * [member for member in model.members if member.asks]
        chance.shuffle(reports)
        for member in reports:
            _say(model, member, said[member.name])
            if chance.random() < 0.5:
                model.run(chance.randrange(4), chance.randrange(1, 3))
        model.settle()
    model.finish()
    on_it = sorted(member.name for member in model.members if member.runs_it)
    asked_ones = sorted(member.name for member in model.members if member.asks)
    return model.rollout.state, model.rollout.phase, asked_ones, on_it


def _say(model, member, fate):
    if fate == SUCCESS:
        model.succeed(member)
    else:
        model.fail(member, fate)


@settings(deadline=None, max_examples=100)
@given(data=st.data(), plan=_clear_plans(), seeds=st.lists(st.integers(0, 2**32), min_size=2, max_size=3))
def test_the_same_reports_in_any_order_and_repeated_lead_to_the_same_end(data, plan, seeds):
    """The same state, the same phase, the same devices asked, and the same that run the release."""
    fates = st.sampled_from([SUCCESS, SUCCESS, SUCCESS, codes.REASON_TRIALS])
    outcomes = [
        (phase, data.draw(fates))
        for phase in range(len(plan.phases))
        for _ in range(data.draw(st.integers(0, 4)))
    ]
    assert len({str(_end(plan, outcomes, seed)) for seed in seeds}) == 1
