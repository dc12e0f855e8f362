"""What rollouts over a real store must keep: from offers as devices read them, and from what devices were let say."""

from datetime import datetime
from zoneinfo import ZoneInfo

from pawl import codes
from pawl_server.domain.progress import FINAL_PROGRESS, UNSETTLED, Progress
from pawl_server.domain.rollout import FINAL_STATES, RolloutState
from pawl_server.events import OfferMade

ZONES = {"bench-2": "Pacific/Auckland", "bench-4": "Pacific/Auckland"}
_BACK = (RolloutState.ROLLING_BACK, RolloutState.ROLLED_BACK)
_GONE = (Progress.DISPLACED, Progress.WITHDRAWN)
_FORBIDDEN = {
    RolloutState.AWAITING: (*UNSETTLED,),
    RolloutState.PAUSED: (Progress.OPEN,),
    RolloutState.DONE: (Progress.OPEN,),
    RolloutState.CANCELLED: (*UNSETTLED, Progress.RECOVERING),
    RolloutState.ROLLING_BACK: (*UNSETTLED, Progress.SUCCEEDED),
    RolloutState.ROLLED_BACK: (*UNSETTLED, Progress.SUCCEEDED),
}


class WalkPromises:
    """The checks of `rollout_walk.Walk`, which has the clock, and knows what devices run."""

    def check_offers(self, before, after):
        """Whoever was offered something in this pass was allowed to be."""
        for made in self.harness.events:
            if isinstance(made, OfferMade) and made.action == codes.OFFER_INSTALL:
                self.offered[made.device].add(made.release)
                [name] = [one for one, view in after.items() if made.release in _releases(view)]
                if made.release == after[name].rollout.plan.release:
                    self._check_ask(before[name], after[name], made.device)
                else:
                    assert after[name].rollout.state in _BACK
                    assert self.runs[made.device] == self.sequences[after[name].rollout.plan.release]

    def _check_ask(self, before, after, device):
        assert before.rollout.state is RolloutState.RUNNING
        member = after.members[device]
        phase, state = after.phases[member.phase]
        assert state.began_at_s is not None
        assert self._wall_allows(phase, device)
        known = before.members.get(device)
        if known is not None and known.progress is Progress.WAITING:
            assert known.not_before_s <= self.harness.now_s

    def _wall_allows(self, phase, device):
        """Windows of these walks are daily."""
        wall = datetime.fromtimestamp(self.harness.now_s, ZoneInfo(ZONES.get(device, "UTC")))
        minute = wall.hour * 60 + wall.minute
        opened = [(minute - one.start_minute) % 1440 < one.duration_minutes for one in phase.windows]
        return not opened or any(opened)

    def check_begun(self, before, after):
        """A phase that began in this pass could: the one before it had succeeded, and had soaked."""
        for name, view in after.items():
            for position in range(before[name].rollout.phase + 1, view.rollout.phase + 1):
                assert self.harness.now_s >= (view.phases[position][0].starts_at_s or 0)
                if position:
                    self._check_passed(view, position - 1)

    def _check_passed(self, view, position):
        phase, state = view.phases[position]
        succeeded = len(view.of(Progress.SUCCEEDED, phase=position))
        counting = len(view.of(*set(Progress) - set(_GONE), phase=position)) - state.forgiven
        assert succeeded * 100 >= phase.success_percent * counting
        assert self.harness.now_s >= state.passed_at_s + phase.soak_s

    def check_always(self, views):
        """Whenever one looks: not too many are asked, none too early, and each by one rollout at a time."""
        taken = []
        for view in views.values():
            taken += [] if view.rollout.state in FINAL_STATES else list(view.members)
            for position, (phase, state) in enumerate(view.phases):
                opened = view.of(Progress.OPEN, phase=position)
                assert phase.concurrency is None or len(opened) <= phase.concurrency
                asked = [one for one in view.of(*Progress, phase=position) if one.asked_at_s is not None]
                assert not asked or state.began_at_s is not None
        assert len(taken) == len(set(taken))

    def check_settled(self, views, installs):
        """After a whole pass: nothing is left undone, and no offer says what its rollout doesn't."""
        for view in views.values():
            assert not view.of(*_FORBIDDEN.get(view.rollout.state, ()))
            for one in view.of(Progress.OPEN):
                assert self._wall_allows(view.rollout.plan.phases[one.phase], one.device)
        for device, release in installs.items():
            [view] = [one for one in views.values() if release in _releases(one)]
            is_there = release == view.rollout.plan.release
            wanted = Progress.OPEN if is_there else Progress.RECOVERING
            assert view.members[device].progress is wanted

    def is_at_rest(self, views):
        """Whether nothing can happen any more without an operator."""
        return all(self._rests(view) for view in views.values())

    def _rests(self, view):
        state = view.rollout.state
        if state is RolloutState.RUNNING:
            is_begun = view.rollout.phase + 1 == len(view.phases)
            return view.rollout.plan.stays_open and is_begun and not view.of(*set(Progress) - FINAL_PROGRESS)
        return state in {*FINAL_STATES, RolloutState.PAUSED} and not view.of(Progress.RECOVERING)

    def check_end(self, views):
        """Every device has ended, and none that took back its rollout has the bad release unknown to people."""
        for view in views.values():
            if view.rollout.state is not RolloutState.PAUSED:
                assert not view.of(*set(Progress) - FINAL_PROGRESS)
            if view.rollout.state is RolloutState.ROLLED_BACK:
                self._check_rolled_back(view)

    def _check_rolled_back(self, view):
        bad = self.sequences[view.rollout.plan.release]
        for device, one in view.members.items():
            assert self.runs[device] != bad or one.progress in {Progress.UNRECOVERED, Progress.DISPLACED}


def _releases(view):
    return {view.rollout.plan.release, view.rollout.plan.recovery} - {None}
