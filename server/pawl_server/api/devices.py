"""Devices: listed by filter, shown, described by operators; who needs a look."""

from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pawl_server.api.context import Service
from pawl_server.api.cursors import PAGE_DEFAULT, Cursor, Limit, TextCursor
from pawl_server.api.device_views import DeviceView, NoteView
from pawl_server.api.values import Body, DevicePath, FilterText
from pawl_server.domain.windows import known_zone
from pawl_server.inventory import TAG_VALUE_MAX, TAGS_MAX, DeviceFacts

router = APIRouter(tags=["devices"])

_DEVICES = TextCursor("devices")
_ATTENTION = TextCursor("attention")
_ZONE_MAX_CHARACTERS = 64

_Filter = Annotated[FilterText | None, Query(description="Which devices; all without one.")]
_TagKey = Annotated[str, Field(pattern="^[a-z][a-z0-9_-]{0,31}$")]
_TagValue = Annotated[
    str, Field(min_length=1, max_length=TAG_VALUE_MAX, json_schema_extra={"format": "printable"})
]
_Zone = Annotated[
    str,
    Field(
        min_length=1,
        max_length=_ZONE_MAX_CHARACTERS,
        description="An IANA name.",
        examples=["Europe/Berlin"],
        json_schema_extra={"format": "timezone"},
    ),
]


class DevicePage(BaseModel):
    """Some devices in order of their ids; `next` is the `after` of the following page."""

    devices: list[DeviceView]
    next: str | None


class DeviceCount(BaseModel):
    """How many devices a filter matches."""

    count: int


class DeviceBody(Body):
    """What operators say of a device: tags that are named are set, or deleted with null; the others stay."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    tags: dict[_TagKey, _TagValue | None] = Field(
        default_factory=dict,
        max_length=TAGS_MAX,
        examples=[{"site": "b1", "owner": None}],
        json_schema_extra={"additionalProperties": False},
    )
    timezone: _Zone = Field(default_factory=str)

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, zone: str) -> str:
        if not known_zone(zone):
            raise ValueError(f"{zone!r} is no time zone: use an IANA name, such as Europe/Berlin")
        return zone

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("send tags, a timezone or both")
        return self


class AttentionView(BaseModel):
    """A device that people have to look at, and why."""

    device: str
    attention: list[NoteView]

    @classmethod
    def of(cls, facts: DeviceFacts) -> Self:
        """Return what the list shows of a device."""
        return cls(device=facts.device.name, attention=[NoteView.of(note) for note in facts.notes])


class AttentionPage(BaseModel):
    """Some of the devices that need a look, in order of their ids; `next` is the `after` of the following page."""

    devices: list[AttentionView]
    next: str | None


@router.get("/devices")
async def list_devices(
    service: Service,
    filter: _Filter = None,  # noqa: A002  # its name in the query
    after: Cursor = "",
    limit: Limit = PAGE_DEFAULT,
) -> DevicePage:
    """List devices, all or those that a filter matches, a page at a time."""
    found = await service.inventory.devices(_DEVICES.read(after), limit, filter)
    return DevicePage(devices=[DeviceView.of(facts) for facts in found], next=_next(_DEVICES, found, limit))


@router.get("/device-counts")
async def count_devices(
    service: Service,
    filter: _Filter = None,  # noqa: A002  # its name in the query
) -> DeviceCount:
    """Count devices, all or those that a filter matches."""
    return DeviceCount(count=await service.inventory.count(filter))


@router.get("/devices/{device}")
async def show_device(service: Service, device: DevicePath) -> DeviceView:
    """Show a device, its assignment, and what was refused of it."""
    return DeviceView.of(await service.inventory.device(device))


@router.patch("/devices/{device}")
async def describe_device(service: Service, device: DevicePath, body: DeviceBody) -> DeviceView:
    """Say what a device is for: its tags, and where it is."""
    # What may be refused comes first.
    await service.inventory.set_tags(device, body.tags)
    if body.timezone:
        await service.inventory.set_timezone(device, body.timezone)
    return DeviceView.of(await service.inventory.device(device))


@router.get("/attention")
async def list_attention(service: Service, after: Cursor = "", limit: Limit = PAGE_DEFAULT) -> AttentionPage:
    """List the devices that people have to look at, and why."""
    found = await service.inventory.attention(_ATTENTION.read(after), limit)
    devices = [AttentionView.of(facts) for facts in found]
    return AttentionPage(devices=devices, next=_next(_ATTENTION, found, limit))


@router.delete("/devices/{device}/attention", status_code=204)
async def clear_attention(service: Service, device: DevicePath) -> None:
    """Say that somebody looked at a device: rollouts take it again."""
    await service.inventory.clear_attention(device)


def _next(cursor: TextCursor, found: list[DeviceFacts], limit: int) -> str | None:
    return cursor.write(found[-1].device.name) if len(found) == limit else None
