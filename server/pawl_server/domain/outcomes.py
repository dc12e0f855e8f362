"""What a signed report means for the assignments of its device; pure.

Success is what the new image says, signed, after it booted and confirmed itself: never a download, never a hello. A report
settles the assignment of the release that it names, and no other one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from pawl import codes
from pawl_server.domain.fleet import Assignment, AssignmentState, Device, Ratchet, ReportNumber


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What the SUIT_Report inside says: which release, by manifest digest, and what came of it."""

    release: bytes
    reason: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedReport:
    """A report whose signature was verified; `accepted` is (nonce, number) of the offer its sender went by.

    `digest` is that of the signed content: the same report has the same one, whoever encoded its signature.
    `confirmed_version` is that of the release in the ratchet, None if the device was only provisioned.
    """

    device: str
    id: ReportNumber
    accepted: tuple[bytes, int] | None
    ratchet: Ratchet | None
    event: int
    reason: int
    digest: bytes
    subject: Subject | None = None
    confirmed_version: tuple[int, ...] | None = None


def is_newer(device: Device, report: SignedReport) -> bool:
    """Return whether the report was made after the newest one that was accepted from this device."""
    return device.last_report is None or device.last_report < report.id


def answers_newest(device: Device, report: SignedReport) -> bool:
    """Return whether its sender had accepted the newest offer: one that was made today can't be of yesterday."""
    return report.accepted is not None and report.accepted == device.issued


def is_fresh(device: Device, report: SignedReport) -> bool:
    """Return whether the report proves that the device follows offers, and our anchor, under the nonce that is open."""
    if report.accepted is None or device.nonce is None or report.reason in _HELD_BACK:
        return False
    nonce, number = report.accepted
    return nonce == device.nonce and device.first_number <= number < device.next_number


def proven_at_s(device: Device, report: SignedReport) -> int | None:
    """Return when the offer was made that a fresh report accepted: held back, it proves nothing of later."""
    newest = device.issued
    return device.offered_at_s if report.accepted == newest else device.nonce_at_s


def concerned(report: SignedReport) -> set[bytes]:
    """Return the releases whose assignments the report may settle."""
    named = {report.subject.release} if report.subject else set()
    return named | ({report.ratchet.digest} if report.ratchet and report.ratchet.digest else set())


def outcome(assignment: Assignment, report: SignedReport) -> Assignment:
    """Return the assignment after this report; the same one if the report doesn't settle it."""
    judge = _BY_EVENT.get(report.event)
    return assignment if judge is None else judge(assignment, report)


def _runs(assignment: Assignment, report: SignedReport) -> Assignment:
    """Settle an assignment whose release is the device's confirmed one: that is so, whatever was said before."""
    if report.ratchet is None or report.ratchet.digest != assignment.release:
        return assignment
    if report.reason not in _RUNS_IT:
        return _fell_back(assignment, report)
    if report.subject is None and report.event == codes.EVENT_STARTED:
        return assignment  # nothing runs but the recovery agent: the ratchet still names what flash has lost
    if report.subject is not None and not _says_ok_of(assignment, report.subject):
        return assignment
    return replace(assignment, state=AssignmentState.SUCCEEDED, reason=codes.REASON_OK)


def _fell_back(assignment: Assignment, report: SignedReport) -> Assignment:
    """Fail what succeeded once when the device says that it boots another release all the same."""
    if report.reason != codes.REASON_FALLBACK or assignment.state is not AssignmentState.SUCCEEDED:
        return assignment
    return replace(assignment, state=AssignmentState.FAILED, reason=report.reason)


def _says_ok_of(assignment: Assignment, subject: Subject) -> bool:
    return subject.release == assignment.release and subject.reason == codes.REASON_OK


def _refused(assignment: Assignment, report: SignedReport) -> Assignment:
    if not assignment.is_open or not _names(assignment, report) or not _answers(assignment, report):
        return assignment
    if (
        report.reason == codes.REASON_NO_OFFER
    ):  # withdrawn, replaced, or a day old: the next offer says what is wanted
        return assignment
    return replace(assignment, state=AssignmentState.FAILED, reason=report.reason)


def _failed(assignment: Assignment, report: SignedReport) -> Assignment:
    """Settle what failed at boot, too: it is told after a reset, so it names no offer."""
    if not assignment.is_open or not _names(assignment, report):
        return assignment
    if not _answers(assignment, report) and not _is_of_later_boot(assignment, report):
        return assignment
    return replace(assignment, state=AssignmentState.FAILED, reason=report.reason)


def _reverted(assignment: Assignment, report: SignedReport) -> Assignment:
    """Count a revert: it is told after a reset, so it names no offer, and is of a later boot than the offer was."""
    if not assignment.is_open or not _names(assignment, report) or not _is_of_later_boot(assignment, report):
        return assignment
    return replace(
        assignment, state=AssignmentState.FAILED, reason=report.reason, failures=assignment.failures + 1
    )


# Somebody keeps the newest anchor from the device, or gave it another one: it is not up to date, whatever it answers.
_HELD_BACK = (codes.REASON_ANCHOR_BEHIND, codes.REASON_ANCHOR_FORK)
_RUNS_IT = (codes.REASON_OK, codes.REASON_ALREADY_INSTALLED)


def _names(assignment: Assignment, report: SignedReport) -> bool:
    return report.subject is not None and report.subject.release == assignment.release


def _answers(assignment: Assignment, report: SignedReport) -> bool:
    """Return whether the offer that the device went by was of this assignment, not of one before it."""
    if assignment.offered is None or report.accepted is None:
        return False
    nonce, number = report.accepted
    return nonce == assignment.offered.nonce and number >= assignment.offered.number


def _is_of_later_boot(assignment: Assignment, report: SignedReport) -> bool:
    return assignment.offered is not None and report.id.boots > assignment.offered.boots


# An event that isn't here is kept, and settles nothing.
_BY_EVENT: dict[int, Callable[[Assignment, SignedReport], Assignment]] = {
    codes.EVENT_STARTED: _runs,
    codes.EVENT_INSTALLED: _runs,
    codes.EVENT_REFUSED: _refused,
    codes.EVENT_FAILED: _failed,
    codes.EVENT_REVERTED: _reverted,
}
