"""What a rollout must keep, worked out from what its model has seen, and without the code under test."""

from datetime import datetime
from zoneinfo import ZoneInfo

from pawl_server.domain.rollout import (
    ASKABLE,
    FINAL_PROGRESS,
    FINAL_STATES,
    UNSETTLED,
    Progress,
    RolloutState,
)


class Promises:
    """The checks of `rollout_model.Model`, which has the members and the clock."""

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
