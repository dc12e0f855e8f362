"""A walk through rollouts over a real store, with an engine that dies between transactions; it trusts none of their answers.

What devices run, and what they were offered, the walk knows by itself: from what it let them say, and from the offers that
wait for the broker. So an offer that must not be is found here, whatever the store says of it.
"""

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from rollout_bench import BY_NAME
from walk_promises import ZONES, WalkPromises

from pawl import codes
from pawl_server.domain import reasons
from pawl_server.domain.changes import Changes
from pawl_server.domain.plan import PlanError
from pawl_server.domain.rollout import Rollout, RolloutEvent, RolloutStateError
from pawl_server.errors import UnknownError
from pawl_server.store import ConflictError, Store

HOUR_S = 3600
BY_HAND = "paused by an operator"
REST_PASSES_MAX = 120
REST_S = 5 * HOUR_S  # shorter than the windows: none is missed


class CrashError(Exception):
    """The process is killed."""


class MortalStore(Store):
    """A store whose process dies before it has written so many times; None is never."""

    writes_left = None

    @asynccontextmanager
    async def writing(self):
        """Open a transaction, or die."""
        if self.writes_left == 0:
            raise CrashError
        if self.writes_left is not None:
            self.writes_left -= 1
        async with super().writing() as transaction:
            yield transaction


@dataclass(frozen=True, kw_only=True)
class View:
    """A rollout and its members by device, as the server shows them."""

    rollout: Rollout
    members: dict

    @property
    def phases(self):
        """The planned phases and their states."""
        return list(zip(self.rollout.plan.phases, self.rollout.phase_states, strict=True))

    def of(self, *progress, phase=None):
        """Return the members that are as far as one of these."""
        found = [one for one in self.members.values() if one.progress in progress]
        return [one for one in found if phase in {None, one.phase}]


class Walk(WalkPromises):
    """Rollouts, what each device runs, by sequence number, and every release that it was ever offered."""

    def __init__(self, harness, releases):
        self.harness = harness
        self.sequences = {one.digest: one.sequence for one in releases}
        self.runs = dict.fromkeys(BY_NAME)
        self.offered = {name: set() for name in BY_NAME}

    async def begin(self, plan):
        """Put some devices elsewhere, and create the first rollout."""
        async with self.harness.store.writing() as transaction:
            devices = await transaction.devices(list(ZONES))
            moved = {name: replace(one, timezone=ZONES[name]) for name, one in devices.items()}
            await transaction.write(Changes(devices=moved), self.harness.now_s)
        await self.create(plan, "spring")

    async def create(self, plan, name):
        """Create a rollout, if there are devices for it."""
        try:
            await self.harness.rollouts.create(plan, name)
        except (PlanError, ConflictError):
            return

    async def views(self):
        """Return every rollout by name."""
        found = await self.harness.rollouts.page(0, 10)
        return {one.rollout.name: await self._view(one.rollout) for one in found}

    async def _view(self, rollout):
        members = await self.harness.rollouts.members(rollout.name, "", 100)
        return View(rollout=rollout, members={one.device: one for one in members})

    async def engine(self, writes_left=None):
        """Make a pass of the engine, which may die, and look at what it did."""
        before = await self.views()
        self.harness.events.clear()
        self.harness.store.writes_left = writes_left
        try:
            await self.harness.reconciler.reconcile()
        except CrashError:
            self.harness.start_again()
            writes_left = 0
        finally:
            self.harness.store.writes_left = None
        after = await self.views()
        self.check_offers(before, after)
        self.check_begun(before, after)
        self.check_always(after)
        if writes_left != 0:
            self.check_settled(after, await self._installs())

    async def _installs(self):
        """Return the release that each device's newest offer asks for, as the device reads it."""
        async with self.harness.store.reading() as transaction:
            queued = await transaction.unsent()
        found = {one.message.device: self.harness.fleet.opened_offer(one.message.payload) for one in queued}
        return {name: offer.digest for name, offer in found.items() if offer.action == codes.OFFER_INSTALL}

    async def answer(self, name, fate):
        """Let a device do what its newest offer asks for, with this outcome; nothing is an answer, too."""
        digest = (await self._installs()).get(name)
        if digest is None or fate == reasons.SILENT:
            return
        if fate == codes.REASON_OK:
            await self._confirm(name, digest)
        else:
            await self.harness.fail(name, fate, digest)

    async def round(self, fates):
        """Make a pass, and let every device answer."""
        await self.engine()
        for name, fate in zip(sorted(BY_NAME), fates, strict=True):
            await self.answer(name, fate)

    async def confirm_late(self, name):
        """Let a device confirm what it was offered once, and doesn't have yet."""
        newer = [one for one in self.offered[name] if self.sequences[one] > (self.runs[name] or 0)]
        if newer:
            await self._confirm(name, min(newer, key=self.sequences.get))

    async def _confirm(self, name, digest):
        if self.sequences[digest] > (self.runs[name] or 0):
            self.runs[name] = self.sequences[digest]
            await self.harness.succeed(name, digest)

    async def command(self, name, event):
        """Do what an operator does, if the state allows it."""
        try:
            await self.harness.rollouts.command(name, event)
        except (RolloutStateError, ConflictError, UnknownError):
            return

    async def finish(self, late):
        """Let time pass and devices answer until nothing can happen any more, and look at the end.

        They take their time; in the end, those of `late` confirm what was taken for failed, or was withdrawn.
        """
        for number in range(REST_PASSES_MAX):
            await self._go_on()
            await self.engine()
            if self.is_at_rest(await self.views()):
                if not late:
                    return self.check_end(await self.views())
                await self.confirm_late(late.pop())
            for name in sorted(BY_NAME)[number % 2 :: 2]:
                await self.answer(name, codes.REASON_OK)
            self.harness.now_s += REST_S
        raise AssertionError(f"it never ends: {await self.views()}")

    async def _go_on(self):
        """Do what operators do whom nothing worries."""
        for name, view in (await self.views()).items():
            await self.command(name, RolloutEvent.APPROVE)
            if view.rollout.reason == BY_HAND:
                await self.command(name, RolloutEvent.RESUME)
