"""The agent: one task that follows the table of `lifecycle`, one action a state.

Every action returns the event that ended it. A lost link is an event like any other: the state stays, and the
action is tried again after a pause that grows. Nothing is decided here that `offers`, `policy` or `boot` decides.
"""

import asyncio
import gc

from pawl import codes, health, lifecycle, policy, topics
from pawl.checkin import CHECK_IN_S, CheckIn
from pawl.compat import const
from pawl.diary import Diary
from pawl.errors import OfferError, PawlError, TransportError
from pawl.installer import Job, withdraw_pending
from pawl.link import Link
from pawl.offers import Offers
from pawl.reporter import Reporter
from pawl.start import Start
from pawl.suit_report import Subject
from pawl.walk import AnchorTakenError, Walk

_VERIFY_DEADLINE_MS = const(120000)
_VERIFY_LOOK_S = 0.05


class Agent:
    """`port` gives connect, random, ticks, reset, log; `loader` is the settled Bootloader; `decision` what it settled on;
    `await check_health()` says whether the application may be confirmed.
    """

    def __init__(self, port, loader, decision, boot_counter, check_health):
        self.port = port
        self.loader = loader
        self.identity = loader.identity
        self.running = codes.RUNNING_RECOVERY if decision.slot is None else decision.slot
        self.boot_counter = boot_counter
        self.check_health = check_health
        self.clock = loader.storage.clock(port)
        self.offers = Offers(self.identity.device, loader.anchor, loader.verify, self.clock)
        self.job = None
        self.reason = codes.REASON_OK
        self.refusals = {}
        self.diary = Diary(loader.storage.log(), self.clock, boot_counter)
        self.walk = Walk(loader, self.offers, self._count)
        self.link = Link(port, loader, self.walk, self.clock)
        self.reporter = Reporter(port, loader, self.running, boot_counter, self.offers, self.diary)
        self.start = Start(self.clock)
        self.check_in = CheckIn(self.reporter, self.walk, decision.reason)
        self.state = lifecycle.VERIFY if loader.is_trial(self.running) else lifecycle.IDLE
        self._started_ms = port.ticks_ms()

    async def run(self):
        """Follow the table for ever."""
        health.watch(self.clock.unanswered_s)
        self.diary.note_boot(self.loader)
        while True:
            self.port.log("state " + self.state)
            health.note_turn()
            action = self._perform(_ACTIONS[self.state])
            event = await (self._in_time(action) if self.state == lifecycle.VERIFY else action)
            self.state = lifecycle.step(self.state, event)

    async def _in_time(self, verifying):
        """Bound a trial: with attempts to connect and the pauses between them it has no longer than its deadline."""
        # Not `wait_for`: CPython 3.11 loses a cancellation that comes as what it waits for ends.
        task = asyncio.create_task(verifying)
        try:
            while not task.done():
                past_ms = self.port.ticks_diff(self.port.ticks_ms(), self._started_ms)
                if past_ms >= _VERIFY_DEADLINE_MS:
                    self.port.log("trial: not healthy and checked in within its time")
                    return lifecycle.UNHEALTHY
                await asyncio.sleep(_VERIFY_LOOK_S)
            return await task
        finally:
            task.cancel()

    async def _perform(self, action):
        try:
            return await action(self)
        except TransportError as error:
            self._note_loss()
            await self.link.lose(error)
            return lifecycle.LINK_LOST
        except AnchorTakenError:
            self.job = None
            return lifecycle.WALKED
        except PawlError as error:
            self.port.log("fault %d %s" % (error.code, error.detail))
            return self._end(lifecycle.FAULT, error.code)
        except MemoryError:
            gc.collect()
            return self._end(lifecycle.FAULT, codes.REASON_OUT_OF_MEMORY)

    def _end(self, event, reason):
        """Keep why a job ended, and count it."""
        self.reason = reason
        offer = self.offers.current
        self._count(reason, offer.digest if offer is not None else None)
        return event

    def _note_loss(self):
        """A download that keeps losing the link is put off, each time for longer, while no new block comes."""
        offer = self.offers.current
        if self.state == lifecycle.DOWNLOAD and offer is not None:
            self.start.lose(offer.digest, self.job is not None and self.job.has_progress)

    async def _online(self):
        """Return the session, opened and checked in if it wasn't."""
        session = self.link.session
        if session is None:
            try:
                session = await self.link.open()
                await self.check_in.open(session, self.refusals)
            except MemoryError:
                # A session that is left half open would be taken for one that is checked in; and the next try has to wait.
                gc.collect()
                raise TransportError(codes.REASON_OUT_OF_MEMORY, "no room for a check-in")
        return session

    async def _idle(self):
        if self.link.session is None and self._is_turn_over() and self._has_recovered():
            return lifecycle.RECOVERED  # also where there is no network
        session = await self._online()
        await self.walk.follow(session)
        await self.check_in.tell_walk(session)
        if self.walk.must_ask:
            await self.check_in.open(session, self.refusals)
        if not (self.offers.is_answered() and self.offers.is_job_open):
            raw = await session.next_offer(self.check_in.patience_s())
            if raw is not None:
                self._take(raw)
            elif session.anchor is None:
                await self.check_in.repeat(session, self.refusals)
        elif self.start.left_s(self.offers):
            raw = await session.next_offer(min(self.start.left_s(self.offers), self.check_in.patience_s()))
            if raw is not None:
                self._take(raw)
            elif self.start.is_backing_off() and self.check_in.patience_s() == 1:
                await self.check_in.open(session, self.refusals)
        await self.reporter.tell_checked(session)
        if self.offers.is_job_open and not self.start.left_s(self.offers):
            return lifecycle.OFFERED
        return lifecycle.RECOVERED if self._has_recovered() else lifecycle.NOTHING

    def _has_recovered(self):
        """An answer that opens no job, or an hour, ends the recovery agent's turn: the application gets its next chance."""
        has_answer = self.offers.is_answered() and not self.offers.is_job_open
        if not self.check_in.is_unwell() or not (has_answer or self._is_turn_over()):
            return False
        if not self.loader.has_bootable():
            return False  # a walk took what allowed it: only an install helps
        self.boot_counter.note_well()
        return True

    def _is_turn_over(self):
        return self.port.ticks_diff(self.port.ticks_ms(), self._started_ms) > 1000 * CHECK_IN_S

    def _take(self, raw):
        """Follow an offer, or count why not: then the one before it still stands."""
        try:
            offer = self.offers.accept(raw)
        except OfferError as error:
            self.walk.is_behind = self.walk.is_behind or error.code == codes.REASON_ANCHOR_BEHIND
            self._count(error.code)
            return
        self._note_anchor_fault()
        self.start.accept(offer)
        self.link.note_well()
        if offer.action != codes.OFFER_INSTALL:
            withdraw_pending(self.loader)

    def _note_anchor_fault(self):
        """An offer that asks for nothing is followed; that we are behind, or on a fork, is counted, and its check-in says so."""
        reason = self.offers.anchor_fault()
        if reason:
            self.walk.is_behind = self.walk.is_behind or reason == codes.REASON_ANCHOR_BEHIND
            self._count(reason)

    def _count(self, reason, digest=None):
        self.refusals[reason] = self.refusals.get(reason, 0) + 1
        try:
            self.diary.refuse(reason, digest)
        except MemoryError:
            gc.collect()  # it stays counted in the next hello: no reason to stop the application with the agent
        self.port.log("refused %d" % reason)

    async def _download(self):
        session = await self._online()
        offer = self.offers.current
        assert offer is not None, "DOWNLOAD follows an accepted offer only"
        self.job = None
        raw = await session.fetch_one(topics.release(offer.digest), codes.ENVELOPE_MAX_BYTES)
        job = Job(self.loader, self.running, offer, raw, self.clock)
        self.job = job
        decision = job.decide(self.offers.allows(offer.digest))
        if decision.action == policy.REFUSE:
            return self._end(lifecycle.REFUSED, decision.reason)
        if decision.action == policy.NOTHING:
            await self.reporter.report(session, codes.EVENT_STARTED, decision.reason, job.subject())
            return lifecycle.NOTHING
        job.take_slot()
        if decision.action == policy.INSTALL:
            await job.fetch_blocks(session, self._between_blocks)
        return lifecycle.COMPLETE

    def _between_blocks(self, done, total):
        """Tell how far it is, and look whether the director still wants it: the newest offer counts (policy row 2)."""
        self.port.log("blocks %d/%d" % (done, total))
        health.note_turn()
        self.walk.interrupt(self.link.session)
        self._read_offer()
        job = self.job
        assert job is not None, "blocks are fetched for a job only"
        if not self.offers.allows(job.offer.digest):
            raise OfferError(codes.REASON_NO_OFFER, "the director withdrew or replaced the offer")

    def _read_offer(self):
        session = self.link.session
        if session is not None and session.offer is not None:
            raw, session.offer = session.offer, None
            self._take(raw)

    async def _install(self):
        job = self.job
        assert job is not None, "INSTALL follows DOWNLOAD only"
        self.walk.interrupt(self.link.session)
        self._read_offer()
        reason = job.finish(self.offers.allows(job.offer.digest))
        return self._end(lifecycle.REFUSED, reason) if reason else lifecycle.PENDING

    async def _reboot(self):
        """Reset into what is pending, unless the director wants it no more by now (policy row 2)."""
        self._read_offer()
        job = self.job
        if job is not None and not self.offers.allows(job.offer.digest):
            withdraw_pending(self.loader)
            return self._end(lifecycle.REFUSED, codes.REASON_NO_OFFER)
        return await self._reset()

    async def _reset(self):
        self.clock.save()
        self.link.close()
        self.port.reset()

    async def _verify(self):
        """Healthy is: the application runs, and a check-in reached the broker."""
        await self._online()
        return lifecycle.HEALTHY if await self.check_health() else lifecycle.UNHEALTHY

    async def _confirm(self):
        """Confirm what is on trial, if the anchor still allows it: one that came in meanwhile is taken first."""
        if self.link.session is not None:
            await self.walk.follow(self.link.session)
        self.loader.confirm(self.running)
        session = await self._online()
        await self.reporter.report(
            session, codes.EVENT_INSTALLED, codes.REASON_OK, self.reporter.running_subject()
        )
        return lifecycle.CONFIRMED

    async def _fail(self):
        session = await self._online()
        await self.reporter.report(session, codes.EVENT_REFUSED, self.reason, self._refused_subject())
        return lifecycle.REPORTED

    def _refused_subject(self):
        """What was refused may be known by its name only: the envelope never came, or wasn't authentic."""
        if self.job is not None:
            return self.job.subject()
        offer = self.offers.current
        return None if offer is None or offer.digest is None else Subject(offer.digest, None, None)

    async def _clean(self):
        # An offer that came in meanwhile opened a job of its own.
        current = self.offers.current
        if self.job is None or current is None or current.digest == self.job.offer.digest:
            self.offers.is_job_open = False
        self.job = None
        gc.collect()
        return lifecycle.DONE


_ACTIONS = {
    lifecycle.IDLE: Agent._idle,
    lifecycle.DOWNLOAD: Agent._download,
    lifecycle.INSTALL: Agent._install,
    lifecycle.REBOOT: Agent._reboot,
    lifecycle.VERIFY: Agent._verify,
    lifecycle.CONFIRM: Agent._confirm,
    lifecycle.REVERT: Agent._reset,
    lifecycle.FAILURE: Agent._fail,
    lifecycle.CLEANUP: Agent._clean,
}
