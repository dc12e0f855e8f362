"""A rollout's members in memory, and a store that carries actions out and trusts none of them.

Whoever is asked is judged by what the model itself has seen: when a phase's threshold was met, which failures were forgiven,
what the clock on the device's wall says. So a step that asks too early, too many or the wrong ones is found here.
"""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from pawl import codes
from pawl_server.domain import reasons, rollout
from pawl_server.domain.retry import Final, decide
from pawl_server.domain.rollout import (
    ASKABLE,
    FINAL_PROGRESS,
    FINAL_STATES,
    UNSETTLED,
    Ask,
    Become,
    Hold,
    HoldOutside,
    PhaseCounts,
    Progress,
    Recover,
    RolloutEvent,
    RolloutState,
    RolloutStateError,
    Withdraw,
)
from pawl_server.domain.windows import is_open

NOW_S = 1_800_000_000
BY_HAND = "paused by an operator"
PASSES_MAX = 60  # until nothing is left to do, one batch each
REST_PASSES_MAX = 600
REST_S = 5 * 3600  # shorter than the windows: none is missed
SUCCESS = codes.REASON_OK
_BACK = (RolloutState.ROLLING_BACK, RolloutState.ROLLED_BACK)
_FORGIVING = (RolloutEvent.RESUME, RolloutEvent.RETRY)


@dataclass
class Member:
    """A device: `fates` are what it says to each time it is asked, then success; `recovers` is what to the recovery."""

    name: str
    phase: int
    zone: str = "UTC"
    fates: tuple = ()
    recovers: bool | None = True
    progress: Progress = Progress.WAITING
    reason: int = 0
    is_judged: bool = True
    tries: int = 0
    asks: int = 0
    asked_at_s: int = 0
    not_before_s: int = 0
    runs_it: bool = False


