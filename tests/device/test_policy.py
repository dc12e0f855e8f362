"""The install policy: each row refuses with its reason, in its order, and a higher release always gets through."""

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
        "is_expired": False,
        "unauthorised": 0,
        "unfit": 0,
        "has_room": True,
        "is_recovery": False,
        "recovers": (),
        "running": OTHER,
        "failures": 0,
        "attempt": 1,
        "is_spent": False,
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
        ({"is_expired": True}, (5, REFUSE, codes.REASON_ANCHOR_EXPIRED)),
        ({"unfit": 28, "release": None}, (7, REFUSE, 28)),
        ({"has_room": False}, (7, REFUSE, codes.REASON_RATCHET_ROOM)),
        ({"is_recovery": True, "release": release(EPOCH)}, (8, REFUSE, codes.REASON_RECOVERY_EPOCH)),
        ({"is_recovery": True}, (12, REFUSE, codes.REASON_RECOVERY_NOT_FOR_THIS)),
        (
            {"is_recovery": True, "recovers": (IMAGE,), "release": release(version=(0, 1))},
            (16, policy.INSTALL, 0),
        ),
        ({"is_spent": True}, (14, REFUSE, codes.REASON_BUDGET)),
        ({"is_spent": True, "accepted": release()}, (14, REFUSE, codes.REASON_BUDGET)),
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
        ({"failures": 1, "attempt": 3}, (13, REFUSE, codes.REASON_QUARANTINED)),
        ({"failures": 3, "attempt": 4}, (13, REFUSE, codes.REASON_QUARANTINE_FINAL)),
        ({"failures": 3, "accepted": release()}, (16, policy.INSTALL, 0)),
        ({"is_held": True}, (15, policy.ADOPT, 0)),
    ):
        assert decide(**changes) == expected, changes


def test_an_earlier_row_wins():
    """With everything wrong at once, reasons come in the order of the table."""
    wrong = {
        "has_offer": False,
        "is_trial": True,
        "is_expired": True,
        "unauthorised": 11,
        "unfit": 28,
        "has_room": False,
        "is_spent": True,
        "release": release(3, version=(0, 1)),
        "accepted": release(EPOCH, OTHER, (9,)),
        "failures": 1,
        "attempt": 1,
    }
    mend = (
        ("has_offer", True, codes.REASON_NO_OFFER),
        ("is_trial", False, codes.REASON_TRIAL_RUNNING),
        ("is_expired", False, codes.REASON_ANCHOR_EXPIRED),
        ("unauthorised", 0, 11),
        ("unfit", 0, 28),
        ("has_room", True, codes.REASON_RATCHET_ROOM),
        ("accepted", release(4, OTHER, (9,)), codes.REASON_EPOCH_LOW),
        ("release", release(5, version=(0, 1)), codes.REASON_SEQUENCE_LOW),
        ("accepted", release(4, OTHER, (0,)), codes.REASON_VERSION_LOW),
        ("failures", 0, codes.REASON_QUARANTINED),
        ("is_spent", False, codes.REASON_BUDGET),
    )
    for name, value, reason in mend:
        assert decide(**wrong)[2] == reason, name
        wrong[name] = value
    assert decide(**wrong)[1] == policy.INSTALL


# The model: every state over small numbers.
NEW, OLD = (1, 1), (1, 0)
ELSEWHERE = (b"\x0e" * 32, 7)
ROLES = ((False, ()), (True, (ELSEWHERE, IMAGE)), (True, (ELSEWHERE,)))
CLEAN = (True, False, False, 0, 0, True)  # the facts of rows 0, 4 to 7


def ratchets():
    """Yield every R of the model: known in full, or a provisioned floor."""
    for number in range(3):
        for counter in (1, 2):
            yield release(number * EPOCH + counter, OTHER, NEW)
            yield floor(number * EPOCH + counter)


def pairs():
    """Yield (R, release, (is_recovery, recovers)) for every one of the model."""
    for accepted in ratchets():
        for number in (0, 1, 2, 1025):
            for counter in range(4):
                for version in (OLD, NEW):
                    for digest in (D, OTHER):
                        for role in ROLES:
                            yield accepted, release(number * EPOCH + counter, digest, version), role


def rests():
    """Return every (running, failures, attempt, is_spent, is_held) of the model."""
    found = []
    for running in (D, OTHER, None):
        for failures in range(4):
            for attempt in range(1, 5):
                found += [(running, failures, attempt, bool(bits & 1), bool(bits & 2)) for bits in range(4)]
    return found


def states():
    """Yield the facts of every state whose early rows don't apply."""
    tails = rests()
    for accepted, wanted, role in pairs():
        for tail in tails:
            yield state(accepted, wanted, CLEAN, role, tail)


def state(accepted, wanted, early, role, tail):
    """Return the facts of one state."""
    return policy.Facts(accepted, wanted, *(early + role + tail))


def early_flags():
    """Yield every combination of the facts of rows 0, 4, 5, 6 and 7."""
    for bits in range(64):
        on = [bool(bits & 1 << at) for at in range(6)]
        yield (on[0], on[1], on[2], codes.REASON_BARRED * on[3], codes.REASON_CLASS * on[4], on[5])


