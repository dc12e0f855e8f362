"""Groups: named sets of devices."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from pawl_server.api.context import Service
from pawl_server.groups import GROUP_DEVICES_MAX

router = APIRouter(prefix="/groups", tags=["groups"])

_DeviceId = Annotated[str, Field(max_length=63)]


class GroupBody(BaseModel):
    """The members that a group is to have."""

    model_config = ConfigDict(extra="forbid")

    devices: list[_DeviceId] = Field(max_length=GROUP_DEVICES_MAX)


class GroupView(BaseModel):
    """A group and its devices."""

    name: str
    devices: list[str]


class GroupList(BaseModel):
    """Every group, by name."""

    groups: list[GroupView]


@router.get("")
async def list_groups(service: Service) -> GroupList:
    """List the groups and their devices."""
    found = await service.rollouts.groups()
    return GroupList(groups=[GroupView(name=name, devices=devices) for name, devices in found.items()])


@router.put("/{name}")
async def set_group(service: Service, name: str, body: GroupBody) -> GroupView:
    """Make a group, or replace its members; rollouts that exist keep theirs."""
    return GroupView(name=name, devices=await service.rollouts.set_group(name, body.devices))
