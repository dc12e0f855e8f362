"""Which failures are tried again by themselves, after how long, and that no reason was forgotten."""

import pytest

from pawl import codes
from pawl_server.domain import reasons
from pawl_server.domain.reasons import reason_name
from pawl_server.domain.retry import BACKOFFS, CLASSES, FailureClass, Final, RetryAt, class_of, decide

MOST_S = 86400 + 86400 // 4


def _reasons():
    return {getattr(codes, name) for name in dir(codes) if name.startswith("REASON_")}


def test_every_reason_is_in_the_table():
    """Those of devices and the server's own; and nothing else is."""
    assert set(CLASSES) == _reasons() | {reasons.SILENT}


@pytest.mark.parametrize(
    ("name", "is_retried"),
    [
        ("LINK_LOST", True),
        ("NO_OFFER", True),
        ("TRIAL_RUNNING", True),
        ("ANCHOR_BEHIND", True),
        ("INDEX_DIGEST", True),
        ("BLOCK_DIGEST", True),
        ("BUDGET", True),
        ("OUT_OF_MEMORY", True),
        ("FLASH_READ_BACK", True),
        ("UPDATE_AUTHORIZED", True),
        ("TRIALS", False),
        ("APP_CRASHED", False),
        ("UNWELL", False),
        ("ORDER", False),
        ("FALLBACK", False),
        ("UNAUTHORISED", False),
        ("BARRED", False),
        ("CLASS", False),
        ("VENDOR", False),
        ("VERSION_LOW", False),
        ("SEQUENCE_LOW", False),
        ("QUARANTINED", False),
        ("QUARANTINE_FINAL", False),
        ("ANCHOR_EXPIRED", False),
        ("SLOT_TOO_SMALL", False),
        ("MALFORMED", False),
        ("OK", False),
    ],
)
def test_what_is_tried_again(name, is_retried):
    """What passes by itself, and nothing that the release or the device is the cause of."""
    verdict = decide(getattr(codes, f"REASON_{name}"), 1, 3, "bench-1")
    assert isinstance(verdict, RetryAt if is_retried else Final)


def test_an_unknown_reason_is_final():
    """A newer agent's: nobody knows that it passes."""
    assert class_of(999) is FailureClass.UNKNOWN
    assert decide(999, 1, 10, "bench-1") == Final()


@pytest.mark.parametrize(("reason", "tries"), [(codes.REASON_BLOCK_DIGEST, 3), (reasons.SILENT, 2)])
def test_tries_end(reason, tries):
    """With those of the plan; silence is waited for twice."""
    assert isinstance(decide(reason, tries - 1, 3, "bench-1"), RetryAt)
    assert decide(reason, tries, 3, "bench-1") == Final()
    assert decide(reason, 1, 1, "bench-1") == Final()


def test_pauses_double_up_to_a_cap():
    """Plus a quarter at most."""
    for kind, backoff in BACKOFFS.items():
        reason = next(number for number, found in CLASSES.items() if found is kind)
        for tries in range(1, (backoff.tries_max or 10)):
            base_s = min(backoff.first_s * 2 ** (tries - 1), backoff.most_s)
            pause_s = decide(reason, tries, 10, "bench-1").backoff_s
            assert base_s <= pause_s <= base_s + base_s // 4 <= MOST_S


def test_devices_come_back_one_by_one():
    """Each after a pause of its own, which is the same whoever works it out."""
    pauses = [decide(codes.REASON_BUDGET, 1, 3, f"bench-{number}") for number in range(100)]
    assert len(set(pauses)) > 90
    assert pauses[7] == decide(codes.REASON_BUDGET, 1, 3, "bench-7")
    assert pauses[7] != decide(codes.REASON_BUDGET, 2, 3, "bench-7")


def test_names():
    """The server's own, then those of the wire."""
    assert [reason_name(code) for code in (reasons.SILENT, codes.REASON_TRIALS, 999)] == [
        "silent",
        "trials",
        "reason-999",
    ]
