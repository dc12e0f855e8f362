"""Whether a device that failed is asked again by itself, and after how long; pure, one table by reason.

Only what passes by itself is tried again: a full day's budget, a heap that was too small then, bytes that the broker
hasn't yet. What the release, the device or its trust anchor is the cause of stays as it is until people change
something; so it does for a reason that isn't in the table, of an agent newer than this server.

    match decide(reason, tries, plan.tries_max, device): ...
"""

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from pawl import codes
from pawl_server.domain import reasons


class FailureClass(StrEnum):
    """What kind of failure a reason tells of."""

    NONE = "none"
    LINK = "link"
    OFFER = "offer"
    CONTENT = "content"
    BUDGET = "budget"
    MEMORY = "memory"
    FLASH = "flash"
    PUT_OFF = "put-off"
    SILENCE = "silence"
    RELEASE = "release"
    POLICY = "policy"
    TRUST = "trust"
    REVERTED = "reverted"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Ask it again after so many seconds."""

    backoff_s: int


@dataclass(frozen=True, slots=True)
class Final:
    """Don't ask it again but by an operator's command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How a class is tried again: after `first_s`, doubling up to `most_s`, asked `tries_max` times at most."""

    first_s: int
    most_s: int
    tries_max: int | None = None


_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400

# A class that isn't here is never tried again by itself.
BACKOFFS: dict[FailureClass, Backoff] = {
    FailureClass.LINK: Backoff(first_s=_MINUTE_S, most_s=6 * _HOUR_S),
    FailureClass.OFFER: Backoff(first_s=_MINUTE_S, most_s=6 * _HOUR_S),
    # The broker lacks a block, or has a wrong one: the server publishes releases again.
    FailureClass.CONTENT: Backoff(first_s=5 * _MINUTE_S, most_s=6 * _HOUR_S),
    # It lasts until a day of uptime is over.
    FailureClass.BUDGET: Backoff(first_s=6 * _HOUR_S, most_s=_DAY_S),
    FailureClass.MEMORY: Backoff(first_s=10 * _MINUTE_S, most_s=6 * _HOUR_S),
    FailureClass.FLASH: Backoff(first_s=15 * _MINUTE_S, most_s=_DAY_S),
    FailureClass.PUT_OFF: Backoff(first_s=_HOUR_S, most_s=_DAY_S),
    # It was waited for as long as the plan says already.
    FailureClass.SILENCE: Backoff(first_s=_HOUR_S, most_s=_HOUR_S, tries_max=2),
}

_REASONS: dict[FailureClass, tuple[int, ...]] = {
    FailureClass.NONE: (codes.REASON_OK, codes.REASON_ALREADY_INSTALLED, codes.REASON_ANCHOR_ACCEPTED),
    FailureClass.LINK: (
        codes.REASON_LINK_LOST,
        codes.REASON_LINK_REFUSED,
        codes.REASON_LINK_DENIED,
        codes.REASON_LINK_TLS,
        codes.REASON_LINK_TIMEOUT,
    ),
    # Another offer may be followed; a device behind on anchors walks on by itself; a trial ends.
    FailureClass.OFFER: (
        codes.REASON_NO_OFFER,
        codes.REASON_OFFER_NONCE,
        codes.REASON_OFFER_COUNTER,
        codes.REASON_ANCHOR_BEHIND,
        codes.REASON_TRIAL_RUNNING,
    ),
    FailureClass.CONTENT: (
        codes.REASON_MANIFEST_DIGEST,
        codes.REASON_INDEX_DIGEST,
        codes.REASON_BLOCK_DIGEST,
    ),
    FailureClass.BUDGET: (codes.REASON_BUDGET,),
    FailureClass.MEMORY: (codes.REASON_OUT_OF_MEMORY,),
    FailureClass.FLASH: (
        codes.REASON_IMAGE_DIGEST,
        codes.REASON_MARK_FAILED,
        codes.REASON_FLASH_PROGRAM,
        codes.REASON_FLASH_READ_BACK,
    ),
    FailureClass.PUT_OFF: (codes.REASON_UPDATE_AUTHORIZED,),
    FailureClass.SILENCE: (reasons.SILENT,),
    FailureClass.RELEASE: (
        codes.REASON_MALFORMED,
        codes.REASON_TRAILING_BYTES,
        codes.REASON_TOO_LARGE,
        codes.REASON_UNSIGNED_BYTES,
        codes.REASON_ALGORITHM,
        codes.REASON_SURPLUS_SIGNATURE,
        codes.REASON_ENVELOPE_ELEMENT,
        codes.REASON_MANIFEST_VERSION,
        codes.REASON_MANIFEST_ELEMENT,
        codes.REASON_COMPONENT,
        codes.REASON_COMMAND,
        codes.REASON_PARAMETER,
        codes.REASON_SEVERED_DIGEST,
        codes.REASON_URI,
        codes.REASON_SET_VERSION,
        codes.REASON_COMPONENT_SLOT,
        codes.REASON_NO_BRANCH,
        codes.REASON_TEXT,
        codes.REASON_ATTACHMENT,
        codes.REASON_INDEX_SHAPE,
        codes.REASON_ENCODING,
        codes.REASON_IMAGE_SIZE,
        codes.REASON_PAYLOAD_MISSING,
    ),
    FailureClass.POLICY: (
        codes.REASON_VENDOR,
        codes.REASON_CLASS,
        codes.REASON_VERSION_CONDITION,
        codes.REASON_EPOCH_LOW,
        codes.REASON_EPOCH_JUMP,
        codes.REASON_SEQUENCE_LOW,
        codes.REASON_SEQUENCE_REUSED,
        codes.REASON_VERSION_LOW,
        codes.REASON_QUARANTINED,
        codes.REASON_QUARANTINE_FINAL,
        codes.REASON_RATCHET_ROOM,
        codes.REASON_SLOT_TOO_SMALL,
        codes.REASON_RECOVERY_EPOCH,
        codes.REASON_RECOVERY_NOT_FOR_THIS,
        codes.REASON_FLASH_RANGE,
    ),
    FailureClass.TRUST: (
        codes.REASON_UNAUTHORISED,
        codes.REASON_BARRED,
        codes.REASON_ANCHOR_INVALID,
        codes.REASON_ANCHOR_FORK,
        codes.REASON_ANCHOR_EXPIRED,
        codes.REASON_ANCHOR_UNSIGNED,
        codes.REASON_ANCHOR_VERSION,
        codes.REASON_OFFER_SIGNATURE,
        codes.REASON_OFFER_DEVICE,
    ),
    # It was tried, and the device went back. A lost record or ratchet is for people to look at.
    FailureClass.REVERTED: (
        codes.REASON_TRIALS,
        codes.REASON_ORDER,
        codes.REASON_RECOVERED,
        codes.REASON_RATCHET_LOST,
        codes.REASON_FALLBACK,
        codes.REASON_APP_CRASHED,
        codes.REASON_UNWELL,
        codes.REASON_RECORD_LOST,
    ),
}
CLASSES: dict[int, FailureClass] = {reason: kind for kind, group in _REASONS.items() for reason in group}


def class_of(reason: int) -> FailureClass:
    """Return the class of a reason."""
    return CLASSES.get(reason, FailureClass.UNKNOWN)


def decide(reason: int, tries: int, tries_max: int, device: str) -> RetryAt | Final:
    """Return what follows the failure of a device that was asked `tries` times, this one included."""
    backoff = BACKOFFS.get(class_of(reason))
    if backoff is None or tries >= min(tries_max, backoff.tries_max or tries_max):
        return Final()
    pause_s = min(backoff.first_s << max(0, tries - 1), backoff.most_s)
    return RetryAt(pause_s + _spread_s(device, tries, pause_s))


def _spread_s(device: str, tries: int, pause_s: int) -> int:
    """Return up to a quarter of the pause, other for each device and try: those that failed at once don't come at once."""
    digest = sha256(f"{device}/{tries}".encode()).digest()
    return int.from_bytes(digest[:4]) % (pause_s // 4 + 1)
