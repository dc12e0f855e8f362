"""Messages that wait for the handler: bounded, batched, acknowledged only when it has returned.

Refuses to know a broker: it gets messages by `put` and gives acknowledgements to a function.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import islice

_log = logging.getLogger(__name__)

BATCH_MAX = 200
BATCH_WAIT_S = 0.05
RETRY_MIN_S = 0.5
RETRY_MAX_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a handler gets."""

    topic: str
    payload: bytes
    retained: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A message with what its acknowledgement needs: connection and number; number 0 means QoS 0."""

    message: Message
    connection: int
    number: int


Handler = Callable[[list[Message]], Awaitable[None]]


class Inbox:
    """One queue and its consumer; every method is called in the event loop.

    A message that the broker sends again after a reconnect, while the first copy still waits, takes its place. `dropped`
    counts what came beyond twice the capacity: it isn't acknowledged, so the broker sends it again after a reconnect.
    Messages of QoS 0, which the broker sends as fast as anybody says them, have a bound of their own, the capacity: they
    take no room from those that must not be lost.
    """

    def __init__(self, handler: Handler, acknowledge: Callable[[Received], None], *, capacity: int) -> None:
        self.dropped = 0
        self.failures = 0
        self.taken = 0
        self._handler = handler
        self._acknowledge = acknowledge
        self._capacity = capacity
        # More can't come before some are acknowledged: with as many, a batch is full.
        self._batch_max = min(BATCH_MAX, capacity)
        self._in_hand = 0
        self._waiting: dict[tuple[int, str, bytes], Received] = {}
        self._unnumbered = 0
        self._unnumbered_waiting = 0
        self._arrived = asyncio.Event()
        self._is_full = asyncio.Event()
        self._closing = asyncio.Event()

    def put(self, received: Received) -> None:
        """Queue a message, or replace the copy of it that waits."""
        message = received.message
        key = (received.number or self._next_unnumbered(), message.topic, message.payload)
        if key not in self._waiting and not self._has_room(received):
            self.dropped += 1
            return
        self._waiting[key] = received
        self._unnumbered_waiting += not received.number
        self._arrived.set()
        if len(self._waiting) >= self._batch_max:
            self._is_full.set()

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits, and nothing is being handled."""
        return not self._waiting and not self._in_hand

    def close(self) -> None:
        """Let `run` return after the batch that is being handled."""
        self._closing.set()
        self._arrived.set()
        self._is_full.set()

    async def run(self) -> None:
        """Hand batches to the handler until closed; a batch whose handler raises is handed over again, with growing pauses."""
        while not self._closing.is_set():
            await self._arrived.wait()
            await _wait(self._is_full, BATCH_WAIT_S)
            if self._closing.is_set():
                return
            batch = self._take()
            self._in_hand = len(batch)
            self.taken += len(batch)
            if await self._handle([received.message for received in batch]):
                for received in batch:
                    self._acknowledge(received)
            self._in_hand = 0

    def _has_room(self, received: Received) -> bool:
        if not received.number:
            return self._unnumbered_waiting < self._capacity
        return len(self._waiting) - self._unnumbered_waiting < 2 * self._capacity

    def _next_unnumbered(self) -> int:
        self._unnumbered -= 1
        return self._unnumbered

    def _take(self) -> list[Received]:
        keys = list(islice(self._waiting, self._batch_max))
        batch = [self._waiting.pop(key) for key in keys]
        self._unnumbered_waiting -= sum(not received.number for received in batch)
        if not self._waiting:
            self._arrived.clear()
        if len(self._waiting) < self._batch_max:
            self._is_full.clear()
        return batch

    async def _handle(self, messages: list[Message]) -> bool:
        """Return whether the handler took the batch; False only when closing."""
        pause_s = RETRY_MIN_S
        while True:
            try:
                await self._handler(messages)
            except Exception:  # noqa: BLE001  # whatever it is: without the handler nothing is acknowledged
                self.failures += 1
                _log.exception(
                    "a batch of %d messages was not handled; again in %.1f s", len(messages), pause_s
                )
            else:
                return True
            await _wait(self._closing, pause_s)
            if self._closing.is_set():
                return False
            pause_s = min(2 * pause_s, RETRY_MAX_S)


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        return
