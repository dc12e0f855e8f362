"""Carries out what rollouts want: reads how far they are, asks `domain.rollout.step`, writes what it says.

What is wanted is in the database alone, and each pass begins from there. So a server may be killed at any point: the
next one goes on, and what was done already isn't done again.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from contextlib import suppress

from pawl_server.carrying import Carrier
from pawl_server.domain.rollout import Action, Ask, Become, Hold, Recover, Rollout, RolloutState, Withdraw
from pawl_server.failing import FailureWatch
from pawl_server.faults import Unusable
from pawl_server.publishing import Publisher, is_ready
from pawl_server.store import Store
from pawl_server.store.members import MEMBERS_BATCH

_log = logging.getLogger(__name__)

# Whether devices join it: one that goes back, or has ended, takes nobody.
_TAKING = (RolloutState.AWAITING, RolloutState.RUNNING, RolloutState.PAUSED)
# What stops devices, and needs nothing of the broker.
# Of 200 devices at most, each.
_STEPS_A_PASS = 50
_STOPPED = (RolloutState.PAUSED, RolloutState.CANCELLED)
# A pass over a large fleet takes long: of the time, no more than a fifth goes into passes while there is news, and about
# a twentieth while there is none.
_PAUSE_PASSES = 4
_REST_PASSES = 19


class Reconciler:
    """The one task that moves rollouts."""

    def __init__(
        self,
        store: Store,
        carrier: Carrier,
        failures: FailureWatch,
        publisher: Publisher,
        *,
        pass_s: float,
    ) -> None:
        self._store = store
        self._carrier = carrier
        self._failures = failures
        self._publisher = publisher
        self._pass_s = pass_s
        self._has_news = asyncio.Event()
        self._passing = asyncio.Lock()
        self._is_urgent = asyncio.Event()
        self._reconnects = 0
        self._reconnects_served = 0

    def wake(self, *, is_urgent: bool = False) -> None:
        """Say that a device has changed; or a rollout: a command is urgent, and doesn't wait for the end of a rest."""
        self._has_news.set()
        if is_urgent:
            self._is_urgent.set()

    def on_reconnected(self) -> None:
        """Say that the broker may have forgotten what it kept."""
        self._reconnects += 1
        self._publisher.on_reconnected()
        self.wake()

    async def run(self) -> None:
        """Reconcile until cancelled: at news, of this process or of another, and now and then, because time passes."""
        while True:
            self._has_news.clear()
            self._is_urgent.clear()
            began_s = time.monotonic()
            mark = None
            try:
                mark = await self._mark()
                await self.reconcile()
            except Exception:  # noqa: BLE001  # whatever it was, what is wanted is still in the database
                _log.exception("rollouts were not reconciled; again in %g s", self._pass_s)
            await self._rest(time.monotonic() - began_s, mark)

    async def _rest(self, took_s: float, mark: tuple[int, int] | None) -> None:
        """Let others have database and processor for a while, then wait for news, or until a pass is due again."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._is_urgent.wait(), _PAUSE_PASSES * took_s)
        looks = max(1, round(_REST_PASSES * took_s / self._pass_s))
        for _ in range(looks):
            try:
                await asyncio.wait_for(self._has_news.wait(), self._pass_s)
            except TimeoutError:
                if await self._has_changed(mark):
                    return
            else:
                return

    async def _has_changed(self, mark: tuple[int, int] | None) -> bool:
        try:
            return await self._mark() != mark
        except Exception:  # noqa: BLE001  # the pass that follows says what it was
            return True

    async def _mark(self) -> tuple[int, int]:
        async with self._store.reading() as transaction:
            return await transaction.rollouts.mark()

    async def reconcile(self) -> None:
        """Do what every rollout wants now, one pass at a time: two at once would each ask as many as there is room for."""
        async with self._passing:
            await self._pass()

    async def _pass(self) -> None:
        """Begin with rollouts that have ended, since what they take back others may bring.

        Stops are carried out before anything waits for the broker. A rollout that can't be carried out keeps no other one
        from it; why it can't is raised in the end.
        """
        stopped = [one for one in await self._with_work() if one.state in _STOPPED]
        faults = await self._carry(stopped)
        reconnects = self._reconnects
        if reconnects != self._reconnects_served:
            await self._publisher.forget()
            self._reconnects_served = reconnects
        unusable = await self._publisher.restore()
        found = await self._with_work()
        for one in found:
            await self._stop(one, unusable)
        await self._failures.look(found)
        faults += await self._carry([one for one in found if one not in stopped])
        await self._publisher.withdraw_unneeded()
        if faults:
            raise faults[0]

    async def _carry(self, rollouts: list[Rollout]) -> list[Exception]:
        """Carry out what these want; return what kept some of them from it."""
        faults: list[Exception] = []
        for one in rollouts:
            try:
                await self._let_in(one)
                await self._advance_far(one.id)
            except Exception as fault:  # noqa: BLE001  # raised when the others had their turn
                faults.append(fault)
        return faults

    async def _advance_far(self, number: int) -> None:
        """Do what a rollout wants, step by step; one with very much to do lets the others go on, and goes on in the next pass."""
        for _ in range(_STEPS_A_PASS):
            if not await self._advance(number):
                return
        self.wake()

    async def _with_work(self) -> list[Rollout]:
        async with self._store.reading() as transaction:
            ended = await transaction.rollouts.unfinished(self._carrier.now_s)
            return [*ended, *await transaction.rollouts.active()]

    async def _let_in(self, rollout: Rollout) -> None:
        """Let devices leave that were excluded, and join that came to a group."""
        if rollout.state not in _TAKING:
            return
        now_s = self._carrier.now_s
        async with self._store.reading() as transaction:
            joining = transaction.joining
            if not await joining.has_leavers(rollout, now_s) and not await joining.has_newcomers(
                rollout, now_s
            ):
                return
        async with self._store.writing() as transaction:
            current = await transaction.rollouts.get(rollout.id)
            # What was read is old by now: one that was ended meanwhile takes nobody, and has let its own go.
            if current is not None and current.state in _TAKING:
                await transaction.joining.leave(current, now_s)
                await transaction.joining.join(current, now_s)

    async def _advance(self, number: int) -> bool:
        """Do one step of a rollout; return whether anything changed, so that there may be more to do."""
        async with self._store.reading() as transaction:
            wanted, actions = await self._carrier.read(transaction, number)
        if not actions:
            return False
        published = await self._publish(wanted, actions)
        async with self._store.writing() as transaction:
            for digest, version in published.items():
                if not await is_ready(transaction, digest, version):
                    return True
            # What was read is old by now: an operator may have paused it while its release was being published.
            if any(isinstance(action, Become) for action in actions):
                wanted, actions = await self._carrier.read(transaction, number)
            elif await transaction.rollouts.get(number) != wanted:
                return True
            changed = [
                await self._carrier.carry_out(transaction, wanted, action)
                for action in actions
                if _release_of(wanted, action) in {None, *published}
            ]
        await self._go_on(wanted, actions, changed)
        return any(changed)

    async def _go_on(self, wanted: Rollout, actions: list[Action], changed: list[int]) -> None:
        """Go on with stops that one transaction had no room for: counting all devices before each takes far longer."""
        is_stop = all(isinstance(action, (Hold, Withdraw)) for action in actions)
        while is_stop and max(changed, default=0) >= MEMBERS_BATCH:
            async with self._store.writing() as transaction:
                if await transaction.rollouts.get(wanted.id) != wanted:
                    return
                changed = [await self._carrier.carry_out(transaction, wanted, action) for action in actions]

    async def _publish(self, wanted: Rollout, actions: list[Action]) -> dict[bytes, int]:
        """Publish what devices are about to be asked for; return each release with the anchor's version that judged it.

        One that can't be read, or that the newest anchor refuses, isn't in the answer, and the rollout says why.
        """
        wanted_now = {_release_of(wanted, action) for action in actions} - {None}
        told = {digest: await self._publisher.ensure_or_tell(digest) for digest in wanted_now if digest}
        await self._stop(wanted, {digest: one for digest, one in told.items() if isinstance(one, Unusable)})
        return {digest: one for digest, one in told.items() if not isinstance(one, Unusable)}

    async def _stop(self, rollout: Rollout, unusable: Mapping[bytes, Unusable]) -> None:
        """Let a rollout say which of its releases can't be published, and ask nobody for it."""
        for digest in unusable.keys() & {rollout.plan.release, rollout.plan.recovery}:
            async with self._store.writing() as transaction:
                await self._carrier.stop(transaction, rollout.id, digest, unusable[digest].reason)


def _release_of(rollout: Rollout, action: Action) -> bytes | None:
    """Return the release that an action brings to devices."""
    match action:
        case Ask():
            return rollout.plan.release
        case Recover():
            return rollout.plan.recovery
        case _:
            return None
