"""An event loop whose clock jumps to the next thing that is due: days of a device's life in milliseconds.

    loop = VirtualLoop(0.0)
    loop.run_until_complete(agent.run())

Refuses to wait for nothing: a task that waits for an event nobody will send is a TimeoutError at once.
"""

import asyncio
import selectors
from typing import Any


class _Selector(selectors.SelectSelector):
    """Never waits: the time asked for has passed."""

    def __init__(self, loop: "VirtualLoop") -> None:
        super().__init__()
        self.loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        """Let the time pass."""
        if timeout is None:
            raise TimeoutError("every task waits and nothing is due")
        self.loop.now += max(0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop of virtual seconds, beginning where `now` says."""

    def __init__(self, now: float) -> None:
        self.now = now
        super().__init__(_Selector(self))

    def time(self) -> float:
        """Return virtual time."""
        return self.now
