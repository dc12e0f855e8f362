"""Those who watch the server: each gets every event from when it began to watch, bounded by a queue of its own."""

import asyncio
from collections.abc import AsyncIterator, Iterable

from pawl_server.events import Event


class Watchers:
    """Hands events to queues; a watcher that doesn't keep up loses the oldest, and never holds up the server."""

    def __init__(self, *, queue_max: int) -> None:
        self._queue_max = queue_max
        self._queues: set[asyncio.Queue[Event | None]] = set()

    def tell(self, events: Iterable[Event]) -> None:
        """Hand events to all who watch."""
        for event in events:
            for queue in self._queues:
                _push(queue, event)

    def close(self) -> None:
        """End every watcher's iteration after what it was told."""
        for queue in self._queues:
            _push(queue, None)

    def watch(self) -> AsyncIterator[Event]:
        """Return an iterator over the events from now on."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue(self._queue_max)
        self._queues.add(queue)
        return self._drain(queue)

    async def _drain(self, queue: asyncio.Queue[Event | None]) -> AsyncIterator[Event]:
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self._queues.discard(queue)


def _push(queue: asyncio.Queue[Event | None], event: Event | None) -> None:
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(event)
