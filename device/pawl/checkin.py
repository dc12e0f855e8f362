"""A check-in: what the boot found is told, once; then a nonce is opened and a hello says what the device is.

An offer answers it. A hello without an answer is repeated, each time later; an answered one is made anew after an hour.
"""

from pawl import boot, codes, messages
from pawl.compat import const

CHECK_IN_S = const(3600)
_REPEAT_FIRST_S = const(4)
_REPEAT_MAX_S = const(64)


class CheckIn:
    """The check-ins of one boot, told through its `reporter`; `boot_reason` is why the boot decided as it did."""

    def __init__(self, reporter, walk, boot_reason):
        self.reporter = reporter
        self.walk = walk
        self.boot_reason = boot_reason
        self.port = reporter.port
        self.loader = reporter.loader
        self.offers = reporter.offers
        self._repeat_s = _REPEAT_FIRST_S
        self._has_told_boot = False
        self._begun_ms = self.port.ticks_ms()

    def is_unwell(self):
        """Return whether the recovery agent runs in place of an application that could boot (boot row 7)."""
        return self.boot_reason == codes.REASON_UNWELL

    async def open(self, session, refusals):
        """Follow the walk, tell what is new, open a nonce and say hello; `refusals` counts reasons since reset."""
        self.walk.check_in()
        await self.walk.follow(session)
        if not self._has_told_boot:
            await self._tell_boot(session)
            self._has_told_boot = True
        await self.tell_walk(session)
        self.walk.must_ask = False
        self.offers.open(self.port.random(messages.NONCE_BYTES))
        self._begun_ms = self.port.ticks_ms()
        self._repeat_s = _REPEAT_FIRST_S
        await self.reporter.say_hello(session, refusals)
        if not self.is_unwell():
            self.reporter.boot_counter.note_well()

    async def repeat(self, session, refusals):
        """Repeat an unanswered hello under its nonce; after an answered one, or an hour, it is time for a new check-in."""
        if self.offers.is_answered() or self._past_s() >= CHECK_IN_S:
            await self.open(session, refusals)
        else:
            self._repeat_s = min(2 * self._repeat_s, _REPEAT_MAX_S)
            await self.reporter.say_hello(session, refusals)

    def patience_s(self):
        """Return how long to wait for an offer before `repeat`."""
        if not self.offers.is_answered():
            return self._repeat_s
        return max(1, CHECK_IN_S - self._past_s())

    def _past_s(self):
        return self.port.ticks_diff(self.port.ticks_ms(), self._begun_ms) // 1000

    async def _tell_boot(self, session):
        reporter = self.reporter
        for fault in self.loader.faults:
            event = codes.EVENT_REVERTED if fault.action == boot.FAIL else codes.EVENT_FAILED
            await reporter.report(session, event, fault.reason, fault.subject)
        for reason in self.loader.notices:
            await reporter.report(session, codes.EVENT_NOTICED, reason)
        if not self.loader.is_trial(reporter.running):
            await reporter.report(session, codes.EVENT_STARTED, self.boot_reason, reporter.running_subject())

    async def tell_walk(self, session):
        """Report an anchor that was taken since the last report of one."""
        if self.walk.is_news:
            self.reporter.diary.keep(codes.REASON_ANCHOR_ACCEPTED)
            await self.reporter.report(session, codes.EVENT_NOTICED, codes.REASON_ANCHOR_ACCEPTED)
            self.walk.is_news = False
