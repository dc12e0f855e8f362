"""Devices and their enrolment."""

import base64
from collections.abc import Callable
from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from pawl import codes
from pawl.identity import partition_of
from pawl.index import b64u
from pawl.names import event_name, reason_name
from pawl_server.api.claims import ClaimsView
from pawl_server.api.context import Service
from pawl_server.domain.fleet import Assignment, Enrolment, Flag
from pawl_server.errors import InvalidError
from pawl_server.inventory import DeviceFacts
from pawl_server.store.reports import StoredReport

router = APIRouter(tags=["devices"])

PAGE_MAX = 1000
_RUNNING = {codes.RUNNING_A: "A", codes.RUNNING_B: "B", codes.RUNNING_RECOVERY: "recovery"}
_TEXT_MAX = 128


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


class DeviceView(BaseModel):
    """A device; slot, boots and ratchet are as it said itself, unsigned, and so is all of `claims`.

    `fresh_at_s` is when a signed report last proved that it follows the newest offers, `late` that this is too long ago.
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
    refusals: list[RefusalView]
    reports: list[ReportView]

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
            reports=[ReportView.of(report) for report in facts.reports],
            assignment=AssignmentView.of(facts.assignment) if facts.assignment else None,
            refusals=[
                RefusalView(where=refusal.where, reason=refusal.reason, count=count)
                for refusal, count in facts.refusals.items()
            ],
        )


class DevicePage(BaseModel):
    """Some devices in order of their ids; `next` is the `after` of the following page."""

    devices: list[DeviceView]
    next: str | None


class ReportKey(BaseModel):
    """The key a device signs its reports with; base64."""

    model_config = ConfigDict(extra="forbid")

    x: str = Field(max_length=_TEXT_MAX)
    y: str = Field(max_length=_TEXT_MAX)


class EnrolmentBody(BaseModel):
    """What `pawl provision` writes into enrolment.json."""

    model_config = ConfigDict(extra="forbid")

    device: str = Field(max_length=63)
    partition: int
    vendor: str = Field(max_length=_TEXT_MAX)
    device_class: str = Field(alias="class", max_length=_TEXT_MAX)
    report_key: ReportKey

    def enrolment(self) -> Enrolment:
        """Return the value, or raise InvalidError that names the field."""
        fields = {
            "vendor": _decoded("vendor", bytes.fromhex, self.vendor),
            "class_id": _decoded("class", bytes.fromhex, self.device_class),
            "report_x": _decoded("report_key.x", _base64, self.report_key.x),
            "report_y": _decoded("report_key.y", _base64, self.report_key.y),
        }
        try:
            enrolment = Enrolment(device=self.device, **fields)
        except ValueError as error:
            raise InvalidError("enrolment", str(error)) from None
        if self.partition != partition_of(self.device):
            raise InvalidError("partition", f"{self.device} is in partition {partition_of(self.device)}")
        return enrolment


def _base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _decoded(field: str, decode: Callable[[str], bytes], text: str) -> bytes:
    try:
        return decode(text)
    except ValueError:
        raise InvalidError(field, f"{text[:20]!r} is not what `pawl provision` writes there") from None


@router.get("/devices")
async def list_devices(
    service: Service,
    after: Annotated[str, Query(max_length=63)] = "",
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
) -> DevicePage:
    """List devices, a page at a time."""
    found = await service.inventory.devices(after, limit)
    following = found[-1].device.name if len(found) == limit else None
    return DevicePage(devices=[DeviceView.of(facts) for facts in found], next=following)


@router.get("/devices/{device}")
async def show_device(service: Service, device: str) -> DeviceView:
    """Show a device, its assignment, and what was refused of it."""
    return DeviceView.of(await service.inventory.device(device))


@router.post("/enrolments", status_code=201)
async def enroll_device(service: Service, body: EnrolmentBody) -> DeviceView:
    """Enroll a provisioned device; the same enrolment again changes nothing."""
    enrolment = body.enrolment()
    await service.enroll(enrolment)
    return DeviceView.of(await service.inventory.device(enrolment.device))
