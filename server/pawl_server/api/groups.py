"""Groups: named sets of devices, by name or by a filter, with single devices pinned or excluded."""

from typing import Any, Self

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pawl_server.api.context import Service
from pawl_server.api.cursors import PAGE_DEFAULT, Cursor, Limit, TextCursor
from pawl_server.api.values import Body, DeviceName, DevicePath, FilterText, GroupPath
from pawl_server.groups import GROUP_DEVICES_MAX, GroupView
from pawl_server.service import FleetServer
from pawl_server.store.groups import Group

router = APIRouter(prefix="/groups", tags=["groups"])

_GROUPS = TextCursor("groups")
_MEMBERS = TextCursor("group-devices")
_DEVICES_OR_FILTER: dict[str, Any] = {"oneOf": [{"required": ["devices"]}, {"required": ["filter"]}]}


class GroupBody(Body):
    """The devices that a group is to have, or the filter that says which: one of the two."""

    model_config = ConfigDict(json_schema_extra=_DEVICES_OR_FILTER)

    devices: list[DeviceName] = Field(
        default_factory=list, max_length=GROUP_DEVICES_MAX, examples=[["bench-1", "bench-2"]]
    )
    filter: FilterText = Field(default_factory=str)

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError("send either devices or a filter")
        return self


class GroupFacts(BaseModel):
    """A group; it has the devices that match its filter or, without one, those that are named."""

    name: str
    filter: str | None

    @classmethod
    def of(cls, group: Group) -> Self:
        """Return what lists show of a group."""
        return cls(name=group.name, filter=group.filter)


class GroupDetails(GroupFacts):
    """A group, how many devices it has now, and which belong to it, or never do, whatever else is said."""

    count: int
    pinned: list[str]
    excluded: list[str]

    @classmethod
    def of_view(cls, view: GroupView) -> Self:
        """Return all that people see of a group."""
        facts = GroupFacts.of(view.group).model_dump()
        return cls(**facts, count=view.count, pinned=view.pinned, excluded=view.excluded)


class GroupPage(BaseModel):
    """Some groups in order of their names; `next` is the `after` of the following page."""

    groups: list[GroupFacts]
    next: str | None


class MemberPage(BaseModel):
    """Some devices of a group in order of their ids; `next` is the `after` of the following page."""

    devices: list[str]
    next: str | None


@router.get("")
async def list_groups(service: Service, after: Cursor = "", limit: Limit = PAGE_DEFAULT) -> GroupPage:
    """List the groups, a page at a time."""
    found = await service.groups.page(_GROUPS.read(after), limit)
    following = _GROUPS.write(found[-1].name) if len(found) == limit else None
    return GroupPage(groups=[GroupFacts.of(group) for group in found], next=following)


@router.get("/{group}")
async def show_group(service: Service, group: GroupPath) -> GroupDetails:
    """Show a group, and how many devices it has now."""
    return await _details(service, group)


@router.put("/{group}")
async def set_group(service: Service, group: GroupPath, body: GroupBody) -> GroupDetails:
    """Make a group, or say anew which devices it has; who is pinned or excluded stays so."""
    if body.filter:
        await service.groups.set_filter(group, body.filter)
    else:
        await service.groups.set_devices(group, body.devices)
    return await _details(service, group)


@router.delete("/{group}", status_code=204)
async def delete_group(service: Service, group: GroupPath) -> None:
    """Delete a group that no rollout needs any more."""
    await service.groups.delete(group)


@router.get("/{group}/devices")
async def list_group_devices(
    service: Service, group: GroupPath, after: Cursor = "", limit: Limit = PAGE_DEFAULT
) -> MemberPage:
    """List the devices that a group has now, a page at a time."""
    found = await service.groups.devices(group, _MEMBERS.read(after), limit)
    return MemberPage(devices=found, next=_MEMBERS.write(found[-1]) if len(found) == limit else None)


@router.put("/{group}/pins/{device}", status_code=204)
async def pin_device(service: Service, group: GroupPath, device: DevicePath) -> None:
    """Let a device belong to a group, whatever its filter or its members are."""
    await service.groups.pin(group, device)


@router.delete("/{group}/pins/{device}", status_code=204)
async def unpin_device(service: Service, group: GroupPath, device: DevicePath) -> None:
    """Take a pin back; without one, nothing changes."""
    await service.groups.unpin(group, device)


@router.put("/{group}/exclusions/{device}", status_code=204)
async def exclude_device(service: Service, group: GroupPath, device: DevicePath) -> None:
    """Keep a device out of a group, though it matches, is a member, or is pinned."""
    await service.groups.exclude(group, device)


@router.delete("/{group}/exclusions/{device}", status_code=204)
async def include_device(service: Service, group: GroupPath, device: DevicePath) -> None:
    """Take an exclusion back; without one, nothing changes."""
    await service.groups.include(group, device)


async def _details(service: FleetServer, group: str) -> GroupDetails:
    return GroupDetails.of_view(await service.groups.get(group))
