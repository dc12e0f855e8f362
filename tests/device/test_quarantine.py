"""The quarantine: verdicts outlive the page they were made on, and cuts change no number."""

from support import new_region

from pawl import codes
from pawl.quarantine import Quarantine
from pawl.slots import Slot

D1, D2 = b"\x01" * 32, b"\x02" * 32
ENVELOPE = b"envelope"


def new_slot():
    """Return an empty slot."""
    return Slot(0, new_region(1), new_region(1), new_region(3))


def failed_slot(digest, attempt, reason=codes.REASON_TRIALS):
    """Return a slot in which this attempt at a release failed."""
    slot = new_slot()
    slot.begin(digest, ENVELOPE, attempt)
    slot.mark_failed(reason)
    return slot


def test_a_page_tells_its_attempt():
    """The number that `begin` was given, whatever marks follow."""
    slot = failed_slot(D1, 2)
    assert (slot.status().attempt, slot.status().state) == (2, codes.SLOT_FAILED)


def test_stored_is_the_highest_of_journal_and_pages():
    """Before and after it is noted, and after the page is gone."""
    region = new_region()
    slot = failed_slot(D1, 2)
    assert Quarantine(region).stored(D1, [slot, new_slot()]) == 2
    Quarantine(region).keep(slot)
    assert Quarantine(region).stored(D1, [slot]) == 2
    slot.begin(D2, ENVELOPE)
    assert Quarantine(region).stored(D1, [slot]) == 2
    assert Quarantine(region).stored(D2, [slot]) == 0


def test_noting_again_after_a_cut_changes_nothing():
    """The number on the page is noted, not one more; a lower one doesn't lower it."""
    region = new_region()
    for _ in range(3):
        Quarantine(region).keep(failed_slot(D1, 2))
        Quarantine(region).keep(failed_slot(D1, 1))
    assert Quarantine(region).stored(D1, []) == 2
    assert Quarantine(region).verdicts[0].reason == codes.REASON_TRIALS


def test_only_the_releases_own_failures_count():
    """Beaten by a newer one, recovered from, or judged anew at every offer: no failure of the release."""
    for reason in (
        codes.REASON_ORDER,
        codes.REASON_RECOVERED,
        codes.REASON_EPOCH_LOW,
        codes.REASON_BARRED,
        codes.REASON_UNAUTHORISED,
    ):
        quarantine = Quarantine(new_region())
        slot = failed_slot(D1, 1, reason)
        quarantine.keep(slot)
        assert quarantine.all([slot]) == []
    for reason in (codes.REASON_TRIALS, codes.REASON_IMAGE_DIGEST, codes.REASON_APP_CRASHED):
        assert Quarantine(new_region()).stored(D1, [failed_slot(D1, 1, reason)]) == 1


def test_eight_are_kept_the_newest_first():
    """The ninth takes the place of the oldest; over as many snapshots as fill the region several times."""
    region = new_region()
    for number in range(60):
        Quarantine(region).keep(failed_slot(bytes([number]) * 32, 1 + number % 3))
    verdicts = Quarantine(region).verdicts
    assert [verdict.digest[0] for verdict in verdicts] == list(range(59, 51, -1))


def test_a_torn_snapshot_leaves_the_one_before():
    """A cut while it is written loses nothing: the page still says it."""
    region = new_region()
    Quarantine(region).keep(failed_slot(D1, 1))
    Quarantine(region).keep(failed_slot(D2, 1))
    region.flash.store[512 + 30] ^= 1
    again = Quarantine(region)
    assert (again.stored(D1, []), again.stored(D2, [])) == (1, 0)
    again.keep(failed_slot(D2, 1))
    assert Quarantine(region).stored(D2, []) == 1
