"""Writes what a step of a rollout says: assignments and their offers, in the transaction that it is given.

Each action for a batch of devices: whom it leaves, the next step finds again. How many are asked follows from when others
were, over all rollouts.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from pawl_server.domain import director, pacing, windows
from pawl_server.domain.changes import Changes
from pawl_server.domain.fleet import Assignment, Device
from pawl_server.domain.progress import PhaseCounts
from pawl_server.domain.rollout import (
    ASKABLE,
    Action,
    Ask,
    Become,
    Hold,
    HoldOutside,
    Progress,
    Recover,
    Rollout,
    RolloutEvent,
    RolloutState,
    Withdraw,
    follow,
    step,
)
from pawl_server.events import PhaseAsked, RolloutChanged
from pawl_server.offering import OfferDesk
from pawl_server.store import Transaction
from pawl_server.store.members import MEMBERS_BATCH, Whom

_GOES_BACK = (RolloutState.ROLLING_BACK, RolloutState.ROLLED_BACK)
_STUCK = "; the recovery release can't be published: "
_Change = Callable[[Device, Assignment | None, bytes], tuple[Device, Assignment | None]]


class Carrier:
    """Carries out actions; `offers_per_s` is how many devices it asks at most, over all rollouts."""

    def __init__(self, desk: OfferDesk, clock: Callable[[], float], *, offers_per_s: float) -> None:
        self._desk = desk
        self._clock = clock
        self._offers_per_s = offers_per_s

    async def read(self, transaction: Transaction, number: int) -> tuple[Rollout, list[Action]]:
        """Return a rollout and what has to be done for it now."""
        found = await transaction.rollouts.get(number)
        assert found is not None  # noqa: S101  # rollouts are never deleted
        counts: Sequence[PhaseCounts] = await transaction.members.counts(found, self.now_s)
        return found, step(found, counts, self.now_s)

    async def stop(self, transaction: Transaction, number: int, release: bytes, fault: str) -> None:
        """Pause a rollout whose release can't be published; one that goes back stays at that, and says why it can't."""
        found = await transaction.rollouts.get(number)
        assert found is not None  # noqa: S101  # as above
        if found.state is RolloutState.RUNNING and release == found.plan.release:
            reason = f"the release can't be published: {fault}"
            await self._become(transaction, follow(found, RolloutEvent.PAUSE, self.now_s, reason))
        elif found.state in _GOES_BACK and release == found.plan.recovery:
            await self._say(transaction, found, _STUCK + fault)

    async def _say(self, transaction: Transaction, current: Rollout, stuck: str) -> None:
        """Let a rollout that goes back say what keeps it from that, after why it does; or nothing any more."""
        said = replace(current, reason=current.reason.split(_STUCK)[0] + stuck)
        if said != current:
            await self._become(transaction, said)

    async def carry_out(self, transaction: Transaction, current: Rollout, action: Action) -> int:
        """Write what an action says; return how much it changed."""
        match action:
            case Become(following):
                return await self._become(transaction, following)
            case Ask(phase, limit):
                return await self._ask(transaction, current, phase, limit)
            case Hold(phase):
                return await self._hold(transaction, current, Whom(phase=phase, progress=(Progress.OPEN,)))
            case HoldOutside(phase):
                zones = await self._zones(transaction, current, phase, is_open=False)
                whom = Whom(phase=phase, progress=(Progress.OPEN,), zones=zones)
                return await self._hold(transaction, current, whom)
            case Withdraw(phase, progress):
                return await self._withdraw(transaction, current, Whom(phase=phase, progress=progress))
            case Recover(phase):
                return await self._recover(transaction, current, phase)

    async def _become(self, transaction: Transaction, following: Rollout) -> int:
        await transaction.rollouts.keep(following)
        transaction.tell(changed(following))
        return 1

    async def _ask(self, transaction: Transaction, current: Rollout, phase: int, limit: int) -> int:
        zones = await self._zones(transaction, current, phase, is_open=True)
        whom = Whom(phase=phase, progress=ASKABLE, is_due=True, zones=zones)
        most = min(limit, await self._budget(transaction))
        names = await transaction.members.batch(current, whom, self.now_s, most)
        if not names:
            return 0
        await self._change(transaction, current.plan.release, names, _assigned, is_spread=True)
        await transaction.members.mark_asked(current, names, self.now_s)
        transaction.tell(PhaseAsked(rollout=current.id, phase=phase, devices=len(names)))
        return len(names)

    async def _hold(self, transaction: Transaction, current: Rollout, whom: Whom) -> int:
        names = await transaction.members.batch(current, whom, self.now_s)
        await self._change(transaction, current.plan.release, names, _held)
        return len(names)

    async def _withdraw(self, transaction: Transaction, current: Rollout, whom: Whom) -> int:
        names = await transaction.members.batch(current, whom, self.now_s)
        await self._change(transaction, current.plan.release, names, _withdrawn)
        await transaction.members.mark_withdrawn(current, names)
        return len(names)

    async def _recover(self, transaction: Transaction, current: Rollout, phase: int) -> int:
        recovery = current.plan.recovery
        assert recovery is not None  # noqa: S101  # a rollout without one never goes back
        await self._say(transaction, current, "")
        whom = Whom(phase=phase, progress=(Progress.SUCCEEDED,))
        names = await transaction.members.batch(current, whom, self.now_s, await self._budget(transaction))
        await self._change(transaction, recovery, names, _assigned, is_spread=True)
        await transaction.members.mark_recovering(current, names, self.now_s)
        return len(names)

    async def _budget(self, transaction: Transaction) -> int:
        """Return how many may be asked in this transaction."""
        asked = await transaction.members.asked_since(self.now_s - pacing.PACE_S)
        return min(MEMBERS_BATCH, pacing.budget(asked, self._offers_per_s))

    async def _zones(
        self, transaction: Transaction, current: Rollout, phase: int, *, is_open: bool
    ) -> list[str] | None:
        """Return the zones in which the window of a phase is open, or closed; None if it has none."""
        planned = current.plan.phases[phase].windows
        if not planned:
            return None
        zones = await transaction.members.zones(current, phase)
        return [zone for zone in zones if windows.is_open(planned, zone, self.now_s) is is_open]

    async def _change(
        self,
        transaction: Transaction,
        release: bytes,
        names: list[str],
        change: _Change,
        *,
        is_spread: bool = False,
    ) -> None:
        """Change what devices are assigned, and queue the offers that say so."""
        now_s = self.now_s
        devices = await transaction.devices(names)
        assignments = await transaction.assignments_of(release, names)
        spread_s = pacing.spread_s(len(names), self._offers_per_s) if is_spread else 0
        changes = Changes()
        made = [
            self._desk.serve(
                changes, *change(devices[name], assignments.get(name), release), now_s, spread_s=spread_s
            )
            for name in names
        ]
        await transaction.write(changes, now_s)
        transaction.tell(*[offer for offer in made if offer is not None])

    @property
    def now_s(self) -> int:
        """The time, in seconds since 1970."""
        return int(self._clock())


def _assigned(device: Device, before: Assignment | None, release: bytes) -> tuple[Device, Assignment | None]:
    assigned = replace(device, assigned=release)
    if before is not None and before.is_final:
        return assigned, before  # stays failed: that is judged next, and says why
    return assigned, director.assign(before, device.name, release)


def _held(device: Device, before: Assignment | None, _release: bytes) -> tuple[Device, Assignment | None]:
    return device, director.hold(before) if before else None


def _withdrawn(
    device: Device, _before: Assignment | None, _release: bytes
) -> tuple[Device, Assignment | None]:
    """Leave the device without anything to install: its next offer says so."""
    return replace(device, assigned=None), None


def changed(rollout: Rollout) -> RolloutChanged:
    """Return the event that says how a rollout is now."""
    return RolloutChanged(rollout=rollout.id, name=rollout.name, state=rollout.state, reason=rollout.reason)
