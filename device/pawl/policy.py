"""The install policy: one table, asked when a release was read, before the first erase, and before `pending`.

`decide` is pure: facts in, Decision out. Rows have the numbers of `docs/architecture.md`, Install policy. Rows 1-3
judge an offer when it arrives (`offers`): they stand here by name only, so that the table is whole.
"""

from collections import namedtuple

from pawl import codes
from pawl.compat import const
from pawl.ratchet import epoch

REFUSE = const(1)
NOTHING = const(2)  # it is what runs: nothing to do
ADOPT = const(3)  # the image is there: page, envelope, pending
INSTALL = const(4)
_GO_ON = const(5)  # skip to the row with this number
ATTEMPTS_MAX = const(3)

# accepted: R of the image role; release: what is asked for; is_expired: the anchor's time is over; unauthorised,
# unfit: 0 or the reason (rows 6, 7); has_room: the ratchet can take one update; is_recovery, recovers: the manifest's role,
# and the images (digest, size) that it names; running: digest of what runs or None; failures: verdicts stored for this
# digest; attempt: of the offer; is_spent: no slot erase is left today; is_held: the target slot has the image
Facts = namedtuple(
    "Facts",
    (
        "accepted",
        "release",
        "has_offer",
        "is_trial",
        "is_expired",
        "unauthorised",
        "unfit",
        "has_room",
        "is_recovery",
        "recovers",
        "running",
        "failures",
        "attempt",
        "is_spent",
        "is_held",
    ),
)
Decision = namedtuple("Decision", ("row", "action", "reason"))
# says, decision: for people; judge(facts): None if the row doesn't apply, else (action, reason); None itself: decided in
# `offers`
Row = namedtuple("Row", ("number", "says", "decision", "reasons", "judge"))


def _refuse_if(is_so, reason):
    return (REFUSE, reason) if is_so else None


def _is_repair(facts):
    return facts.release.sequence == facts.accepted.sequence and facts.release.digest == facts.accepted.digest


def _no_offer(facts):
    return _refuse_if(not facts.has_offer, codes.REASON_NO_OFFER)


def _trial_running(facts):
    return _refuse_if(facts.is_trial, codes.REASON_TRIAL_RUNNING)


def _expired(facts):
    return _refuse_if(facts.is_expired, codes.REASON_ANCHOR_EXPIRED)


def _unauthorised(facts):
    return _refuse_if(facts.unauthorised, facts.unauthorised)


def _unfit(facts):
    if facts.unfit:
        return REFUSE, facts.unfit
    return _refuse_if(not facts.has_room, codes.REASON_RATCHET_ROOM)


def _epoch(facts):
    new, old = epoch(facts.release.sequence), epoch(facts.accepted.sequence)
    if new < old:
        return REFUSE, codes.REASON_EPOCH_LOW
    if new > old + codes.EPOCH_STEP_MAX:
        return REFUSE, codes.REASON_EPOCH_JUMP
    return _refuse_if(facts.is_recovery and new != old, codes.REASON_RECOVERY_EPOCH)


def _sequence(facts):
    if facts.release.sequence < facts.accepted.sequence:
        return REFUSE, codes.REASON_SEQUENCE_LOW
    is_equal = facts.release.sequence == facts.accepted.sequence
    is_other = facts.accepted.digest is not None and facts.release.digest != facts.accepted.digest
    return _refuse_if(is_equal and is_other, codes.REASON_SEQUENCE_REUSED)


def _already(facts):
    if _is_repair(facts) and facts.running == facts.release.digest:
        return NOTHING, codes.REASON_ALREADY_INSTALLED
    return None


def _repair(facts):
    return (_GO_ON, 14) if _is_repair(facts) else None


def _version(facts):
    """A recovery release may lower the version; it must name what it recovers from, as R does."""
    if facts.is_recovery:
        return _refuse_if(facts.accepted.image not in facts.recovers, codes.REASON_RECOVERY_NOT_FOR_THIS)
    known = facts.accepted.version
    is_low = known is not None and compare_versions(facts.release.version, known) < 0
    return _refuse_if(is_low, codes.REASON_VERSION_LOW)


def _quarantine(facts):
    if facts.failures >= ATTEMPTS_MAX:
        return REFUSE, codes.REASON_QUARANTINE_FINAL
    is_next = not facts.failures or facts.attempt == facts.failures + 1
    return _refuse_if(not is_next, codes.REASON_QUARANTINED)


