"""What happened: page by page, or as a stream that goes on where it was cut."""

import asyncio
from typing import Annotated, Any, Self

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import StreamingResponse

from pawl_server.api.context import Service
from pawl_server.api.cursors import NUMBER_MAX, PAGE_DEFAULT, Cursor, Limit, NumberCursor
from pawl_server.api.event_stream import EventStream
from pawl_server.api.values import RolloutName
from pawl_server.service import FleetServer
from pawl_server.store.events import StoredEvent

router = APIRouter(prefix="/events", tags=["events"])

_EVENTS = NumberCursor("events")


class EventView(BaseModel):
    """Something that happened; `kind` says what, `content` has what there is to say of it."""

    id: int
    at_s: int
    kind: str = Field(examples=["rollout-changed", "assignment-settled", "device-late"])
    device: str | None
    rollout: int | None
    content: dict[str, Any]

    @classmethod
    def of(cls, event: StoredEvent) -> Self:
        """Return the view of an event."""
        return cls(
            id=event.id,
            at_s=event.at_s,
            kind=event.kind,
            device=event.device,
            rollout=event.rollout,
            content=event.content,
        )


class EventPage(BaseModel):
    """Some events in the order of their ids; `next` is the `after` of the following page."""

    events: list[EventView]
    next: str | None


@router.get("", operation_id="list_events")
async def list_events(
    service: Service, after: Cursor = "", limit: Limit = PAGE_DEFAULT, rollout: RolloutName | None = None
) -> EventPage:
    """List what happened and is still kept, the oldest first, of all or of one rollout."""
    number = await _rollout_number(service, rollout)
    async with service.store.reading() as transaction:
        found = await transaction.events.after(_EVENTS.read(after), limit, rollout=number)
    following = _EVENTS.write(found[-1].id) if len(found) == limit else None
    return EventPage(events=[EventView.of(event) for event in found], next=following)


@router.get(
    "/stream",
    operation_id="stream_events",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/event-stream": {}}, "description": "Each event has an EventView as data"}
    },
)
async def stream_events(
    service: Service,
    request: Request,
    after: Annotated[
        int | None,
        Query(ge=0, le=NUMBER_MAX, description="The id of the last event that was seen; 0 for all."),
    ] = None,
    rollout: RolloutName | None = None,
    last_event_id: Annotated[
        int | None,
        Header(
            alias="Last-Event-ID",
            ge=0,
            le=NUMBER_MAX,
            description="As `after`; what browsers send, and stronger.",
        ),
    ] = None,
) -> StreamingResponse:
    """Stream events as server-sent events, from now on or after one that was seen.

    What was pruned since is told as an event `gap`.
    """
    number = await _rollout_number(service, rollout)
    stopping: asyncio.Event = request.app.state.stopping
    stream = EventStream(service.store, stopping, rollout=number)
    seen = after if last_event_id is None else last_event_id
    texts = stream.from_now() if seen is None else stream.from_after(seen)
    return StreamingResponse(texts, media_type="text/event-stream")


async def _rollout_number(service: FleetServer, rollout: str | None) -> int | None:
    return None if rollout is None else (await service.rollouts.get(rollout)).rollout.id
