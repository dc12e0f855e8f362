"""Why people have to look at a device; pure. Nothing is decided by it, but that a quarantined device joins no rollout."""

from dataclasses import dataclass, replace
from enum import StrEnum

from pawl_server.domain.fleet import QUARANTINE_FAILURES, Device


class Cause(StrEnum):
    """What is the matter: a rollout failed for good on it, too often, its messages don't fit, or it proves nothing."""

    FAILED = "failed"
    QUARANTINED = "quarantined"
    FLAGGED = "flagged"
    LATE = "late"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One cause, since when, and the reason by name."""

    cause: Cause
    since_s: int
    reason: str


def notes_of(device: Device, late_after_s: int) -> tuple[Note, ...]:
    """Return why people have to look at a device, in the order of the causes."""
    found = []
    if device.attention_at_s is not None:
        found.append(
            Note(cause=Cause.FAILED, since_s=device.attention_at_s, reason=device.attention_reason or "")
        )
    if device.failures >= QUARANTINE_FAILURES:
        reason = f"{device.failures} failures in a row"
        found.append(Note(cause=Cause.QUARANTINED, since_s=device.attention_at_s or 0, reason=reason))
    if device.flag is not None:
        found.append(Note(cause=Cause.FLAGGED, since_s=device.flag.at_s, reason=device.flag.reason))
    if device.is_late:
        since_s = (device.proved_fresh_s() or 0) + late_after_s
        found.append(Note(cause=Cause.LATE, since_s=since_s, reason="no proof that it follows offers"))
    return tuple(found)


def cleared(device: Device) -> Device:
    """Return the device after people looked at it. That it is late ends with its next proof only."""
    return replace(device, failures=0, flag=None, attention_at_s=None, attention_reason=None)