def _budget(facts):
    return _refuse_if(facts.is_spent, codes.REASON_BUDGET)


def _held(facts):
    return (ADOPT, codes.REASON_OK) if facts.is_held else None


def _install(_):
    return INSTALL, codes.REASON_OK


ROWS = (
    Row(0, "no current offer asks for this release", "refuse", (codes.REASON_NO_OFFER,), _no_offer),
    Row(
        1,
        "offer: bad signature, other device, nonce not open, number not higher",
        "refuse",
        (
            codes.REASON_OFFER_SIGNATURE,
            codes.REASON_OFFER_DEVICE,
            codes.REASON_OFFER_NONCE,
            codes.REASON_OFFER_COUNTER,
        ),
        None,
    ),
    Row(2, "offer hold or none: the job ends, a pending slot has its page erased", "end the job", (), None),
    Row(
        3,
        "our anchor is behind, or another one of that version",
        "refuse",
        (codes.REASON_ANCHOR_BEHIND, codes.REASON_ANCHOR_FORK),
        None,
    ),
    Row(4, "the running slot is unconfirmed", "refuse", (codes.REASON_TRIAL_RUNNING,), _trial_running),
    Row(5, "the anchor expired by the time floor", "refuse", (codes.REASON_ANCHOR_EXPIRED,), _expired),
    Row(
        6,
        "the role's install set not met (repair: or a boot set), or barred",
        "refuse",
        (codes.REASON_UNAUTHORISED, codes.REASON_BARRED),
        _unauthorised,
    ),
    Row(
        7,
        "not for this device, larger than the slot, or the ratchet has no room",
        "refuse",
        (
            codes.REASON_VENDOR,
            codes.REASON_CLASS,
            codes.REASON_SLOT_TOO_SMALL,
            codes.REASON_RATCHET_ROOM,
        ),
        _unfit,
    ),
    Row(
        8,
        "epoch lower, more than 1024 higher, or another one in a recovery release",
        "refuse",
        (codes.REASON_EPOCH_LOW, codes.REASON_EPOCH_JUMP, codes.REASON_RECOVERY_EPOCH),
        _epoch,
    ),
    Row(
        9,
        "sequence number lower, or equal with another manifest",
        "refuse",
        (codes.REASON_SEQUENCE_LOW, codes.REASON_SEQUENCE_REUSED),
        _sequence,
    ),
    Row(10, "it is what runs", "nothing to do", (codes.REASON_ALREADY_INSTALLED,), _already),
    Row(11, "repair of what the ratchet names: rows 12 and 13 are skipped", "go on at 14", (), _repair),
    Row(
        12,
        "version lower; recovery release that doesn't name our image",
        "refuse",
        (codes.REASON_VERSION_LOW, codes.REASON_RECOVERY_NOT_FOR_THIS),
        _version,
    ),
    Row(
        13,
        "failed here, and not the next attempt; 3 attempts used",
        "refuse",
        (codes.REASON_QUARANTINED, codes.REASON_QUARANTINE_FINAL),
        _quarantine,
    ),
    Row(14, "4 slot erases in 24 h of uptime", "refuse", (codes.REASON_BUDGET,), _budget),
    Row(15, "the target slot holds the image", "no download", (), _held),
    Row(16, "else", "install", (), _install),
)


def decide(facts):
    """Return the Decision of the first row that applies."""
    from_row = 0
    for row in ROWS:
        found = row.judge(facts) if row.judge is not None and row.number >= from_row else None
        if found is None:
            continue
        if found[0] != _GO_ON:
            return Decision(row.number, found[0], found[1])
        from_row = found[1]
    raise AssertionError("the last row always applies")


def recovery_of(manifest):
    """Return (is it a recovery release, the images that it recovers from); of no manifest, that it is none."""
    if manifest is None:
        return False, ()
    return manifest.role == codes.ROLE_APP_RECOVERY, manifest.recovers


def compare_versions(one, other):
    """Return -1, 0 or 1: element by element, the shorter padded with zeros."""
    size = max(len(one), len(other))
    padded = [tuple(version) + (0,) * (size - len(version)) for version in (one, other)]
    return (padded[0] > padded[1]) - (padded[0] < padded[1])
