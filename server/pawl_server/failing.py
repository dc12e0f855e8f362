"""What follows when devices of rollouts fail: silence becomes a failure, and each failure is tried again, or ends it.

One that ends it is counted at the device, and calls for people; a success later takes that back.
"""

from collections.abc import Callable, Mapping

from pawl_server.domain import director, pacing, reasons
from pawl_server.domain.changes import Changes
from pawl_server.domain.fleet import Assignment
from pawl_server.domain.retry import RetryAt, decide
from pawl_server.domain.rollout import Rollout
from pawl_server.events import AssignmentSettled
from pawl_server.offering import OfferDesk
from pawl_server.store import Store, Transaction
from pawl_server.store.failures import Failure, Judgement
from pawl_server.store.members import MEMBERS_BATCH


class FailureWatch:
    """Looks for failures of which nothing was decided, batch by batch; each in one transaction."""

    def __init__(self, store: Store, desk: OfferDesk, clock: Callable[[], float]) -> None:
        self._store = store
        self._desk = desk
        self._clock = clock

    async def look(self, rollouts: list[Rollout]) -> None:
        """Fail who is silent in these rollouts, judge every failure, and forget those of devices that are well again."""
        for one in rollouts:
            while await self._fail_silent(one):
                pass
        while await self._judge():
            pass
        await self._let_recover()
        await self._forget()

    async def _fail_silent(self, rollout: Rollout) -> bool:
        now_s = self._now_s()
        before_s = now_s - pacing.silence_s(rollout.plan.silence_s)
        async with self._store.reading() as transaction:
            if not await transaction.failures.silent(rollout, before_s, now_s, 1):
                return False
        async with self._store.writing() as transaction:
            # Asked again: one of them may have reported meanwhile.
            names = await transaction.failures.silent(rollout, before_s, now_s, MEMBERS_BATCH)
            assignments = await transaction.assignments(names)
            failed = [director.fail(assignments[name], reasons.SILENT) for name in names]
            await take_back(transaction, self._desk, failed, now_s)
        return True

    async def _judge(self) -> bool:
        async with self._store.reading() as transaction:
            if not await transaction.failures.unjudged(limit=1):
                return False
        async with self._store.writing() as transaction:
            failures = await transaction.failures.unjudged()
            tries_max = await _tries_max(transaction, {one.rollout for one in failures})
            await transaction.failures.judge(
                [self._judgement(one, tries_max[one.rollout]) for one in failures], self._now_s()
            )
        return True

    def _judgement(self, failure: Failure, tries_max: int) -> Judgement:
        following = decide(failure.reason, failure.tries, tries_max, failure.device)
        again_s = self._now_s() + following.backoff_s if isinstance(following, RetryAt) else None
        return Judgement(failure=failure, not_before_s=again_s)

    async def _let_recover(self) -> None:
        """Bring the recovery release to who was away for long, and still has the bad one."""
        async with self._store.reading() as transaction:
            if not await transaction.failures.awake(limit=1):
                return
        async with self._store.writing() as transaction:
            await transaction.failures.let_recover(await transaction.failures.awake())

    async def _forget(self) -> None:
        async with self._store.reading() as transaction:
            if not await transaction.failures.have_recovered():
                return
        async with self._store.writing() as transaction:
            await transaction.failures.forget()

    def _now_s(self) -> int:
        return int(self._clock())


async def _tries_max(transaction: Transaction, numbers: set[int]) -> Mapping[int, int]:
    found = [await transaction.rollouts.get(number) for number in numbers]
    return {one.id: one.plan.tries_max for one in found if one is not None}


async def take_back(transaction: Transaction, desk: OfferDesk, failed: list[Assignment], now_s: int) -> None:
    """Keep assignments that the director failed, let their devices' next offers say so, and tell it."""
    changes = Changes()
    devices = await transaction.devices([one.device for one in failed])
    for one in failed:
        made = desk.serve(changes, devices[one.device], one, now_s)
        settled = AssignmentSettled.of(one)
        transaction.tell(*([settled] if made is None else [settled, made]))
    await transaction.write(changes, now_s)
