"""Between rows and values: the only place that knows both the columns and the dataclasses."""

from typing import Any

from sqlalchemy import RowMapping

from pawl_server.domain.fleet import (
    Assignment,
    AssignmentState,
    Device,
    Enrolment,
    Flag,
    OfferMark,
    Ratchet,
    Release,
    ReportNumber,
)


def device_row(device: Device) -> dict[str, Any]:
    """Return the columns of a device."""
    enrolment, ratchet, report, flag = device.enrolment, device.ratchet, device.last_report, device.flag
    return {
        "id": enrolment.device,
        "partition": device.partition,
        "vendor": enrolment.vendor,
        "class_id": enrolment.class_id,
        "report_x": enrolment.report_x,
        "report_y": enrolment.report_y,
        "ratchet_sequence": ratchet.sequence if ratchet else None,
        "ratchet_digest": ratchet.digest if ratchet else None,
        "last_report_boots": report.boots if report else None,
        "last_report_number": report.number if report else None,
        "flagged_at_s": flag.at_s if flag else None,
        "flagged_reason": flag.reason if flag else None,
        **{name: getattr(device, name) for name in _DEVICE},
    }


def device_of(row: RowMapping) -> Device:
    """Return the device in a row."""
    ratchet = report = flag = None
    if row["ratchet_sequence"] is not None:
        ratchet = Ratchet(sequence=row["ratchet_sequence"], digest=row["ratchet_digest"])
    if row["last_report_boots"] is not None:
        report = ReportNumber(boots=row["last_report_boots"], number=row["last_report_number"])
    if row["flagged_at_s"] is not None:
        flag = Flag(at_s=row["flagged_at_s"], reason=row["flagged_reason"])
    enrolment = Enrolment(
        device=row["id"],
        vendor=row["vendor"],
        class_id=row["class_id"],
        report_x=row["report_x"],
        report_y=row["report_y"],
    )
    plain = {name: row[name] for name in _DEVICE}
    return Device(enrolment=enrolment, ratchet=ratchet, last_report=report, flag=flag, **plain)


def assignment_row(assignment: Assignment) -> dict[str, Any]:
    """Return the columns of an assignment."""
    mark = assignment.offered
    return {
        "device": assignment.device,
        "release": assignment.release,
        "state": assignment.state.value,
        "attempt": assignment.attempt,
        "failures": assignment.failures,
        "reason": assignment.reason,
        "offer_nonce": mark.nonce if mark else None,
        "offer_number": mark.number if mark else None,
        "offer_boots": mark.boots if mark else None,
    }


def assignment_of(row: RowMapping) -> Assignment:
    """Return the assignment in a row."""
    offered = None
    if row["offer_nonce"] is not None:
        offered = OfferMark(nonce=row["offer_nonce"], number=row["offer_number"], boots=row["offer_boots"])
    return Assignment(
        device=row["device"],
        release=row["release"],
        state=AssignmentState(row["state"]),
        attempt=row["attempt"],
        failures=row["failures"],
        reason=row["reason"],
        offered=offered,
    )


def release_row(release: Release) -> dict[str, Any]:
    """Return the columns of a release."""
    return {name: getattr(release, name) for name in _RELEASE}


def release_of(row: RowMapping) -> Release:
    """Return the release in a row."""
    return Release(**{name: row[name] for name in _RELEASE})


# What a device's row says as it is.
_DEVICE = (
    "assigned",
    "nonce",
    "first_number",
    "next_number",
    "boots",
    "running",
    "last_seen_s",
    "enrolled_at_s",
    "fresh_at_s",
    "nonce_at_s",
    "offered_at_s",
    "is_late",
    "hello",
    "log",
    "timezone",
    "confirmed_version",
    "confirmed_version_key",
    "former_nonce",
    "failures",
    "attention_at_s",
    "attention_reason",
    "agent",
)
_RELEASE = (
    "digest",
    "sequence",
    "version",
    "index_digest",
    "size_bytes",
    "imported_at_s",
    "published_at_s",
    "is_retained",
    "is_recovery",
)
