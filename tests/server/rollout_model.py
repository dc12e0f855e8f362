"""A rollout's members in memory, and a store that carries actions out and trusts none of them.

Whoever is asked is judged by what the model itself has seen: when a phase's threshold was met, which failures were forgiven,
what the clock on the device's wall says. So a step that asks too early, too many or the wrong ones is found here.
"""

from dataclasses import dataclass

from rollout_promises import Promises

from pawl import codes
from pawl_server.domain import reasons, rollout
from pawl_server.domain.retry import Final, decide
from pawl_server.domain.rollout import (
    ASKABLE,
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
    """A device: `fates` are what it says to each time it is asked, then success; `recovers` is what to the recovery.

    One that `is_late` confirms in the end what was taken for failed, or was withdrawn too late.
    """

    name: str
    phase: int
    zone: str = "UTC"
    fates: tuple = ()
    recovers: bool | None = True
    is_late: bool = False
    progress: Progress = Progress.WAITING
    reason: int = 0
    is_judged: bool = True
    tries: int = 0
    asks: int = 0
    asked_at_s: int = 0
    not_before_s: int = 0
    runs_it: bool = False


class Model(Promises):
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
                if self.rollout.state in _BACK:
                    self._recover_again(member)
                elif self.shown(member) is Progress.FAILED and member.reason != codes.REASON_QUARANTINE_FINAL:
                    member.progress, member.tries, member.not_before_s = Progress.WAITING, 0, 0
        before = self.rollout
        self.rollout = rollout.follow(before, event, self.now_s, BY_HAND, self.counts())
        if event in _FORGIVING and before != self.rollout and self.rollout.state is RolloutState.RUNNING:
            self.forgiven = [len(self.of(phase, Progress.FAILED)) for phase in range(len(self.forgiven))]

    @staticmethod
    def _recover_again(member):
        """Let a device that didn't recover be asked to once more; it has the bad release still."""
        if member.progress is Progress.UNRECOVERED:
            member.progress = Progress.SUCCEEDED

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

    def _confirm_late(self):
        settled = (Progress.FAILED, Progress.WITHDRAWN)
        late = [
            member for member in self.members if member.is_late and member.asks and member.progress in settled
        ]
        for member in late:
            member.is_late = False
            self.succeed(member)
        return bool(late)

    def finish(self):
        """Let time pass and devices answer until nothing can happen any more, and look at the end."""
        for _ in range(REST_PASSES_MAX):
            self.command(RolloutEvent.APPROVE)
            if self.rollout.state is RolloutState.PAUSED and self.rollout.reason == BY_HAND:
                self.command(RolloutEvent.RESUME)
            self.settle()
            if self._is_at_rest() and not self._confirm_late():
                return self._check_end()
            self.let_devices_answer()
            self.now_s += REST_S
        raise AssertionError(f"it never ends: {self.rollout}, {self.members}")
