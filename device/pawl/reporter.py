"""What a device tells its server: a hello that opens a nonce, and signed reports that count.

Decides nothing. A report is numbered within its boot and signed by the identity key; the SUIT_Report in it says of
which manifest it speaks.
"""

from pawl import __version__, codes, cose, messages, suit_report, topics
from pawl.compat import const

AGENT_PROFILE = const(1)
_ENCODINGS = const(3)  # bit field: `none`, `deflate`


class Reporter:
    """Writes hellos and reports of one boot; `offers` says which nonce is open and which offer was accepted."""

    def __init__(self, port, loader, running, boot_counter, offers, diary):
        self.port = port
        self.loader = loader
        self.identity = loader.identity
        self.running = running
        self.boot_counter = boot_counter
        self.offers = offers
        self.diary = diary
        self._reports = 0
        self._checked_nonce = None

    def _up(self, kind):
        return topics.up(self.identity.partition, self.identity.device, kind)

    def running_subject(self):
        """Return what reports call the release that runs, or None for the agent alone."""
        if self.running == codes.RUNNING_RECOVERY:
            return None
        return self.loader.candidates[self.running].subject()

    async def say_hello(self, session, refusals):
        """Publish a hello under the open nonce; `refusals` counts reasons since reset."""
        await session.client.publish(self._up("hello"), messages.write_hello(self._hello(refusals)))

    def _hello(self, refusals):
        slots = []
        for candidate in self.loader.candidates:
            status = candidate.slot.status()
            slots.append((status.state, status.digest, candidate.sequence_of(status.digest)))
        anchor = self.loader.path_anchor
        return messages.Hello(
            self.offers.nonce,
            ("pawl " + __version__, AGENT_PROFILE),
            (anchor.version, anchor.digest),
            self._ratchets(),
            {codes.IMAGE_APP: slots},
            self.running,
            self.loader.quarantine.all([candidate.slot for candidate in self.loader.candidates]),
            self.identity.ids,
            _ENCODINGS,
            self.boot_counter.value,
            self.offers.time_floor,
            refusals,
        )

    def _ratchets(self):
        return {codes.IMAGE_APP: self.loader.accepted}

    async def tell_checked(self, session):
        """Once per answered check-in, sign that its offer came: freshness for the server. Then the log, once per boot.

        With the reason, if the offer names an anchor that we don't go by: somebody may be keeping it from us.
        """
        if not self.offers.is_answered() or self._checked_nonce == self.offers.nonce:
            return
        await self.report(session, codes.EVENT_CHECKED, self.offers.anchor_fault())
        self._checked_nonce = self.offers.nonce
        content = self.diary.untold()
        if content is not None:
            await session.client.publish(self._up("log"), content)
            self.diary.note_told()

    async def report(self, session, event, reason, subject=None):
        """Publish a signed report; `subject` is the release that it speaks of, if there is one."""
        self._reports += 1
        content = messages.write_report(
            messages.Report(
                self.identity.device,
                self.boot_counter.value,
                self._reports,
                self.offers.accepted(),
                self._ratchets(),
                self.running,
                event,
                reason,
                None if subject is None else _suit_report(subject, reason),
            )
        )
        message = cose.to_be_signed(cose.protected_header(codes.ALG_ESP256), codes.AAD_REPORT, content)
        signature = self.port.sign(self.identity.report_key, message)
        signed = cose.write_sign1(codes.ALG_ESP256, content, signature, False)
        await session.client.publish(self._up("report"), signed)
        self.port.log(
            "reported %d.%d event %d reason %d" % (self.boot_counter.value, self._reports, event, reason)
        )


def _suit_report(subject, reason):
    """Having it already is success."""
    result = codes.REASON_OK if reason == codes.REASON_ALREADY_INSTALLED else reason
    return suit_report.write(suit_report.SuitReport(subject.digest, subject.uri or "", subject.slot, result))
