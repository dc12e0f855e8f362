"""Every status page there can be has one status: the one that `docs/protocol.md`, Status page, says, written here anew."""

from board import REGIONS, Board
from status_pages import (
    ABSENT,
    ATTEMPT,
    CONFIRMED,
    D,
    FAILED,
    FIRST_MARK,
    KINDS,
    MARKS,
    PENDING,
    REASONS,
    STATUSES,
    TORN,
    TRIALS,
    UNIT,
    VALID,
    WRITTEN,
    Page,
)

from pawl import codes


FIRST_UNITS = (WRITTEN, PENDING) + TRIALS + CONFIRMED[:2] + FAILED[:2]


def any_valid(kinds, marks):
    """Return whether one of these marks is valid."""
    return VALID in [kinds[mark] for mark in marks]


def state_of(kinds):
    """Return the state by the table in `docs/protocol.md`, for a page whose header is valid."""
    if any_valid(kinds, FAILED):
        return codes.SLOT_FAILED
    if any_valid(kinds, CONFIRMED):
        return codes.SLOT_CONFIRMED
    if any_valid(kinds, (PENDING,) + TRIALS):
        return codes.SLOT_TRIAL if [m for m in TRIALS if kinds[m] != ABSENT] else codes.SLOT_PENDING
    return codes.SLOT_WRITTEN if kinds[WRITTEN] == VALID else codes.SLOT_EMPTY


def check(status, header, kinds):
    """Assert that a status is what the documented table says of these units."""
    if header != VALID:
        assert tuple(status) == (codes.SLOT_EMPTY, None, 0, False, 0, 0), (header, kinds)
        return
    reasons = [REASONS[i] for i in range(4) if kinds[FAILED[i]] == VALID] or [0]
    assert status.state == state_of(kinds), kinds
    assert status.digest == D and status.attempt == ATTEMPT
    assert status.trials == len([mark for mark in TRIALS if kinds[mark] != ABSENT]), kinds
    confirmed = [kinds[mark] for mark in CONFIRMED]
    assert status.is_settled == (confirmed.count(VALID) >= 2 or ABSENT not in confirmed), kinds
    assert status.reason in reasons, kinds


def pages(header, marks, others=ABSENT):
    """Check the pages with this header, all kinds of these marks, one of all others; return (how many, the distinct statuses)."""
    page = Page()
    page.set_header(header)
    found = set()
    count = 0
    for kinds in page.combinations(marks, others):
        status = page.slot.status()
        check(status, header, kinds)
        found.add((status.state, status.trials, status.is_settled))
        count += 1
    return count, found


def test_every_page_has_the_status_that_is_documented():
    """All 3^9 pages of the first units, spare ones absent or torn, on both interpreters; without a header nothing counts."""
    statuses = pages(VALID, FIRST_UNITS, TORN)[1]
    for header in KINDS:
        count, found = pages(header, FIRST_UNITS)
        assert count == 3**9
        statuses |= found
        assert header == VALID or found == {(codes.SLOT_EMPTY, 0, False)}
    assert statuses == set(STATUSES)


def test_every_page_with_spare_units_has_the_status_that_is_documented():
    """All 3^9 of `pending`, and of `confirmed` and `failed` with their spare units."""
    count, found = pages(VALID, (PENDING,) + CONFIRMED + FAILED)
    assert count == 3**9
    assert found <= set(STATUSES)


def test_a_unit_cut_at_any_byte_is_absent_torn_or_valid():
    """Torn by half stands for every cut: the same status comes of a unit cut at each byte but its first and last."""
    page = Page()
    page.set_header(VALID)
    for mark in range(MARKS):
        start = FIRST_MARK + mark * UNIT
        for cut in range(UNIT + 1):
            page.store[start : start + cut] = page.valid[start : start + cut]
            page.store[start + cut : start + UNIT] = page.erased[start + cut : start + UNIT]
            kinds = [ABSENT] * MARKS
            kinds[mark] = ABSENT if cut == 0 else VALID if cut == UNIT else TORN
            check(page.slot.status(), VALID, kinds)
        page.set_mark(mark, ABSENT)


def test_a_header_cut_at_any_byte_is_no_header():
    """With all marks of the release behind it."""
    page = Page()
    for mark in range(MARKS):
        page.set_mark(mark, VALID)
    for cut in range(FIRST_MARK):
        page.store[:cut] = page.valid[:cut]
        page.store[cut:FIRST_MARK] = page.erased[cut:FIRST_MARK]
        check(page.slot.status(), TORN, [VALID] * MARKS)


def test_a_slot_whose_header_is_torn_never_boots():
    """Confirmed, with its image and envelope whole: the page says for which release, or nothing."""
    for at in (0, 31, 32, 36, 56, 63):
        board = Board()
        assert board.boot()[1].row == 7
        start = REGIONS["page_a"][0]
        board.flash.store[start + at] ^= 1
        assert board.storage.slots[0].status().state == codes.SLOT_EMPTY
        assert board.boot()[1].row == 8
