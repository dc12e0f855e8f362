"""The boot table: each row where `docs/boot.md` says it is. That it is total is in `test_boot_totality.py`."""

from pawl import boot, codes

D1 = b"\x01" * 32
D2 = b"\x02" * 32


def slot(state, sequence=1, trials=0, fault=0, is_authentic=True, is_finished=True, digest=D1):
    """Return facts of one slot."""
    return boot.SlotFacts(state, digest, sequence, trials, fault, is_authentic, is_finished)


def decide(a, b, *, has_anchor=True, is_unwell=False):
    """Return the decision as (row, action, slot, reason)."""
    return tuple(boot.decide((a, b), boot.Context(D1, has_anchor, is_unwell)))


EMPTY = slot(codes.SLOT_EMPTY)
PENDING = codes.SLOT_PENDING
TRIAL = codes.SLOT_TRIAL
CONFIRMED = codes.SLOT_CONFIRMED
FALLBACK = codes.REASON_FALLBACK


def test_rows():
    """Each row of the table, with its slot and reason."""
    for a, b, expected in (
        (slot(PENDING, fault=11), slot(CONFIRMED), (2, boot.FAIL, 0, 11)),
        (slot(CONFIRMED), slot(TRIAL, fault=74), (2, boot.FAIL, 1, 74)),
        (slot(TRIAL, trials=3), EMPTY, (3, boot.FAIL, 0, codes.REASON_TRIALS)),
        (slot(TRIAL, trials=2), EMPTY, (5, boot.TRY, 0, 0)),
        (slot(PENDING, 1), slot(TRIAL, 2), (4, boot.FAIL, 0, codes.REASON_ORDER)),
        (slot(PENDING, 2), slot(PENDING, 1), (4, boot.FAIL, 1, codes.REASON_ORDER)),
        (slot(PENDING, 1), slot(PENDING, 1), (4, boot.FAIL, 1, codes.REASON_ORDER)),
        (slot(CONFIRMED, 1), slot(PENDING, 2), (5, boot.TRY, 1, 0)),
        (slot(CONFIRMED, is_finished=False), EMPTY, (6, boot.FINISH, 0, 0)),
        (slot(CONFIRMED, fault=74, is_finished=False), EMPTY, (6, boot.FINISH, 0, 0)),
        (slot(CONFIRMED, is_finished=False, is_authentic=False, fault=11), EMPTY, (8, boot.RECOVER, None, 0)),
        (slot(CONFIRMED, 1), slot(CONFIRMED, 2, digest=D2), (7, boot.BOOT, 1, FALLBACK)),
        (slot(CONFIRMED, 2), slot(CONFIRMED, 1, digest=D2), (7, boot.BOOT, 0, 0)),
        (slot(CONFIRMED, 1), slot(CONFIRMED, 1, digest=D2), (7, boot.BOOT, 0, 0)),
        (slot(CONFIRMED, 2, fault=74), slot(CONFIRMED, 1, digest=D2), (7, boot.BOOT, 1, FALLBACK)),
        (slot(CONFIRMED), slot(codes.SLOT_FAILED), (7, boot.BOOT, 0, 0)),
        (slot(codes.SLOT_WRITTEN), slot(codes.SLOT_FAILED), (8, boot.RECOVER, None, 0)),
        (EMPTY, EMPTY, (8, boot.RECOVER, None, 0)),
    ):
        assert decide(a, b) == expected, (a, b)


def test_without_an_anchor_nothing_is_marked_or_tried():
    """Row 1: rows 2-6 are passed over, whatever the slots say."""
    for a, b, expected in (
        (slot(CONFIRMED, is_finished=False), slot(PENDING, 2), (7, boot.BOOT, 0, 0)),
        (slot(CONFIRMED), slot(TRIAL, trials=3), (7, boot.BOOT, 0, 0)),
        (slot(PENDING, fault=11), EMPTY, (8, boot.RECOVER, None, 0)),
    ):
        assert decide(a, b, has_anchor=False) == expected


def test_an_unwell_device_runs_the_recovery_agent():
    """Only in place of a confirmed slot: a trial has its own count."""
    unwell = (7, boot.RECOVER, None, codes.REASON_UNWELL)
    assert decide(slot(CONFIRMED), EMPTY, is_unwell=True) == unwell
    assert decide(slot(CONFIRMED), slot(PENDING, 2), is_unwell=True) == (5, boot.TRY, 1, 0)
    assert decide(EMPTY, EMPTY, is_unwell=True) == (8, boot.RECOVER, None, 0)


def test_the_table_names_every_row():
    """Rows 1 to 8 in order, each with its texts; only row 1 is decided elsewhere."""
    assert [row.number for row in boot.ROWS] == list(range(1, 9))
    assert [row.number for row in boot.ROWS if row.judge is None] == [1]
    for row in boot.ROWS:
        assert row.says and row.decision
