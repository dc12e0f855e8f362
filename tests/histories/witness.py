"""The witness: sees each operation on the device's flash and judges marks by what the model knows, as they are written.

Regions are the board's; pages are read by `docs/protocol.md`, status page.
"""

from collections import Counter

from board import REGIONS
from model import APP, may_run

from pawl import codes
from pawl.compat import sha256

_UNIT = 32
_ATTEMPT = 36
_PENDING, _TRIALS, _CONFIRMED, _FAILED = 3, (4, 5, 6), range(7, 11), range(11, 15)
DAY_S = 86400
EPOCH = 32
# Verdicts that say nothing against a release (docs/architecture.md, Install policy row 13).
_NO_FAILURE = (
    codes.REASON_UNAUTHORISED,
    codes.REASON_BARRED,
    codes.REASON_EPOCH_LOW,
    codes.REASON_ORDER,
    codes.REASON_RECOVERED,
)


def place(offset):
    """Return (region, offset in it)."""
    for name, (start, size) in REGIONS.items():
        if start <= offset < start + size:
            return name, offset - start
    raise AssertionError("outside of every region")


def slot_of(region):
    """Return the slot that a region belongs to, or None."""
    kind, _, letter = region.partition("_")
    return "ab".index(letter) if kind in {"page", "envelope", "image", "data"} else None


class Witness:
    """`confirmed`: {digest: slot}; `sound`: {slot: digest} of what was confirmed there and is whole since; `rotten`: what
    was changed from outside, so that its promises don't hold.
    """

    def __init__(self, life):
        self.life = life
        self.confirmed = {}
        self.images = {}  # of what was confirmed: the application's image
        self.pending = set()
        self.sound = {}
        self.failures = {}
        self.untold = []
        self.begun = []
        self.rotten = set()
        self.events = Counter()

    @property
    def accepted(self):
        """Return the Release that R should name."""
        return max((self.life.releases[digest] for digest in self.confirmed), key=lambda one: one.sequence)

    def note_confirmed(self, digest, slot):
        """Remember a confirmation."""
        self.confirmed[digest] = slot
        self.sound[slot] = digest
        image = self.life.releases[digest].images[slot][APP]
        self.images[digest] = image

    def rot(self, region):
        """A region was changed from outside: what was in it is promised no more."""
        slot = slot_of(region)
        self.sound.pop(slot, None)
        self.rotten.add(region if slot is None else "slot")
        if region.startswith(("page", "log")):
            self.untold = []

    def watch(self, offset, data):
        """Judge one operation."""
        region, at = place(offset)
        slot = slot_of(region)
        if slot is None:
            return
        if region.startswith(("image", "data")):
            self.require(slot != self.life.running_slot, "the running image is written")
            return
        if data is None:
            self._erased(slot)
        elif region.startswith("page"):
            self._marked(slot, at, data)

    def require(self, is_so, text):
        """Raise, and keep why: somebody may catch it."""
        if not is_so:
            self.life.violations.append(text)
            raise AssertionError(text)

    def _erased(self, slot):
        digest = self.sound.get(slot)
        terms = self.life.terms()
        if digest == self.accepted.digest and "ratchet" not in self.rotten and terms is not None:
            self.require(
                not may_run(self.accepted, terms, was_confirmed=True), "the accepted release is erased"
            )
        self.sound.pop(slot, None)

    def _marked(self, slot, at, data):
        header_start = REGIONS["page_" + "ab"[slot]][0]
        header = bytes(self.life.flash.view(header_start, 2 * _UNIT))
        digest, attempt = header[:32], int.from_bytes(header[_ATTEMPT : _ATTEMPT + 2])
        number, value = at // _UNIT, int.from_bytes(data[2:4])
        if at == 0:
            self._begin(digest, attempt)
        elif number == _PENDING:
            self._pend(digest, slot)
        elif number in _TRIALS:
            self.require(digest in self.pending, "tried without having been pending")
            self.events["trial"] += 1
        elif number in _CONFIRMED:
            self._confirm(digest, slot)
        elif number in _FAILED:
            self._fail(digest, value, attempt)

    def _knows_verdicts(self):
        return not self.rotten & {"slot", "quarantine"} and len(self.failures) <= 8

    def _begin(self, digest, attempt):
        self.begun.append(self.life.time())
        if len(self.begun) > 4 and "clock" not in self.rotten:
            self.require(self.begun[-1] - self.begun[-5] >= DAY_S - 2, "five erases in a day")
        if self._knows_verdicts():
            self.require(attempt == self.failures.get(digest, 0) + 1, "another attempt than the next")
        self.events["begun"] += 1

    def _pend(self, digest, slot):
        """The install policy, by the model: rows 0, 6, 8, 9, 12, 13."""
        life = self.life
        release, terms = life.releases.get(digest), life.terms()
        self.require(release is not None, "something unknown is pending")
        self.require(terms is not None, "installed in row 1")
        offers = [one for one in life.director.given if one.digest == digest and one.key in terms.directors]
        self.require(offers, "no offer since reset asks for it")
        was_confirmed = digest in self.confirmed
        self.require(may_run(release, terms, was_confirmed), "pending, and not allowed to run")
        if "ratchet" not in self.rotten:
            self._require_policy(release, terms, offers)
        self.pending.add(digest)
        self.events["pending of a recovery" if release.is_recovery else "pending"] += 1
        life.events[f"installs into {'ab'[slot]}"] += 1

    def _require_policy(self, release, terms, offers):
        accepted = self.accepted
        if release.digest == accepted.digest:
            self.events["pending of a repair"] += 1
            return
        self.require(may_run(release, terms, was_confirmed=False), "a boot set installs")
        self.require(release.sequence > accepted.sequence, "a lower sequence is pending")
        epochs = (release.sequence >> EPOCH) - (accepted.sequence >> EPOCH)
        self.require(epochs <= (0 if release.is_recovery else 1024), "an epoch jumps")
        if release.is_recovery:
            self.require(self.images[accepted.digest] in release.recovers, "recovers from something else")
        else:
            self.require(release.version >= accepted.version, "a lower version without a recovery")
        if self._knows_verdicts():
            failures = self.failures.get(release.digest, 0)
            self.require(failures < 3, "quarantined for good, and pending")
            is_next = not failures or any(one.attempt == failures + 1 for one in offers)
            self.require(is_next, "quarantined, and not the next attempt")

    def _confirm(self, digest, slot):
        life = self.life
        if digest not in self.confirmed:
            terms = life.terms()
            self.require(life.runs == digest, "confirmed without running")
            self.require(life.is_app_healthy, "confirmed without health")
            self.require(terms is not None, "confirmed in row 1")
            self.require(may_run(life.releases[digest], terms, was_confirmed=False), "confirmed, not allowed")
            self.events["confirmed"] += 1
        self.note_confirmed(digest, slot)

    def _fail(self, digest, reason, attempt):
        self.sound = {slot: one for slot, one in self.sound.items() if one != digest}
        self.events[f"failed {reason}"] += 1
        if reason not in _NO_FAILURE:
            self.failures[digest] = max(self.failures.get(digest, 0), attempt, 1)
        if reason != codes.REASON_RECOVERED:
            self.untold.append((digest, reason))

    def require_bytes(self, slot, digest):
        """Raise unless a slot's regions hold exactly the images that were signed under this digest for it."""
        for component, image in self.life.releases[digest].images[slot].items():
            start = REGIONS[f"{'image' if component == APP else 'data'}_{'ab'[slot]}"][0]
            held = self.life.flash.view(start, len(image))
            self.require(sha256(held) == sha256(image), "a mixed or rotten image runs")
