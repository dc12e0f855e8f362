"""What a signed report means for the device's assignment; pure.

Success is what the new image says, signed, after it booted and confirmed itself: never a download, never a hello.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from pawl import codes
from pawl_server.domain.fleet import Assignment, AssignmentState, Device, Ratchet, ReportNumber


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedReport:
    """A report whose signature was verified; `accepted` is (nonce, number) of the offer its sender went by."""

    device: str
    id: ReportNumber
    accepted: tuple[bytes, int] | None
    ratchet: Ratchet | None
    event: int
    reason: int


def is_newer(device: Device, report: SignedReport) -> bool:
    """Return whether the report was made after the newest one that was accepted from this device."""
    return device.last_report is None or device.last_report < report.id


def outcome(assignment: Assignment, report: SignedReport) -> Assignment:
    """Return the assignment after this report; the same one if the report doesn't settle it."""
    judge = _BY_EVENT.get(report.event)
    return assignment if judge is None else judge(assignment, report)


def _runs(assignment: Assignment, report: SignedReport) -> Assignment:
    """Settle an assignment whose release is the device's confirmed one: that is so, whatever was said before."""
    if report.ratchet is None or report.ratchet.digest != assignment.release:
        return assignment
    if report.reason not in _RUNS_IT:  # a fallback: confirmed once, but another release runs
        return assignment
    return replace(assignment, state=AssignmentState.SUCCEEDED, reason=codes.REASON_OK)


def _refused(assignment: Assignment, report: SignedReport) -> Assignment:
    if not _is_open(assignment) or not _answers(assignment, report):
        return assignment
    return replace(assignment, state=AssignmentState.FAILED, reason=report.reason)


def _reverted(assignment: Assignment, report: SignedReport) -> Assignment:
    """Count a revert: it is told after a reset, so it names no offer, and is of a later boot than the offer was."""
    if not _is_open(assignment) or assignment.offered is None or report.id.boots <= assignment.offered.boots:
        return assignment
    return replace(
        assignment, state=AssignmentState.FAILED, reason=report.reason, failures=assignment.failures + 1
    )


_RUNS_IT = (codes.REASON_OK, codes.REASON_ALREADY_INSTALLED)


def _is_open(assignment: Assignment) -> bool:
    return assignment.state in {AssignmentState.ASSIGNED, AssignmentState.OFFERED, AssignmentState.HELD}


def _answers(assignment: Assignment, report: SignedReport) -> bool:
    """Return whether the offer that the device went by was of this assignment, not of one before it."""
    if assignment.offered is None or report.accepted is None:
        return False
    nonce, number = report.accepted
    return nonce == assignment.offered.nonce and number >= assignment.offered.number


# An event that isn't here is kept, and settles nothing.
_BY_EVENT: dict[int, Callable[[Assignment, SignedReport], Assignment]] = {
    codes.EVENT_STARTED: _runs,
    codes.EVENT_INSTALLED: _runs,
    codes.EVENT_REFUSED: _refused,
    codes.EVENT_FAILED: _refused,
    codes.EVENT_REVERTED: _reverted,
}
