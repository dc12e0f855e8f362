"""What people see of a device."""

from typing import Self

from pydantic import BaseModel, Field

from pawl import codes
from pawl.index import b64u
from pawl.names import event_name, reason_name
from pawl_server.api.claims import ClaimsView, LogEntryView
from pawl_server.domain.attention import Note
from pawl_server.domain.fleet import QUARANTINE_FAILURES, Assignment, Flag
from pawl_server.inventory import DeviceFacts
from pawl_server.store.reports import StoredReport

_RUNNING = {codes.RUNNING_A: "A", codes.RUNNING_B: "B", codes.RUNNING_RECOVERY: "recovery"}


class AssignmentView(BaseModel):
    """What a device is meant to run, and how far it is."""

    release: str
    state: str
    attempt: int
    failures: int
    reason: str

    @classmethod
    def of(cls, assignment: Assignment) -> Self:
        """Return the view of an assignment."""
        return cls(
            release=b64u(assignment.release),
            state=assignment.state,
            attempt=assignment.attempt,
            failures=assignment.failures,
            reason=reason_name(assignment.reason),
        )


class RefusalView(BaseModel):
    """How often a message of this device was refused, and why."""

    where: str
    reason: str
    count: int


class ReportView(BaseModel):
    """A report that counted: signed by the device's key."""

    boots: int
    number: int
    event: str
    reason: str
    release: str | None
    received_at_s: int

    @classmethod
    def of(cls, report: StoredReport) -> Self:
        """Return the view of a report."""
        return cls(
            boots=report.boots,
            number=report.number,
            event=event_name(report.event),
            reason=reason_name(report.reason),
            release=b64u(report.release) if report.release else None,
            received_at_s=report.received_at_s,
        )


class FlagView(BaseModel):
    """Something that people should look at; nothing was decided by it."""

    at_s: int
    reason: str

    @classmethod
    def of(cls, flag: Flag) -> Self:
        """Return the view of a flag."""
        return cls(at_s=flag.at_s, reason=flag.reason)


class NoteView(BaseModel):
    """Why people have to look at the device, and since when."""

    cause: str = Field(examples=["failed", "quarantined", "flagged", "late"])
    since_s: int
    reason: str

    @classmethod
    def of(cls, note: Note) -> Self:
        """Return the view of a note."""
        return cls(cause=note.cause.value, since_s=note.since_s, reason=note.reason)


class DeviceView(BaseModel):
    """A device; slot, boots and ratchet are as it said itself, unsigned, and so is all of `claims`, `log` and `agent`.

    `version` is the one that it confirmed, signed. `failures` are final ones in a row: too many, and no rollout takes it, until
    an operator says that somebody looked. `fresh_at_s` is when a signed report last proved that it follows the newest offers, `late` that this is too long ago.
    """

    device: str
    partition: int
    vendor: str
    device_class: str = Field(serialization_alias="class")
    slot: str | None
    boots: int | None
    epoch: int | None
    sequence: int | None
    confirmed: str | None
    last_seen_s: int | None
    fresh_at_s: int | None
    late: bool
    flagged: FlagView | None
    assignment: AssignmentView | None
    claims: ClaimsView | None
    log: list[LogEntryView]
    refusals: list[RefusalView]
    reports: list[ReportView]
    tags: dict[str, str]
    timezone: str = Field(examples=["Europe/Berlin"])
    version: str | None
    agent: str | None
    attention: list[NoteView]
    failures: int
    quarantined: bool

    @classmethod
    def of(cls, facts: DeviceFacts) -> Self:
        """Return the view of a device."""
        device, ratchet = facts.device, facts.device.ratchet
        return cls(
            device=device.name,
            partition=device.partition,
            vendor=device.enrolment.vendor.hex(),
            device_class=device.enrolment.class_id.hex(),
            slot=_RUNNING.get(device.running) if device.running is not None else None,
            boots=device.boots,
            epoch=ratchet.sequence >> 32 if ratchet else None,
            sequence=ratchet.sequence % 2**32 if ratchet else None,
            confirmed=b64u(ratchet.digest) if ratchet and ratchet.digest else None,
            last_seen_s=device.last_seen_s,
            fresh_at_s=device.fresh_at_s,
            late=facts.is_late,
            flagged=FlagView.of(device.flag) if device.flag else None,
            claims=ClaimsView.of(facts.claims) if facts.claims else None,
            log=[LogEntryView.of(entry) for entry in facts.log],
            reports=[ReportView.of(report) for report in facts.reports],
            assignment=AssignmentView.of(facts.assignment) if facts.assignment else None,
            refusals=[
                RefusalView(where=refusal.where, reason=refusal.reason, count=count)
                for refusal, count in facts.refusals.items()
            ],
            tags=facts.tags,
            timezone=device.timezone,
            version=device.confirmed_version,
            agent=device.agent,
            attention=[NoteView.of(note) for note in facts.notes],
            failures=device.failures,
            quarantined=device.failures >= QUARANTINE_FAILURES,
        )
