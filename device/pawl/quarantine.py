"""Which releases failed here, how often and why: what install policy row 13 asks, and hellos tell.

A verdict is first the `failed` mark of a slot's page, with the attempt in the page's header. Before that page is erased
it is noted here, as a number of attempts and not as "one more": so noting it again after a cut changes nothing.

    quarantine.stored(digest, slots)    failures of this release, in the journal or on a page
    quarantine.keep(slot)               before the slot's page is erased
"""

from collections import namedtuple

from pawl import cbor, codes
from pawl.compat import const
from pawl.errors import ManifestError
from pawl.journal import Snapshots

_CELL_BYTES = const(512)
_MAGIC = b"PWQU"
_ENTRIES_MAX = const(8)

# Judged anew by rows 6 and 8 at every offer, or no failure of the release: its slot was beaten by a newer one, or
# recovered from by order.
_NO_FAILURE_HERE = (
    codes.REASON_UNAUTHORISED,
    codes.REASON_BARRED,
    codes.REASON_EPOCH_LOW,
    codes.REASON_ORDER,
    codes.REASON_RECOVERED,
)

Verdict = namedtuple("Verdict", ("digest", "attempts", "reason"))


def verdict_of(slot):
    """Return the Verdict on a slot's page, or None if its release didn't fail here."""
    status = slot.status()
    if status.state != codes.SLOT_FAILED or status.reason in _NO_FAILURE_HERE:
        return None
    return Verdict(status.digest, max(1, status.attempt), status.reason)


class Quarantine:
    """At most 8 verdicts, newest first, over a region of two sectors."""

    def __init__(self, region):
        self._snapshots = Snapshots(region, _MAGIC, _CELL_BYTES)
        self.verdicts = _readable(self._snapshots.value())

    def stored(self, digest, slots):
        """Return how many attempts at this release failed here: 0 if none is known."""
        return max([0] + [found.attempts for found in self.all(slots) if found.digest == digest])

    def all(self, slots):
        """Return the verdicts that are noted and those on the pages, newest first, each release once."""
        verdicts = self.verdicts
        for slot in slots:
            verdict = verdict_of(slot)
            if verdict is not None:
                verdicts = _with(verdicts, verdict)
        return verdicts

    def keep(self, slot):
        """Note the verdict on a page that is about to be erased."""
        verdict = verdict_of(slot)
        if verdict is None:
            return
        verdicts = _with(self.verdicts, verdict)
        self._snapshots.write(cbor.encode([list(one) for one in verdicts]))
        self.verdicts = verdicts


def _with(verdicts, new):
    """Return the verdicts with a new one; of one release the higher number of attempts stands."""
    for old in verdicts:
        if old.digest == new.digest and old.attempts >= new.attempts:
            return verdicts
    return ([new] + [old for old in verdicts if old.digest != new.digest])[:_ENTRIES_MAX]


def _readable(body):
    """A snapshot of an unknown format counts as none: its check value was right, so it is no tear."""
    if body is None:
        return []
    try:
        reader = cbor.Reader(body)
        return [_read(reader) for _ in range(reader.array())]
    except ManifestError:
        return []


def _read(reader):
    reader.array(3)
    return Verdict(reader.bytes_of(32), reader.uint(), reader.uint())
