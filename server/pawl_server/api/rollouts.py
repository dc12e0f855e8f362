"""Rollouts: created, watched, paused, resumed, cancelled."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Self

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import StreamingResponse

from pawl.index import b64u
from pawl_server.api.context import Service
from pawl_server.domain.plan import GROUPS_MAX
from pawl_server.domain.rollout import FINAL_STATES, Progress, RolloutEvent
from pawl_server.rollouts import RolloutView, group_by_group
from pawl_server.service import FleetServer
from pawl_server.store.members import Member

router = APIRouter(prefix="/rollouts", tags=["rollouts"])

LOOK_S = 0.25
HEARTBEAT_LOOKS = 60
_Name = Annotated[str, Field(max_length=63)]


class RolloutBody(BaseModel):
    """What is to be rolled out, and to whom first; `release` may be the beginning of a digest."""

    model_config = ConfigDict(extra="forbid")

    release: str = Field(max_length=64)
    groups: list[_Name] = Field(min_length=1, max_length=GROUPS_MAX)
    name: _Name | None = None


class GroupProgress(BaseModel):
    """How many devices of a group are how far."""

    name: str
    waiting: int
    open: int
    held: int
    succeeded: int
    failed: int
    displaced: int
    withdrawn: int
    recovering: int
    recovered: int
    unrecovered: int


class RolloutFacts(BaseModel):
    """A rollout and its groups, in order."""

    id: int
    name: str
    release: str
    state: str
    reason: str
    created_at_s: int
    changed_at_s: int
    groups: list[GroupProgress]

    @classmethod
    def of(cls, view: RolloutView) -> Self:
        """Return what people see of a rollout."""
        rollout = view.rollout
        groups = [
            GroupProgress(
                name=phase.group or phase.title,
                **{str(progress): counts.of(progress) for progress in Progress},
            )
            for phase, counts in zip(rollout.plan.phases, view.phases, strict=True)
        ]
        return cls(
            id=rollout.id,
            name=rollout.name,
            release=b64u(rollout.plan.release),
            state=rollout.state,
            reason=rollout.reason,
            created_at_s=rollout.created_at_s,
            changed_at_s=rollout.changed_at_s,
            groups=groups,
        )


class MemberView(BaseModel):
    """A device of a rollout and how far it is."""

    device: str
    group: str
    progress: str
    reason: str


class RolloutDetails(RolloutFacts):
    """A rollout with every device."""

    devices: list[MemberView]


class RolloutList(BaseModel):
    """Every rollout, the oldest first."""

    rollouts: list[RolloutFacts]


@router.get("")
async def list_rollouts(service: Service) -> RolloutList:
    """List the rollouts."""
    return RolloutList(rollouts=[RolloutFacts.of(view) for view in await service.rollouts.page(0, 1000)])


@router.post("", status_code=201)
async def create_rollout(service: Service, body: RolloutBody) -> RolloutFacts:
    """Begin a rollout; a group starts when every device of the one before it has succeeded."""
    release = await service.inventory.release(body.release)
    created = await service.rollouts.create(group_by_group(release.digest, body.groups), body.name)
    return RolloutFacts.of(await service.rollouts.get(str(created.id)))


@router.get("/{rollout}")
async def show_rollout(service: Service, rollout: str) -> RolloutDetails:
    """Show a rollout, by name or number, and all of its devices."""
    view = await service.rollouts.get(rollout)
    members = await service.rollouts.members(rollout, "", 10_000)
    facts = RolloutFacts.of(view).model_dump()
    return RolloutDetails(**facts, devices=[_member_view(view, member) for member in members])


def _member_view(view: RolloutView, member: Member) -> MemberView:
    phase = view.rollout.plan.phases[member.phase]
    group = phase.group or phase.title
    return MemberView(device=member.device, group=group, progress=member.progress, reason=member.reason)


@router.post("/{rollout}/pause")
async def pause_rollout(service: Service, rollout: str) -> RolloutFacts:
    """Stop offering: devices that install are held where they are."""
    return await _command(service, rollout, RolloutEvent.PAUSE)


@router.post("/{rollout}/resume")
async def resume_rollout(service: Service, rollout: str) -> RolloutFacts:
    """Go on; devices that failed are asked once more."""
    return await _command(service, rollout, RolloutEvent.RESUME)


@router.post("/{rollout}/cancel")
async def cancel_rollout(service: Service, rollout: str) -> RolloutFacts:
    """End it here: offers are withdrawn, what was installed stays."""
    return await _command(service, rollout, RolloutEvent.CANCEL)


async def _command(service: FleetServer, rollout: str, event: RolloutEvent) -> RolloutFacts:
    after = await service.rollouts.command(rollout, event)
    return RolloutFacts.of(await service.rollouts.get(str(after.id)))


@router.get(
    "/{rollout}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "RolloutFacts at every change"}},
)
async def watch_rollout(service: Service, request: Request, rollout: str) -> StreamingResponse:
    """Stream the rollout as server-sent events: as it is now, then at every change, until it has ended."""
    first = RolloutFacts.of(await service.rollouts.get(rollout))
    stopping: asyncio.Event = request.app.state.stopping
    return StreamingResponse(_changes(service, first, stopping), media_type="text/event-stream")


async def _changes(service: FleetServer, facts: RolloutFacts, stopping: asyncio.Event) -> AsyncIterator[str]:
    """Yield a rollout whenever it looks different; who connects again is told how it is then, and misses nothing."""
    yield _event(facts)
    looks = 0
    while facts.state not in FINAL_STATES and not stopping.is_set():
        await _wait(stopping, LOOK_S)
        seen = RolloutFacts.of(await service.rollouts.get(str(facts.id)))
        looks += 1
        if seen != facts:
            facts, looks = seen, 0
            yield _event(facts)
        elif looks % HEARTBEAT_LOOKS == 0:
            yield ": still there\n\n"


def _event(facts: RolloutFacts) -> str:
    return f"event: rollout\ndata: {facts.model_dump_json()}\n\n"


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        return
