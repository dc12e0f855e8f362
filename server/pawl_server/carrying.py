"""Writes what a step of a rollout says: assignments and their offers, in the transaction that it is given."""

from collections.abc import Callable
from dataclasses import replace

from pawl_server.domain import director
from pawl_server.domain.changes import Changes
from pawl_server.domain.fleet import Assignment, Device
from pawl_server.domain.rollout import (
    ASKABLE,
    Action,
    Ask,
    Become,
    Hold,
    Progress,
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
from pawl_server.store.rollouts import MEMBERS_BATCH

_Change = Callable[[Device, Assignment | None, bytes], tuple[Device, Assignment | None]]


class Carrier:
    """Carries out actions, of a batch of devices each: what is left, the next step finds again."""

    def __init__(self, desk: OfferDesk, clock: Callable[[], float]) -> None:
        self._desk = desk
        self._clock = clock

    async def read(self, transaction: Transaction, number: int) -> tuple[Rollout, list[Action]]:
        """Return a rollout and what has to be done for it now."""
        found = await transaction.rollouts.get(number)
        assert found is not None  # noqa: S101  # rollouts are never deleted
        return found, step(found, await transaction.rollouts.counts(found), int(self._clock()))

    async def stop(self, transaction: Transaction, number: int, reason: str) -> None:
        """Pause a rollout that can't go on, unless it stopped meanwhile."""
        found, _ = await self.read(transaction, number)
        if found.state is not RolloutState.RUNNING:
            return
        paused = follow(found, RolloutEvent.FAILURE, int(self._clock()), reason)
        await self.carry_out(transaction, paused, Become(paused))

    async def carry_out(self, transaction: Transaction, current: Rollout, action: Action) -> None:
        """Write what an action says."""
        match action:
            case Become(following):
                await transaction.rollouts.keep(following)
                transaction.tell(changed(following))
            case Ask(position):
                await self._ask(transaction, current, position)
            case Hold(position):
                names = await _names(transaction, current, position, (Progress.OPEN,))
                await self._change(transaction, current.release, names, _held)
            case Withdraw(position):
                names = await _names(transaction, current, position, (Progress.OPEN, Progress.HELD))
                await self._change(transaction, current.release, names, _withdrawn)

    async def _ask(self, transaction: Transaction, current: Rollout, position: int) -> None:
        names = await _names(transaction, current, position, ASKABLE)
        await self._change(transaction, current.release, names, _asked)
        await transaction.rollouts.mark_asked(current, names, is_asked=True)
        transaction.tell(PhaseAsked(rollout=current.id, phase=position, devices=len(names)))

    async def _change(
        self, transaction: Transaction, release: bytes, names: list[str], change: _Change
    ) -> None:
        """Change what devices are assigned, and queue the offers that say so."""
        now_s = int(self._clock())
        devices = await transaction.devices(names)
        assignments = await transaction.assignments_of(release, names)
        changes = Changes()
        made = [
            self._desk.serve(changes, *change(devices[name], assignments.get(name), release), now_s)
            for name in names
        ]
        await transaction.write(changes, now_s)
        transaction.tell(*[offer for offer in made if offer is not None])


async def _names(
    transaction: Transaction, current: Rollout, position: int, progress: tuple[Progress, ...]
) -> list[str]:
    members = await transaction.rollouts.members(current, progress, position=position, limit=MEMBERS_BATCH)
    return [member.device for member in members]


def _asked(device: Device, before: Assignment | None, release: bytes) -> tuple[Device, Assignment | None]:
    assigned = replace(device, assigned=release)
    if before is not None and before.is_final:
        return assigned, before  # stays failed: the rollout stops, and says why
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
