"""Server-sent events: what happened, in order, from where the reader was; nothing is lost in between without being said.

    async for text in EventStream(store, stopping, rollout=None).from_after(41): ...

Every event has its id as `id:`, so that a client which connects again goes on behind it, also after the server was started
again. What was pruned away meanwhile is told as an event `gap`. A reader that is slow holds one batch of events here: the next is
read from the database when it has taken these.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

from pawl_server.store import Store
from pawl_server.store.events import StoredEvent

LOOK_S = 0.25
HEARTBEAT_LOOKS = 60
BATCH_EVENTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """What a look found: `first` and `last` are the ids that are kept of all events, `last` is 0 before the first ever."""

    first: int | None
    last: int
    events: list[StoredEvent]


class EventStream:
    """One reader's stream of all events, or of one rollout's; ends when the server stops."""

    def __init__(self, store: Store, stopping: asyncio.Event, *, rollout: int | None) -> None:
        self._store = store
        self._stopping = stopping
        self._rollout = rollout

    async def from_now(self) -> AsyncIterator[str]:
        """Yield what happens from now on."""
        async with self._store.reading() as transaction:
            _, last = await transaction.events.span()
        # Who is cut off before the first event goes on from here, too.
        yield _place(last)
        async for text in self._follow(last):
            yield text

    async def from_after(self, number: int) -> AsyncIterator[str]:
        """Yield what happened after this event."""
        async for text in self._follow(number):
            yield text

    async def _follow(self, number: int) -> AsyncIterator[str]:
        looks = 0
        while not self._stopping.is_set():
            batch = await self._look(number)
            gap = _gap(number, batch)
            if gap is not None:
                number = gap
                yield _gap_text(gap, batch)
                continue
            for event in batch.events:
                yield text_of(event)
            looks = 0 if batch.events else looks + 1
            number = batch.events[-1].id if len(batch.events) == BATCH_EVENTS else batch.last
            if len(batch.events) == BATCH_EVENTS:
                continue
            if looks >= HEARTBEAT_LOOKS:
                looks = 0
                yield _place(number)
            await wait(self._stopping, LOOK_S)

    async def _look(self, number: int) -> _Batch:
        async with self._store.reading() as transaction:
            first, last = await transaction.events.span()
            found = await transaction.events.after(number, BATCH_EVENTS, rollout=self._rollout)
        return _Batch(first=first, last=last, events=list(found))


def _gap(number: int, batch: _Batch) -> int | None:
    """Return where a reader of this event has to go on, if that isn't right behind it."""
    if number > batch.last:
        return batch.last  # the database is an older one than the reader knew
    before = batch.last if batch.first is None else batch.first - 1
    return before if number < before else None


def _gap_text(number: int, batch: _Batch) -> str:
    detail = "events before the next one are not kept any more: ask for what there is now"
    content = {"detail": detail, "first": batch.first}
    return f"id: {number}\nevent: gap\ndata: {json.dumps(content)}\n\n"


def text_of(event: StoredEvent) -> str:
    """Return an event as its reader gets it."""
    content = {"id": event.id, "at_s": event.at_s, "device": event.device, "rollout": event.rollout}
    data = json.dumps({**content, "kind": event.kind, "content": event.content})
    return f"id: {event.id}\nevent: {event.kind}\ndata: {data}\n\n"


def _place(number: int) -> str:
    """Return a sign of life that is no event, and lets a client go on from here."""
    return f": still there\nid: {number}\n\n"


async def wait(event: asyncio.Event, timeout_s: float) -> None:
    """Wait for an event, but not for longer than this."""
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        return
