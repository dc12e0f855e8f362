"""The install policy: one table, asked when a release was read, before the first erase, and before `pending`.

`decide` is pure: facts in, Decision out. Rows have the numbers of `docs/architecture.md`, Install policy; rows 1-3
judge an offer when it arrives (`offers`), rows of later releases' features are added here and nowhere else.
"""

from collections import namedtuple

from pawl import codes
from pawl.compat import const
from pawl.ratchet import epoch

REFUSE = const(1)
NOTHING = const(2)  # it is what runs: nothing to do
ADOPT = const(3)  # the image is there: page, envelope, pending
INSTALL = const(4)

# accepted: R of the image role; release: what is asked for; unauthorised, unfit: 0 or the reason (rows 6, 7);
# running: digest of what runs or None; is_trial: the running slot is unconfirmed; failures: verdicts stored for
# this digest; attempt: of the offer; is_held: the target slot has the image
Facts = namedtuple(
    "Facts",
    (
        "accepted",
        "release",
        "has_offer",
        "is_trial",
        "unauthorised",
        "unfit",
        "running",
        "failures",
        "attempt",
        "is_held",
    ),
)
Decision = namedtuple("Decision", ("row", "action", "reason"))

_ATTEMPTS_MAX = const(3)


def _refuse_if(is_so, reason):
    return (REFUSE, reason) if is_so else None


def _is_repair(facts):
    return facts.release.sequence == facts.accepted.sequence and facts.release.digest == facts.accepted.digest


def _no_offer(facts):
    return _refuse_if(not facts.has_offer, codes.REASON_NO_OFFER)


def _trial_running(facts):
    return _refuse_if(facts.is_trial, codes.REASON_TRIAL_RUNNING)


def _unauthorised(facts):
    return _refuse_if(facts.unauthorised, facts.unauthorised)


def _unfit(facts):
    return _refuse_if(facts.unfit, facts.unfit)


def _epoch(facts):
    new, old = epoch(facts.release.sequence), epoch(facts.accepted.sequence)
    if new < old:
        return REFUSE, codes.REASON_EPOCH_LOW
    return _refuse_if(new > old + codes.EPOCH_STEP_MAX, codes.REASON_EPOCH_JUMP)


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


def _version(facts):
    known = facts.accepted.version
    is_low = known is not None and compare_versions(facts.release.version, known) < 0
    return _refuse_if(is_low and not _is_repair(facts), codes.REASON_VERSION_LOW)


def _quarantine(facts):
    if not facts.failures or _is_repair(facts):
        return None
    is_next = facts.attempt == facts.failures + 1 and facts.attempt <= _ATTEMPTS_MAX
    return _refuse_if(not is_next, codes.REASON_QUARANTINED)


def _held(facts):
    return (ADOPT, codes.REASON_OK) if facts.is_held else None


def _install(_):
    return INSTALL, codes.REASON_OK


ROWS = (
    (0, _no_offer),
    (4, _trial_running),
    (6, _unauthorised),
    (7, _unfit),
    (8, _epoch),
    (9, _sequence),
    (10, _already),
    (12, _version),
    (13, _quarantine),
    (15, _held),
    (16, _install),
)


def decide(facts):
    """Return the Decision of the first row that applies."""
    for number, row in ROWS:
        found = row(facts)
        if found is not None:
            return Decision(number, found[0], found[1])
    raise AssertionError("the last row always applies")


def compare_versions(one, other):
    """Return -1, 0 or 1: element by element, the shorter padded with zeros."""
    size = max(len(one), len(other))
    padded = [tuple(version) + (0,) * (size - len(version)) for version in (one, other)]
    return (padded[0] > padded[1]) - (padded[0] < padded[1])
