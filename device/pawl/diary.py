"""What of a boot goes into the log, when, and the one message that tells the server of it.

Told once per boot, after the first accepted offer. Which entries were told is known in RAM only: a server knows an entry by
its boot, uptime and code, and sees it again after a reset.
"""

from pawl import cbor, codes


class Diary:
    """The log of one boot; `clock` gives uptime, `boot_counter` the number of the boot."""

    def __init__(self, log, clock, boot_counter):
        self.log = log
        self.clock = clock
        self.boot_counter = boot_counter
        self._is_told = False

    def refuse(self, reason, digest=None):
        """Note what others can cause as often as they like: at a bounded rate."""
        self.log.refuse(self.boot_counter.value, self.clock.uptime_s(), reason, digest)

    def keep(self, reason, digest=None):
        """Note what happened here: always."""
        self.log.keep(self.boot_counter.value, self.clock.uptime_s(), reason, digest)

    def note_boot(self, loader):
        """Note what the boot found, before anything else can go wrong."""
        for fault in loader.faults:
            self.keep(fault.reason, fault.subject and fault.subject.digest)
        for reason in loader.notices:
            self.keep(reason)
        self._keep_failures([candidate.slot.status() for candidate in loader.candidates])

    def _keep_failures(self, statuses):
        """Note why slots failed, unless that is in the log already: a cut behind the mark loses no reason."""
        failures = [status for status in statuses if status.state == codes.SLOT_FAILED]
        for status in failures:
            known = [(entry.code, entry.detail) for entry in self.log.entries()]
            if (status.reason, status.digest) not in known:
                self.keep(status.reason, status.digest)

    def untold(self):
        """Return the message to be published, or None: it was, or there is nothing to tell."""
        content = None if self._is_told else message(self.log.entries(), codes.LOG_MAX_BYTES)
        return content if content and len(content) > 1 else None

    def note_told(self):
        """Say that the message was published."""
        self._is_told = True


def message(entries, most):
    """Return as many entries, newest first, as a message of `most` bytes holds (docs/protocol.md, log)."""
    items = []
    size = 3  # of the array's head
    for entry in entries:
        item = list(entry if entry.detail is not None else entry[:3])
        size += len(cbor.encode(item))
        if size > most:
            break
        items.append(item)
    return cbor.encode(items)
