"""Which offer a device gets now, and what the server remembers of it; pure.

The director chooses among signed releases and says how fresh its choice is; what may run, the device judges itself.
"""

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from pawl import codes, messages
from pawl_server.domain.fleet import Assignment, AssignmentState, Device, OfferMark

# As often a device tries one release (docs/architecture.md, Install policy, row 13).
ATTEMPTS_MAX = 3


class FinalError(Exception):
    """The device refuses this release for good; nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorReference:
    """The trust anchor that the director goes by: a device behind it walks the roots first."""

    version: int
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """An offer (`pawl.messages.Offer`) and the rows that belong to it."""

    offer: Any
    device: Device
    assignment: Assignment | None


# What an assignment's state asks of the device; a settled one asks nothing until it is assigned again.
_ACTIONS = {
    AssignmentState.ASSIGNED: codes.OFFER_INSTALL,
    AssignmentState.OFFERED: codes.OFFER_INSTALL,
    AssignmentState.HELD: codes.OFFER_HOLD,
    AssignmentState.SUCCEEDED: codes.OFFER_NONE,
    AssignmentState.FAILED: codes.OFFER_NONE,
}


def assign(assignment: Assignment | None, device: str, release: bytes) -> Assignment:
    """Return the assignment of a release to a device, given the one of the same release before it, if any.

    A device installs what failed on it only under the attempt that follows its failures: assigning again asks for that.
    FinalError if the device said, signed, that there is no further attempt.
    """
    if assignment is None:
        return Assignment(device=device, release=release)
    if assignment.is_final:
        raise FinalError(
            f"{device} tried this release {ATTEMPTS_MAX} times and refuses it for good (quarantine-final): "
            "sign a release with a higher sequence number"
        )
    return replace(
        assignment,
        state=AssignmentState.ASSIGNED,
        attempt=assignment.failures + 1,
        reason=codes.REASON_OK,
        offered=None,
    )


def hold(assignment: Assignment) -> Assignment:
    """Return the assignment stopped where it is; one that is settled stays as it is."""
    if _ACTIONS[assignment.state] == codes.OFFER_NONE:
        return assignment
    return replace(assignment, state=AssignmentState.HELD)


def fail(assignment: Assignment, reason: int) -> Assignment:
    """Return the assignment failed by the director: its release must not be offered any more."""
    return replace(assignment, state=AssignmentState.FAILED, reason=reason)


def take_hint(assignment: Assignment, attempts: int) -> Assignment:
    """Return the assignment with the attempts that the device says it stored, if it refused the last one as quarantined.

    Nobody signed the number: a false one leads to one more refusal, and changes neither state nor reason.
    """
    if assignment.state is not AssignmentState.FAILED or assignment.reason != codes.REASON_QUARANTINED:
        return assignment
    return replace(assignment, failures=min(attempts, ATTEMPTS_MAX))


def make_offer(
    device: Device, assignment: Assignment | None, anchor: AnchorReference, now_s: int, spread_s: int = 0
) -> Issued | None:
    """Return the next offer under the device's open nonce; None if no nonce is open.

    Of many that are asked at once, each begins at a moment of its own within `spread_s`.
    """
    if device.nonce is None:
        return None
    action = codes.OFFER_NONE if assignment is None else _ACTIONS[assignment.state]
    is_install = assignment is not None and action == codes.OFFER_INSTALL
    offer = messages.Offer(
        device=device.name,
        nonce=device.nonce,
        number=device.next_number,
        time=now_s,
        anchor=(anchor.version, anchor.digest),
        action=action,
        digest=assignment.release if assignment is not None and is_install else None,
        attempt=assignment.attempt if assignment is not None and is_install else None,
        delay_s=_delay_s(assignment, spread_s) if assignment is not None and is_install else None,
    )
    following = replace(device, next_number=device.next_number + 1, offered_at_s=now_s)
    marked = _mark(assignment, device, device.nonce) if assignment is not None and is_install else assignment
    return Issued(offer=offer, device=following, assignment=marked)


def _delay_s(assignment: Assignment, spread_s: int) -> int | None:
    """Return when of the spread its turn is: drawn for device and release, so that an offer that is repeated says the same."""
    drawn = int.from_bytes(sha256(assignment.device.encode() + assignment.release).digest()[:4])
    return drawn % (spread_s + 1) or None


def _mark(assignment: Assignment, device: Device, nonce: bytes) -> Assignment:
    """Remember the first offer under each nonce: a report that accepted it, or a later one, speaks of this assignment."""
    if assignment.offered is not None and assignment.offered.nonce == nonce:
        return replace(assignment, state=AssignmentState.OFFERED)
    mark = OfferMark(nonce=nonce, number=device.next_number, boots=device.boots or 0)
    return replace(assignment, state=AssignmentState.OFFERED, offered=mark)