def specified(f):  # noqa: PLR0911 (a return a refusal is what makes it readable)
    """The table again, written as one reads it, without a look at `policy`: (row, action, reason)."""
    e, c = f.release.sequence // EPOCH, f.release.sequence % EPOCH
    re, rc = f.accepted.sequence // EPOCH, f.accepted.sequence % EPOCH
    if not f.has_offer:
        return 0, REFUSE, codes.REASON_NO_OFFER
    if f.is_trial:
        return 4, REFUSE, codes.REASON_TRIAL_RUNNING
    if f.is_expired:
        return 5, REFUSE, codes.REASON_ANCHOR_EXPIRED
    if f.unauthorised != 0:
        return 6, REFUSE, f.unauthorised
    if f.unfit != 0:
        return 7, REFUSE, f.unfit
    if not f.has_room:
        return 7, REFUSE, codes.REASON_RATCHET_ROOM
    if e < re:
        return 8, REFUSE, codes.REASON_EPOCH_LOW
    if e > re + 1024:
        return 8, REFUSE, codes.REASON_EPOCH_JUMP
    if f.is_recovery and e != re:
        return 8, REFUSE, codes.REASON_RECOVERY_EPOCH
    return specified_of_this_epoch(f, (e, c), (re, rc))


def specified_of_this_epoch(f, new, old):  # noqa: PLR0911 (as above)
    """Rows 9 to 16."""
    is_known = f.accepted.digest is not None
    if new < old:
        return 9, REFUSE, codes.REASON_SEQUENCE_LOW
    if new == old and is_known and f.release.digest != f.accepted.digest:
        return 9, REFUSE, codes.REASON_SEQUENCE_REUSED
    is_repair = new == old and is_known
    if is_repair and f.running == f.release.digest:
        return 10, policy.NOTHING, codes.REASON_ALREADY_INSTALLED
    if not is_repair:
        if not f.is_recovery and is_known and f.release.version < f.accepted.version:
            return 12, REFUSE, codes.REASON_VERSION_LOW
        if f.is_recovery and (not is_known or f.accepted.image not in f.recovers):
            return 12, REFUSE, codes.REASON_RECOVERY_NOT_FOR_THIS
        if f.failures == 3:
            return 13, REFUSE, codes.REASON_QUARANTINE_FINAL
        if f.failures in (1, 2) and f.attempt - f.failures != 1:
            return 13, REFUSE, codes.REASON_QUARANTINED
    if f.is_spent:
        return 14, REFUSE, codes.REASON_BUDGET
    return (15, policy.ADOPT, 0) if f.is_held else (16, policy.INSTALL, 0)


def test_every_state_is_decided_as_specified():
    """Table and specification agree on every state, and every row from 8 on is reached with each of its reasons."""
    reached = set()
    for one in states():
        decision = policy.decide(one)
        assert decision == specified(one), one
        reached.add((decision.row, decision.reason))
    wanted = {(row.number, reason) for row in policy.ROWS if row.number >= 8 for reason in row.reasons}
    assert reached == wanted | {(15, 0), (16, 0)}


def test_every_combination_of_the_early_rows():
    """Rows 0 to 7 over all their facts, before a sample of the states behind them."""
    reached = set()
    tails = rests()
    for number, (accepted, wanted, role) in enumerate(pairs()):
        if number % 11:
            continue
        for early in early_flags():
            one = state(accepted, wanted, early, role, tails[number % len(tails)])
            decision = policy.decide(one)
            assert decision == specified(one), one
            reached.add(decision.row)
    assert {0, 4, 5, 6, 7} <= reached


def is_way(decision):
    """Return whether a decision leads to the release running."""
    return decision.action in (policy.INSTALL, policy.ADOPT)


def test_no_state_is_without_a_way_forward():
    """Whatever R, whatever ran or failed: the next counter and the next 1024 epochs install, by a fitting version."""
    for accepted in list(ratchets()) + [release(EPOCH - 1, OTHER, NEW)]:
        for sequence in (
            accepted.sequence + 1,
            (accepted.sequence // EPOCH + 1) * EPOCH,
            (accepted.sequence // EPOCH + 1024) * EPOCH,
        ):
            for running in (OTHER, None):
                for is_held in (False, True):
                    tail = (running, 0, 1, False, is_held)
                    one = state(accepted, release(sequence, D, NEW), CLEAN, (False, ()), tail)
                    assert is_way(policy.decide(one)), one


def test_what_the_ratchet_names_can_always_be_repaired():
    """However often it failed, under whatever attempt: unless it is barred."""
    for accepted in ratchets():
        if accepted.digest is None:
            continue
        for role in ROLES:
            for tail in rests():
                one = state(accepted, accepted, CLEAN, role, tail)
                decision = policy.decide(one)
                is_spent, is_running = tail[3], tail[0] == OTHER
                assert is_way(decision) or is_spent or is_running, one
        barred = CLEAN[:3] + (codes.REASON_BARRED,) + CLEAN[4:]
        refused = policy.decide(state(accepted, accepted, barred, ROLES[0], (D, 0, 1, False, False)))
        assert tuple(refused) == (6, REFUSE, codes.REASON_BARRED)


def test_the_table_names_every_row():
    """Rows 0 to 16 in order; only 1 to 3 are decided elsewhere, and each refusal has a reason."""
    assert [row.number for row in policy.ROWS] == list(range(17))
    assert [row.number for row in policy.ROWS if row.judge is None] == [1, 2, 3]
    for row in policy.ROWS:
        assert row.says
        assert bool(row.reasons) == (row.decision in ("refuse", "nothing to do")), row.number


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
