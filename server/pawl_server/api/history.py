"""What became of a device's assignments, the newest first; pruned, so that it has no end but a beginning."""

from typing import Self

from fastapi import APIRouter
from pydantic import BaseModel, Field

from pawl.index import b64u
from pawl_server.api.context import Service
from pawl_server.api.cursors import PAGE_DEFAULT, Cursor, Limit, NumberCursor
from pawl_server.api.values import DevicePath
from pawl_server.store.history import HistoryEntry

router = APIRouter(tags=["devices"])

_HISTORY = NumberCursor("history")


class HistoryView(BaseModel):
    """A state that an assignment of the device came into; `reason` is empty while nothing is settled."""

    at_s: int
    release: str
    state: str = Field(examples=["assigned", "offered", "held", "succeeded", "failed"])
    reason: str
    attempt: int

    @classmethod
    def of(cls, entry: HistoryEntry) -> Self:
        """Return what people see of an entry."""
        return cls(
            at_s=entry.at_s,
            release=b64u(entry.release),
            state=entry.state,
            reason=entry.reason,
            attempt=entry.attempt,
        )


class HistoryPage(BaseModel):
    """Some entries, the newest first; `next` is the `after` of the following page, which is older."""

    history: list[HistoryView]
    next: str | None


@router.get("/devices/{device}/history")
async def list_history(
    service: Service, device: DevicePath, after: Cursor = "", limit: Limit = PAGE_DEFAULT
) -> HistoryPage:
    """List what became of a device's assignments, a page at a time."""
    found = await service.inventory.history(device, _HISTORY.read(after) or None, limit)
    following = _HISTORY.write(found[-1].id) if len(found) == limit else None
    return HistoryPage(history=[HistoryView.of(entry) for entry in found], next=following)
