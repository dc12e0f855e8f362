"""An event loop whose clock jumps to the next thing that is due: days of a device's life in milliseconds.

    run(agent.run())    # asyncio.run, in virtual time

Refuses to wait for nothing: a task that waits for an event nobody will send is a TimeoutError at once.
"""

import asyncio
import selectors


class _Selector(selectors.SelectSelector):
    """Never waits: the time asked for has passed."""

    def __init__(self, loop):
        super().__init__()
        self.loop = loop

    def select(self, timeout=None):
        if timeout is None:
            raise TimeoutError("every task waits and nothing is due")
        self.loop.now += max(0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop of virtual seconds, beginning where `now` says."""

    def __init__(self, now):
        self.now = now
        super().__init__(_Selector(self))

    def time(self):
        return self.now


def run(main, now=0.0):
    """Run a coroutine to its end; return (its result, the virtual time then)."""
    loop = VirtualLoop(now)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main), loop.now
