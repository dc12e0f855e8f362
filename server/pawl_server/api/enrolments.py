"""How devices come into the fleet: enrolled with the file of their provisioning, or claimed with their code."""

import base64
from typing import Annotated, Self

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from pawl.identity import PARTITIONS, partition_of
from pawl_server.api.context import Service
from pawl_server.api.cursors import PAGE_DEFAULT, Cursor, Limit, TextCursor
from pawl_server.api.device_views import DeviceView
from pawl_server.api.keyed import KEYED, answered
from pawl_server.api.values import Body, DeviceName
from pawl_server.domain.fleet import Enrolment
from pawl_server.domain.registration import Candidate
from pawl_server.errors import InvalidError

router = APIRouter(tags=["devices"])

_CANDIDATES = TextCursor("candidates")
_CODE_MAX_CHARACTERS = 128
_Identifier = Annotated[
    str,
    Field(
        pattern="^[0-9a-f]{32}$",
        description="16 bytes in hex.",
        examples=["00112233445566778899aabbccddeeff"],
    ),
]
_Coordinate = Annotated[
    str,
    Field(pattern="^[A-Za-z0-9+/]{43}=$", description="32 bytes in base64."),
]


class ReportKey(Body):
    """The point of P-256 that a device's reports are checked with."""

    x: _Coordinate
    y: _Coordinate


class EnrolmentBody(Body):
    """What `pawl provision` writes into enrolment.json."""

    device: DeviceName
    partition: int = Field(ge=0, lt=PARTITIONS, description="Of the topics: it follows from the device's id.")
    vendor: _Identifier
    device_class: _Identifier = Field(alias="class")
    report_key: ReportKey

    def enrolment(self) -> Enrolment:
        """Return the value, or raise InvalidError that names the field."""
        if self.partition != partition_of(self.device):
            raise InvalidError("partition", f"{self.device} is in partition {partition_of(self.device)}")
        try:
            return Enrolment(
                device=self.device,
                vendor=bytes.fromhex(self.vendor),
                class_id=bytes.fromhex(self.device_class),
                report_x=base64.b64decode(self.report_key.x),
                report_y=base64.b64decode(self.report_key.y),
            )
        except ValueError as error:
            raise InvalidError("report_key", str(error)) from None


class ClaimBody(Body):
    """A device that waits, and the code on its label."""

    device: DeviceName
    code: str = Field(max_length=_CODE_MAX_CHARACTERS, examples=["AEBQ4-…, 12 groups of 5"])


class CandidateView(BaseModel):
    """A device that said hello and isn't enrolled: nothing else is known of it, and nothing is believed."""

    device: str
    vendor: str
    device_class: str = Field(serialization_alias="class")
    first_seen_s: int
    last_seen_s: int

    @classmethod
    def of(cls, candidate: Candidate) -> Self:
        """Return the view of a candidate."""
        return cls(
            device=candidate.device,
            vendor=candidate.vendor.hex(),
            device_class=candidate.class_id.hex(),
            first_seen_s=candidate.first_seen_s,
            last_seen_s=candidate.last_seen_s,
        )


class CandidatePage(BaseModel):
    """Some candidates in order of their ids; `next` is the `after` of the following page."""

    candidates: list[CandidateView]
    next: str | None


@router.post(
    "/enrolments", status_code=201, dependencies=KEYED, responses=answered(201, "The device is enrolled")
)
async def enroll_device(service: Service, response: Response, body: EnrolmentBody) -> DeviceView:
    """Enroll a provisioned device; the same enrolment again changes nothing."""
    enrolment = body.enrolment()
    await service.enroll(enrolment)
    response.headers["Location"] = f"/v1/devices/{enrolment.device}"
    return DeviceView.of(await service.inventory.device(enrolment.device))


@router.get("/candidates")
async def list_candidates(service: Service, after: Cursor = "", limit: Limit = PAGE_DEFAULT) -> CandidatePage:
    """List devices that said hello and wait to be claimed, a page at a time."""
    found = await service.inventory.candidates(_CANDIDATES.read(after), limit)
    following = _CANDIDATES.write(found[-1].device) if len(found) == limit else None
    return CandidatePage(candidates=[CandidateView.of(one) for one in found], next=following)


@router.post(
    "/claims", status_code=201, dependencies=KEYED, responses=answered(201, "The device is enrolled")
)
async def claim_device(service: Service, response: Response, body: ClaimBody) -> DeviceView:
    """Enroll a device that waits by the code on its label; the same again changes nothing."""
    enrolment = await service.inventory.claim(body.device, body.code)
    response.headers["Location"] = f"/v1/devices/{enrolment.device}"
    return DeviceView.of(await service.inventory.device(enrolment.device))