class Model:
    """The members of one rollout, a clock, and everything that may happen to them."""

    def __init__(self, plan, members, step=rollout.step):
        self.step = step
        self.now_s = NOW_S
        self.members = members
        self.rollout = rollout.begin(plan, rollout_id=1, name="spring", now_s=NOW_S)
        self.forgiven = [0] * len(plan.phases)
        self.met_since = [None] * len(plan.phases)

    @property
    def plan(self):
        """The plan."""
        return self.rollout.plan

    def shown(self, member):
        """Return how far the store says that a member is."""
        is_known = member.progress is not Progress.FAILED or member.is_judged
        progress = member.progress if is_known else Progress.WAITING
        has_ended = self.rollout.state in (*_BACK, RolloutState.CANCELLED)
        return Progress.WITHDRAWN if has_ended and progress is Progress.WAITING else progress

    def of(self, phase, *progress):
        """Return the members of a phase that are as far as one of these."""
        found = [member for member in self.members if member.phase == phase]
        return [member for member in found if self.shown(member) in progress]

    def counts(self):
        """Return what the store counts."""
        return [self._counts_of(phase) for phase in range(len(self.plan.phases))]

    def _counts_of(self, phase):
        counts = {one: len(self.of(phase, one)) for one in Progress}
        failed = [
            f"{member.name}: {reasons.reason_name(member.reason)}"
            for member in self.of(phase, Progress.FAILED)
        ]
        return PhaseCounts(
            counts={one: number for one, number in counts.items() if number},
            ready=sum(self.is_ready(member) for member in self.of(phase, *ASKABLE)),
            outside=sum(not self.is_inside(member) for member in self.of(phase, Progress.OPEN)),
            trouble=failed[0] if failed else "",
        )

    def is_inside(self, member):
        """Return whether the store says that the member's window is open."""
        return is_open(self.plan.phases[member.phase].windows, member.zone, self.now_s)

    def is_ready(self, member):
        """Return whether the store says that the member may be asked."""
        return member.is_judged and member.not_before_s <= self.now_s and self.is_inside(member)

    # The engine

    def run(self, actions_max=None, devices_max=None):
        """Make one transaction: judge failures, step, and carry out so many actions for so many devices each."""
        self.judge()
        self._observe()
        actions = self.step(self.rollout, self.counts(), self.now_s)
        for action in actions[:actions_max]:
            self._carry_out(action, devices_max)
        return actions

    def settle(self, devices_max=None):
        """Run until nothing is left to do, and look at what is left."""
        for _ in range(PASSES_MAX):
            if not self.run(devices_max=devices_max):
                return self._check_settled()
        raise AssertionError(f"it never comes to rest: {self.rollout}")

    def judge(self):
        """Say of each failure whether it is final; silence is one."""
        for member in self.members:
            is_silent = self.now_s - member.asked_at_s >= self.plan.silence_s
            if member.progress is Progress.OPEN and is_silent:
                self.fail(member, reasons.SILENT)
            if member.progress is Progress.RECOVERING and is_silent:
                self.recover(member, is_recovered=False)
            if not member.is_judged:
                self._judge(member)

    def _judge(self, member):
        member.is_judged = True
        verdict = decide(member.reason, member.tries, self.plan.tries_max, member.name)
        is_active = self.rollout.state in (RolloutState.RUNNING, RolloutState.PAUSED)
        if is_active and not isinstance(verdict, Final):
            member.progress = Progress.WAITING
            member.not_before_s = self.now_s + verdict.backoff_s

    def _carry_out(self, action, devices_max):
        if isinstance(action, Become):
            self._check_become(action.rollout)
            self.rollout = action.rollout
            return
        for member in self._meant(action)[:devices_max]:
            match action:
                case Ask():
                    self._ask(member)
                case Hold() | HoldOutside():
                    member.progress = Progress.HELD
                case Withdraw():
                    is_recovering = member.progress is Progress.RECOVERING
                    member.progress = Progress.UNRECOVERED if is_recovering else Progress.WITHDRAWN
                case Recover():
                    assert self.rollout.state in _BACK
                    member.progress, member.asked_at_s = Progress.RECOVERING, self.now_s

    def _meant(self, action):
        """Return whom an action speaks of; who is ready comes first, but a step that wants more gets more."""
        match action:
            case Ask(phase, limit):
                members = [member for member in self.members if member.phase == phase]
                askable = [member for member in members if member.progress in ASKABLE and member.is_judged]
                return sorted(askable, key=self.is_ready, reverse=True)[:limit]
            case Hold(phase):
                return self.of(phase, Progress.OPEN)
            case HoldOutside(phase):
                return [member for member in self.of(phase, Progress.OPEN) if not self.is_inside(member)]
            case Withdraw(phase, whom):
                return self.of(phase, *whom)
            case Recover(phase):
                return self.of(phase, Progress.SUCCEEDED)

    def _ask(self, member):
        self._check_ask(member)
        member.tries += member.progress is Progress.WAITING
        member.asks += 1
        member.progress, member.asked_at_s = Progress.OPEN, self.now_s
        self.check_concurrency()

    # Devices and operators

    def succeed(self, member):
        """Let a device say that it confirmed the release; unasked, it can't."""
        settled = (Progress.OPEN, Progress.HELD, Progress.FAILED, Progress.WAITING, Progress.WITHDRAWN)
        if member.asks and member.progress in settled:
            member.progress, member.is_judged, member.runs_it = Progress.SUCCEEDED, True, True

    def fail(self, member, reason):
        """Let a device say that it failed; it settles only what is open."""
        if member.progress in UNSETTLED:
            member.progress, member.is_judged, member.reason = Progress.FAILED, False, reason

    def recover(self, member, *, is_recovered):
        """Let a device say how the recovery went."""
        if member.progress is Progress.RECOVERING:
            member.progress = Progress.RECOVERED if is_recovered else Progress.UNRECOVERED
            member.runs_it = member.runs_it and not is_recovered

    def displace(self, member):
        """Assign another release to a device."""
        member.progress, member.is_judged, member.runs_it = Progress.DISPLACED, True, False

    def join(self, member):
        """Let a device join."""
        if self.rollout.state not in FINAL_STATES and self.rollout.state not in _BACK:
            self.members.append(member)

    def command(self, event):
        """Do what an operator does, if the state allows it."""
        try:
            rollout.follow(self.rollout, event, self.now_s, counts=self.counts())
        except RolloutStateError:
            return
        if event is RolloutEvent.RETRY:
            for member in self.members:
                if self.shown(member) is Progress.FAILED and member.reason != codes.REASON_QUARANTINE_FINAL:
                    member.progress, member.tries, member.not_before_s = Progress.WAITING, 0, 0
        before = self.rollout
        self.rollout = rollout.follow(before, event, self.now_s, BY_HAND, self.counts())
        if event in _FORGIVING and before != self.rollout:
            self.forgiven = [len(self.of(phase, Progress.FAILED)) for phase in range(len(self.forgiven))]

    def let_devices_answer(self):
        """Let each device do what it is fated to."""
        for member in self.members:
            fate = member.fates[member.asks - 1] if 0 < member.asks <= len(member.fates) else SUCCESS
            if member.progress is Progress.OPEN and fate == SUCCESS:
                self.succeed(member)
            elif member.progress is Progress.OPEN and fate != reasons.SILENT:
                self.fail(member, fate)
            if member.recovers is not None:
                self.recover(member, is_recovered=member.recovers)

    def finish(self):
        """Let time pass and devices answer until nothing can happen any more, and look at the end."""
        for _ in range(REST_PASSES_MAX):
            self.command(RolloutEvent.APPROVE)
            if self.rollout.state is RolloutState.PAUSED and self.rollout.reason == BY_HAND:
                self.command(RolloutEvent.RESUME)
            self.settle()
            if self._is_at_rest():
                return self._check_end()
            self.let_devices_answer()
            self.now_s += REST_S
        raise AssertionError(f"it never ends: {self.rollout}, {self.members}")

    # What must hold

    def check_concurrency(self):
        """Never are more open than allowed."""
        for phase, wanted in enumerate(self.plan.phases):
            assert wanted.concurrency is None or len(self.of(phase, Progress.OPEN)) <= wanted.concurrency

    def check_unbegun(self):
        """A phase that hasn't begun never saw the release."""
        for member in self.members:
            assert not member.asks or self.rollout.phase_states[member.phase].began_at_s is not None

    def _check_ask(self, member):
        assert self.rollout.state is RolloutState.RUNNING
        assert self.rollout.phase_states[member.phase].began_at_s is not None
        assert self._wall_allows(member)
        assert member.not_before_s <= self.now_s
        assert not any(self._is_stopped(phase) for phase in range(len(self.forgiven)))

    def _wall_allows(self, member):
        """Windows of these tests are daily."""
        wall = datetime.fromtimestamp(self.now_s, ZoneInfo(member.zone))
        windows = self.plan.phases[member.phase].windows
        minute = wall.hour * 60 + wall.minute
        return not windows or any(
            (minute - one.start_minute) % 1440 < one.duration_minutes for one in windows
        )

    def _observe(self):
        """Note what a running rollout sees: forgiven failures that were repaired, thresholds that are met."""
        if self.rollout.state is not RolloutState.RUNNING:
            return
        for phase in range(len(self.forgiven)):
            if self._is_stopped(phase):
                return
        for phase in range(len(self.forgiven)):
            self.forgiven[phase] = min(self.forgiven[phase], len(self.of(phase, Progress.FAILED)))
            is_kept = self.met_since[phase] is not None
            since_s = self.met_since[phase] if is_kept else self.now_s
            self.met_since[phase] = since_s if self._is_met(phase) else None

    def _members_of(self, phase):
        return len(self.of(phase, *set(Progress) - {Progress.DISPLACED, Progress.WITHDRAWN}))

    def _is_met(self, phase):
        counting = self._members_of(phase) - self.forgiven[phase]
        return (
            len(self.of(phase, Progress.SUCCEEDED))
            >= counting * self.plan.phases[phase].success_percent / 100
        )

    def _is_stopped(self, phase):
        wanted = self.plan.phases[phase]
        if self.rollout.phase_states[phase].began_at_s is None:
            return False
        failed = len(self.of(phase, Progress.FAILED)) - self.forgiven[phase]
        most = [] if wanted.failure_count is None else [wanted.failure_count]
        if wanted.failure_percent is not None:
            most.append(wanted.failure_percent * self._members_of(phase) / 100)
        return failed > 0 and failed >= min(most)

    def _is_final(self, *phases):
        return all(self.shown(member) in FINAL_PROGRESS for member in self.members if member.phase in phases)

    def _check_become(self, new):
        begun = range(self.rollout.phase + 1, new.phase + 1)
        for phase in begun:
            wanted = self.plan.phases[phase]
            assert self.rollout.state is RolloutState.RUNNING
            assert self.now_s >= (wanted.starts_at_s or 0)
            if phase:
                before = new.phase_states[phase - 1]
                assert self.met_since[phase - 1] is not None
                met_s = max(self.met_since[phase - 1], before.began_at_s)
                assert self.now_s >= met_s + self.plan.phases[phase - 1].soak_s
        if new.state is RolloutState.PAUSED:
            self._check_pause()
        if new.state is RolloutState.DONE:
            assert self._is_final(*range(len(self.plan.phases)))
            assert new.phase + 1 == len(self.plan.phases)
        if new.state is RolloutState.ROLLED_BACK:
            assert not self._under_way(*UNSETTLED, Progress.SUCCEEDED, Progress.RECOVERING)

    def _check_pause(self):
        begun = range(self.rollout.phase + 1)
        is_stopped = any(self._is_stopped(phase) for phase in begun)
        assert is_stopped or any(self._is_final(phase) and not self._is_met(phase) for phase in begun)
        assert self.plan.recovery is None or not is_stopped

    def _under_way(self, *progress):
        return [member for phase in range(len(self.forgiven)) for member in self.of(phase, *progress)]

    def _check_settled(self):
        """Nothing was left undone."""
        match self.rollout.state:
            case RolloutState.RUNNING:
                self._check_running()
            case RolloutState.PAUSED | RolloutState.DONE:
                assert not self._under_way(Progress.OPEN)
            case RolloutState.CANCELLED:
                assert not self._under_way(*UNSETTLED, Progress.RECOVERING)
            case RolloutState.ROLLING_BACK | RolloutState.ROLLED_BACK:
                assert not self._under_way(*UNSETTLED, Progress.SUCCEEDED)

    def _check_running(self):
        for phase in range(self.rollout.phase + 1):
            assert not self._is_stopped(phase)
            opened = self.of(phase, Progress.OPEN)
            assert all(self._wall_allows(member) for member in opened)
            if any(self.is_ready(member) for member in self.of(phase, *ASKABLE)):
                assert len(opened) == self.plan.phases[phase].concurrency

    def _is_at_rest(self):
        state = self.rollout.state
        if state in FINAL_STATES or state is RolloutState.PAUSED:
            # An agent that was told to recover before may still have to answer, or to be silent for long enough.
            return state is not RolloutState.ROLLED_BACK or not self._under_way(Progress.RECOVERING)
        all_phases = range(len(self.plan.phases))
        is_begun = self.rollout.phase + 1 == len(self.plan.phases)
        return (
            state is RolloutState.RUNNING
            and self.plan.stays_open
            and is_begun
            and self._is_final(*all_phases)
        )

    def _check_end(self):
        phases = range(len(self.plan.phases))
        state = self.rollout.state
        assert state is RolloutState.PAUSED or self._is_final(*phases)
        if state is RolloutState.ROLLED_BACK:
            assert all(member.progress is Progress.UNRECOVERED for member in self.members if member.runs_it)
