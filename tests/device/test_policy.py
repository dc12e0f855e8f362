"""The install policy: each row refuses with its reason, in its order, and a higher release always gets through."""

import factory
from pawl import codes, policy
from pawl.ratchet import Release, floor

D = b"\x0a" * 32
OTHER = b"\x0b" * 32
IMAGE = (b"\x0c" * 32, 100)
EPOCH = 1 << 32


def release(sequence=5, digest=D, version=(1, 0)):
    """Return a Release."""
    return Release(sequence, digest, version, IMAGE)


def facts(**changes):
    """Return the facts of a clean install of sequence 5 over 4, with changes."""
    values = {
        "accepted": release(4, OTHER, (0, 9)),
        "release": release(),
        "has_offer": True,
        "is_trial": False,
        "unauthorised": 0,
        "unfit": 0,
        "running": OTHER,
        "failures": 0,
        "attempt": 1,
        "is_held": False,
    }
    values.update(changes)
    return policy.Facts(**values)


def decide(**changes):
    """Return (row, action, reason)."""
    return tuple(policy.decide(facts(**changes)))


REFUSE = policy.REFUSE


def test_rows():
    """One change each to a clean install."""
    for changes, expected in (
        ({}, (16, policy.INSTALL, 0)),
        ({"has_offer": False}, (0, REFUSE, codes.REASON_NO_OFFER)),
        ({"is_trial": True}, (4, REFUSE, codes.REASON_TRIAL_RUNNING)),
        ({"unauthorised": 11, "release": None}, (6, REFUSE, 11)),
        ({"unfit": 28, "release": None}, (7, REFUSE, 28)),
        ({"accepted": release(EPOCH, OTHER)}, (8, REFUSE, codes.REASON_EPOCH_LOW)),
        ({"release": release(1025 * EPOCH)}, (8, REFUSE, codes.REASON_EPOCH_JUMP)),
        ({"release": release(1024 * EPOCH)}, (16, policy.INSTALL, 0)),
        ({"release": release(3)}, (9, REFUSE, codes.REASON_SEQUENCE_LOW)),
        ({"release": release(4)}, (9, REFUSE, codes.REASON_SEQUENCE_REUSED)),
        ({"release": release(4), "accepted": floor(4)}, (16, policy.INSTALL, 0)),
        ({"release": release(3), "accepted": floor(4)}, (9, REFUSE, codes.REASON_SEQUENCE_LOW)),
        ({"accepted": release(), "running": D}, (10, policy.NOTHING, codes.REASON_ALREADY_INSTALLED)),
        ({"accepted": release()}, (16, policy.INSTALL, 0)),
        ({"release": release(version=(0, 8))}, (12, REFUSE, codes.REASON_VERSION_LOW)),
        ({"release": release(version=(0, 9, 0))}, (16, policy.INSTALL, 0)),
        ({"failures": 1}, (13, REFUSE, codes.REASON_QUARANTINED)),
        ({"failures": 1, "attempt": 2}, (16, policy.INSTALL, 0)),
        ({"failures": 3, "attempt": 4}, (13, REFUSE, codes.REASON_QUARANTINED)),
        ({"is_held": True}, (15, policy.ADOPT, 0)),
    ):
        assert decide(**changes) == expected, changes


def test_an_earlier_row_wins():
    """With everything wrong at once, reasons come in the order of the table."""
    wrong = {
        "has_offer": False,
        "is_trial": True,
        "unauthorised": 11,
        "unfit": 28,
        "release": release(3, version=(0, 1)),
        "accepted": release(EPOCH, OTHER, (9,)),
        "failures": 1,
    }
    mend = (
        ("has_offer", True, codes.REASON_NO_OFFER),
        ("is_trial", False, codes.REASON_TRIAL_RUNNING),
        ("unauthorised", 0, 11),
        ("unfit", 0, 28),
        ("accepted", release(4, OTHER, (9,)), codes.REASON_EPOCH_LOW),
        ("release", release(5, version=(0, 1)), codes.REASON_SEQUENCE_LOW),
        ("accepted", release(4, OTHER, (0,)), codes.REASON_VERSION_LOW),
        ("failures", 0, codes.REASON_QUARANTINED),
    )
    for name, value, reason in mend:
        assert decide(**wrong)[2] == reason, name
        wrong[name] = value
    assert decide(**wrong)[1] == policy.INSTALL


def test_a_higher_release_always_gets_through():
    """Whatever failed before: higher sequence, fitting version, and the way is free."""
    for accepted in (floor(0), release(4, OTHER), release(4 + EPOCH, OTHER)):
        for failures in (0, 1, 3):
            higher = release(accepted.sequence + 1, factory.sha256(b"new"))
            chosen = decide(accepted=accepted, release=higher, failures=0 if failures else failures)
            assert chosen[1] == policy.INSTALL


def test_versions_compare_by_element():
    """Padded with zeros; numbers, not text (a peer's bug)."""
    for one, other, expected in (
        ((1,), (1, 0, 0), 0),
        ((1, 10), (1, 9), 1),
        ((0, 9), (1,), -1),
        ((1, 2, -1), (1, 2), -1),
        ((2,), (1, 99, 99), 1),
    ):
        assert policy.compare_versions(one, other) == expected
        assert policy.compare_versions(other, one) == -expected
