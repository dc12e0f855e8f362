"""Status pages made unit by unit, absent, valid or torn, and every status that one can have."""

from pawl import codes
from pawl.flash import MemoryFlash, Region
from pawl.slots import Slot

ABSENT, VALID, TORN = 0, 1, 2
KINDS = (ABSENT, VALID, TORN)
WRITTEN, PENDING, TRIALS, CONFIRMED, FAILED = (
    0,
    1,
    (2, 3, 4),
    (5, 6, 7, 8),
    (9, 10, 11, 12),
)  # among the marks
MARKS = 13
UNIT = 32
FIRST_MARK = 2 * UNIT  # behind the header
D = b"\x01" * 32
REASONS = (
    codes.REASON_IMAGE_DIGEST,
    codes.REASON_TRIALS,
    codes.REASON_ORDER,
    codes.REASON_CLASS,
)  # of the units of `failed`
_FIRST_CONFIRMED = 7
ATTEMPT = 2

# (state, trials, is_settled) of every page there is: what `confirmed` and trials say stays readable in each state.
STATUSES = [
    (state, trials, is_settled)
    for state, counts in (
        (codes.SLOT_EMPTY, range(4)),
        (codes.SLOT_WRITTEN, range(4)),
        (codes.SLOT_PENDING, (0,)),
        (codes.SLOT_TRIAL, (1, 2, 3)),
        (codes.SLOT_CONFIRMED, range(4)),
        (codes.SLOT_FAILED, range(4)),
    )
    for trials in counts
    for is_settled in (False, True)
]


def programmed():
    """Return the bytes of a page whose every unit was programmed, by the slot's own calls."""
    slot = Slot(codes.RUNNING_A, new_region(), new_region(), None)
    slot.begin(D, b"envelope", ATTEMPT)
    slot.mark_written()
    slot.mark_pending()
    for _ in TRIALS:
        slot.mark_trial()
    for _ in CONFIRMED:
        slot._program(_FIRST_CONFIRMED, len(CONFIRMED))
    for reason in REASONS:
        slot.mark_failed(reason)
    return bytes(slot.page.view(0, FIRST_MARK + MARKS * UNIT))


def new_region():
    """Return an erased region of one sector."""
    return Region(MemoryFlash(4096), 0, 4096)


class Page:
    """A status page in memory whose units are set to any kind; `slot` reads it."""

    def __init__(self):
        region = new_region()
        self.store = region.flash.store
        self.slot = Slot(codes.RUNNING_A, region, new_region(), None)
        self.valid = programmed()
        self.erased = bytes(self.store[: len(self.valid)])

    def set(self, start, size, kind):
        """Make bytes absent, valid, or torn: the first half programmed, the rest not."""
        cut = (0, size, size // 2)[kind]
        self.store[start : start + cut] = self.valid[start : start + cut]
        self.store[start + cut : start + size] = self.erased[start + cut : start + size]

    def set_header(self, kind):
        """Set the header's two units."""
        self.set(0, FIRST_MARK, kind)

    def set_mark(self, mark, kind):
        """Set the unit of a mark."""
        self.set(FIRST_MARK + mark * UNIT, UNIT, kind)

    def combinations(self, marks, others=ABSENT):
        """Set these marks to every combination of kinds in turn, as an odometer does, all others to one; yield all."""
        kinds = [ABSENT if mark in marks else others for mark in range(MARKS)]
        for mark in range(MARKS):
            self.set_mark(mark, kinds[mark])
        while True:
            yield kinds
            for mark in marks:
                kinds[mark] = (kinds[mark] + 1) % 3
                self.set_mark(mark, kinds[mark])
                if kinds[mark] != ABSENT:
                    break
            else:
                return
