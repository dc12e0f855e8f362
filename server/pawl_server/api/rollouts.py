"""Rollouts: planned, created, watched, commanded."""

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from pawl_server.api import rollout_stream
from pawl_server.api.context import Service
from pawl_server.api.cursors import PAGE_DEFAULT, Cursor, Limit, NumberCursor, TextCursor
from pawl_server.api.idempotency import REQUEST
from pawl_server.api.keyed import KEYED, answered
from pawl_server.api.plans import PlanBody
from pawl_server.api.rollout_views import (
    AppliesView,
    MemberPage,
    MemberView,
    PlannedRollout,
    RolloutFacts,
    RolloutPage,
)
from pawl_server.api.values import NAME_PATTERN, Body, DevicePath, RolloutPath
from pawl_server.domain.plan import Plan
from pawl_server.domain.progress import Progress
from pawl_server.domain.rollout import RolloutEvent
from pawl_server.service import FleetServer

router = APIRouter(tags=["rollouts"])

_ROLLOUTS = NumberCursor("rollouts")
_MEMBERS = TextCursor("rollout-devices")
_NAME_CHARACTERS = 16
_OK = 200


class RolloutBody(PlanBody):
    """A plan, and the name that its rollout is to have; it gets one if it has none."""

    name: Annotated[str, Field(pattern=NAME_PATTERN, examples=["spring"])] | None = None


class CommandBody(Body):
    """What a rollout is to do."""

    command: Literal["approve", "reject", "pause", "resume", "retry", "roll-back", "cancel"]


@router.get("/rollouts")
async def list_rollouts(service: Service, after: Cursor = "", limit: Limit = PAGE_DEFAULT) -> RolloutPage:
    """List the rollouts, a page at a time."""
    found = await service.rollouts.page(_ROLLOUTS.read(after), limit)
    following = _ROLLOUTS.write(found[-1].rollout.id) if len(found) == limit else None
    return RolloutPage(rollouts=[RolloutFacts.of(view) for view in found], next=following)


@router.post(
    "/rollouts",
    status_code=201,
    dependencies=KEYED,
    responses={
        **answered(201, "The rollout is there"),
        200: {"model": PlannedRollout, "description": "With dry_run: whom it would take"},
    },
)
async def create_rollout(
    service: Service,
    request: Request,
    response: Response,
    body: RolloutBody,
    *,
    dry_run: Annotated[bool, Query(description="Say whom it would take, and change nothing.")] = False,
) -> RolloutFacts | PlannedRollout:
    """Begin a rollout, or say what it would do; the same plan again under the same name changes nothing."""
    plan = await _plan(service, body)
    if dry_run:
        response.status_code = _OK
        return PlannedRollout.of(plan.phases, await service.rollouts.preview(plan, body.name))
    created = await service.rollouts.create(plan, body.name or _name_of(request))
    response.headers["Location"] = f"/v1/rollouts/{created.name}"
    return RolloutFacts.of(await service.rollouts.get(str(created.id)))


def _name_of(request: Request) -> str | None:
    """Return the name of a rollout that has none and came with a key: done twice, it must be the same rollout."""
    digest: bytes | None = getattr(request.state, REQUEST, None)
    return None if digest is None else f"r-{digest.hex()[:_NAME_CHARACTERS]}"


async def _plan(service: FleetServer, body: PlanBody) -> Plan:
    release = await service.inventory.release(body.release)
    recovery = await service.inventory.release(body.recovery) if body.recovery is not None else None
    return body.plan(release.digest, recovery.digest if recovery is not None else None)


@router.get("/rollouts/{rollout}")
async def show_rollout(service: Service, rollout: RolloutPath) -> RolloutFacts:
    """Show a rollout, by name or number: its plan, and how far it is."""
    return RolloutFacts.of(await service.rollouts.get(rollout))


@router.get("/rollouts/{rollout}/devices")
async def list_rollout_devices(
    service: Service,
    rollout: RolloutPath,
    progress: Annotated[Progress | None, Query(description="Those that are as far as this.")] = None,
    after: Cursor = "",
    limit: Limit = PAGE_DEFAULT,
) -> MemberPage:
    """List the devices of a rollout, a page at a time."""
    found = await service.rollouts.members(rollout, _MEMBERS.read(after), limit, progress)
    following = _MEMBERS.write(found[-1].device) if len(found) == limit else None
    return MemberPage(devices=[MemberView.of(member) for member in found], next=following)


@router.post(
    "/rollouts/{rollout}/commands",
    dependencies=KEYED,
    responses=answered(200, "The rollout after the command"),
)
async def command_rollout(service: Service, rollout: RolloutPath, body: CommandBody) -> RolloutFacts:
    """Approve, reject, pause, resume, retry, roll back or cancel a rollout; a state that it has already is no fault."""
    after = await service.rollouts.command(rollout, RolloutEvent(body.command))
    return RolloutFacts.of(await service.rollouts.get(str(after.id)))


@router.get(
    "/rollouts/{rollout}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "RolloutFacts at every change"}},
)
async def watch_rollout(
    service: Service,
    request: Request,
    rollout: RolloutPath,
    last_event_id: Annotated[
        str, Header(alias="Last-Event-ID", max_length=64, description="Of the last change that was seen.")
    ] = "",
) -> StreamingResponse:
    """Stream the rollout as server-sent events: as it is now, then at every change, until it has ended."""
    first = RolloutFacts.of(await service.rollouts.get(rollout))
    stopping: asyncio.Event = request.app.state.stopping
    texts = rollout_stream.changes(service.rollouts, first, stopping, last_event_id)
    return StreamingResponse(texts, media_type="text/event-stream")


@router.get("/devices/{device}/rollout")
async def show_device_rollout(service: Service, device: DevicePath) -> AppliesView:
    """Say which rollout applies to a device, and why."""
    return AppliesView.of(await service.rollouts.applying_to(device))
