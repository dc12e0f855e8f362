"""What operators do with rollouts: they say what is wanted, `reconcile` brings it about.

rollout = await rollouts.create(Plan(release=digest, groups=("field",), phases=(...)), name="spring")
await rollouts.command("spring", RolloutEvent.PAUSE)
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pawl import codes
from pawl_server.applying import Applies, applying_to
from pawl_server.carrying import changed
from pawl_server.domain.joining import allot
from pawl_server.domain.plan import Phase, PhaseKind, Plan, PlanError
from pawl_server.domain.progress import PhaseCounts, Progress
from pawl_server.domain.rollout import (
    FINAL_STATES,
    GOING_BACK,
    Rollout,
    RolloutEvent,
    RolloutState,
    begin,
    follow,
)
from pawl_server.errors import InvalidError, UnknownError
from pawl_server.recoveries import require_fitting
from pawl_server.store import ConflictError, Store, Transaction
from pawl_server.store.joining import groups_of
from pawl_server.store.members import Member

# Begins with a letter: a rollout is also named by its number.
NAME = re.compile(r"[a-z][a-z0-9.-]{0,62}")
_GIVEN = "rollout-"


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutView:
    """A rollout and how far the devices of its phases are, in order."""

    rollout: Rollout
    phases: list[PhaseCounts]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """Whom a rollout would take, phase by phase, each in order of their ids, and whom of its groups not, and why."""

    phases: list[list[str]]
    left_out: dict[str, str]


def group_by_group(release: bytes, groups: Sequence[str]) -> Plan:
    """Return the plan that asks one group after the other, each when every device of the one before has succeeded."""
    phases = tuple(Phase(kind=PhaseKind.GROUP, group=group) for group in groups)
    return Plan(release=release, groups=tuple(groups), phases=phases)


class Rollouts:
    """Commands and questions; `open_release` returns the bundle of a release that both judges accept."""

    def __init__(
        self,
        store: Store,
        open_release: Callable[[bytes], Awaitable[Any]],
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._open_release = open_release
        self._clock = clock

    async def create(self, plan: Plan, name: str | None = None) -> Rollout:
        """Begin a rollout; the same plan again under the same name changes nothing.

        Raises:
            InvalidError, PlanError: the name, or what the plan asks for with the devices there are.
            UnknownError: a release or a group that isn't there.
            ConflictError: a rollout of this name has another plan.
        """
        _require_name(name)
        await self._require_releases(plan)
        async with self._store.writing() as transaction:
            known = await transaction.rollouts.named(name) if name else None
            if known is not None:
                return _same(known, plan)
            number = await transaction.rollouts.next_id()
            phases = await self._allot(transaction, plan, name or f"{_GIVEN}{number}")
            created = begin(
                plan, rollout_id=number, name=name or f"{_GIVEN}{number}", now_s=int(self._clock())
            )
            await transaction.rollouts.add(created)
            await transaction.joining.add(created.id, phases)
            transaction.tell(changed(created))
        return created

    async def preview(self, plan: Plan, name: str | None = None) -> Preview:
        """Return whom this plan would take under this name, were it created now; nothing is changed.

        Raises what `create` raises.
        """
        _require_name(name)
        await self._require_releases(plan)
        async with self._store.reading() as transaction:
            drawn = name or f"{_GIVEN}{await transaction.rollouts.next_id()}"
            allotted = await self._allot(transaction, plan, drawn)
            left = await transaction.joining.left_out(plan, int(self._clock()))
        phases: list[list[str]] = [[] for _ in plan.phases]
        for device in sorted(allotted):
            phases[allotted[device]].append(device)
        why = {device: f"excluded from group {group}" for device, group in left.excluded.items()}
        why |= dict.fromkeys(left.quarantined, "quarantined")
        why |= {device: f"in rollout {other}, which hasn't ended" for device, other in left.busy.items()}
        return Preview(phases=phases, left_out=why)

    async def _require_releases(self, plan: Plan) -> None:
        async with self._store.reading() as transaction:
            for digest in (plan.release, plan.recovery):
                if digest is not None and await transaction.release(digest) is None:
                    raise UnknownError(f"no release {digest.hex()} was imported")
        await require_fitting(plan, self._open_release)

    async def _allot(self, transaction: Transaction, plan: Plan, name: str) -> dict[str, int]:
        names = groups_of(plan)
        known = {group.name for group in await transaction.groups.all(names)}
        for group in names:
            if group not in known:
                raise UnknownError(f"no group {group}")
        target = await transaction.joining.target(plan, int(self._clock()))
        if not target and not plan.stays_open:
            raise PlanError(
                "groups", "no device can be taken: the groups are empty, or others have their devices"
            )
        return allot(plan, name, target) if target else {}

    async def command(self, name: str, event: RolloutEvent) -> Rollout:
        """Do what an operator says; RolloutStateError if its state doesn't allow that.

        ConflictError if it would go on after its end, and a rollout that hasn't ended has one of its devices.
        """
        async with self._store.writing() as transaction:
            before = await _find(transaction, name)
            now_s = int(self._clock())
            # Refuses before anything is written.
            follow(before, event, now_s, "", await transaction.members.counts(before, now_s))
            if before.state in FINAL_STATES:
                await _require_free(transaction, before, event)
            if event is RolloutEvent.RETRY:
                await transaction.members.rearm(before, codes.REASON_QUARANTINE_FINAL, now_s)
            if before.state is RolloutState.PAUSED and event in _GOES_ON:
                await transaction.members.await_anew(before, now_s)
            counts = await transaction.members.counts(before, now_s)
            after = follow(before, event, now_s, _reason(before, event), counts)
            await transaction.rollouts.keep(after)
            transaction.tell(changed(after))
        return after

    async def page(self, after: int, limit: int) -> list[RolloutView]:
        """Return the first rollouts whose id comes after this one."""
        async with self._store.reading() as transaction:
            found = await transaction.rollouts.page(after, limit)
            return [await self._view(transaction, one) for one in found]

    async def get(self, name: str) -> RolloutView:
        """Return a rollout by name or number."""
        async with self._store.reading() as transaction:
            return await self._view(transaction, await _find(transaction, name))

    async def _view(self, transaction: Transaction, found: Rollout) -> RolloutView:
        counts = await transaction.members.counts(found, int(self._clock()))
        return RolloutView(rollout=found, phases=counts)

    async def members(
        self, name: str, after: str, limit: int, progress: Progress | None = None
    ) -> list[Member]:
        """Return the first devices of a rollout whose id comes after this one, of all or as far as this."""
        async with self._store.reading() as transaction:
            found = await _find(transaction, name)
            return await transaction.members.page(found, int(self._clock()), after, limit, progress)

    async def applying_to(self, device: str) -> Applies:
        """Return which rollout has to do with a device, and why."""
        async with self._store.reading() as transaction:
            return await applying_to(transaction, device, int(self._clock()))


_GOES_ON = (RolloutEvent.RESUME, RolloutEvent.RETRY)
_REASONS = {
    RolloutEvent.PAUSE: "paused by an operator",
    RolloutEvent.CANCEL: "cancelled by an operator",
    RolloutEvent.REJECT: "rejected",
    RolloutEvent.ROLL_BACK: "rolled back by an operator",
}


def _reason(before: Rollout, event: RolloutEvent) -> str:
    """Return why a rollout is in its state; one that asks again on its way back says still why it went."""
    is_again = before.state in GOING_BACK and event is RolloutEvent.RETRY
    return before.reason if is_again else _REASONS.get(event, "")


def _require_name(name: str | None) -> None:
    if name is None:
        return
    if not NAME.fullmatch(name):
        raise InvalidError("name", f"{name!r} is no name: a letter, then a-z, 0-9, . and -, 63 at most")
    if name.startswith(_GIVEN):
        raise InvalidError("name", f"{_GIVEN}<number> is for rollouts without a name")


def _same(known: Rollout, plan: Plan) -> Rollout:
    if known.plan != plan:
        raise ConflictError(f"a rollout {known.name} with another plan exists: choose another name")
    return known


async def _require_free(transaction: Transaction, rollout: Rollout, event: RolloutEvent) -> None:
    other = await transaction.joining.busy_elsewhere(rollout)
    if other is not None and event in {RolloutEvent.RETRY, RolloutEvent.ROLL_BACK}:
        raise ConflictError(f"{other[0]} is in rollout {other[1]}, which hasn't ended: cancel that one first")


async def _find(transaction: Transaction, name: str) -> Rollout:
    is_number = name.isascii() and name.isdecimal() and len(name) <= 18  # fits the column
    found = await (transaction.rollouts.get(int(name)) if is_number else transaction.rollouts.named(name))
    if found is None:
        raise UnknownError(f"no rollout {name}")
    return found
