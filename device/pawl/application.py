"""Runs the application of a slot beside the agent, under the watchdog; with no slot, the agent alone.

A crash resets the device at once. An application that never starts, or whose `main()` returns, isn't well any more: the
watchdog ends it, and no trial of it is confirmed. One without `main()` is well when its import is over.
"""

import asyncio

from pawl.compat import const

_CHECK_S = const(1)
_CHECKS_MAX = const(20)  # of a trial; less than a watchdog's time
_WELL_S = const(60)


class Application:
    """`load()` imports and returns the slot's module, whose coroutine `main()`, if it has one, runs for ever.

    `load` is None for the recovery agent, which has no application. `port` gives log, print_exception and reset.
    """

    def __init__(self, port, watchdog, load):
        self.port = port
        self.watchdog = watchdog
        self.load = load
        if load is not None:
            watchdog.application = "the application hasn't started"

    async def check_health(self):
        """Return whether it is well after a moment; one that needs longer to get there has a watchdog's time for it."""
        for _ in range(_CHECKS_MAX):
            await asyncio.sleep(_CHECK_S)
            if self.watchdog.check():
                return True
        return False

    async def run_beside(self, agent, counter):
        """Run all of it, the application first; returns only by a reset, or by the fault of one part."""
        await asyncio.gather(self._run(), self._watch(), agent.run(), self._note_well(counter))

    async def _watch(self):
        while True:
            self.watchdog.check()
            await asyncio.sleep(_CHECK_S)

    async def _run(self):
        """Run it; when it crashes, say so and reset: a trial is used up, a confirmed one starts again."""
        if self.load is None:
            return
        try:
            module = self.load()
            self.watchdog.application = None
            if hasattr(module, "main"):
                await module.main()
                self.watchdog.application = "the application's main() returned"
        except Exception as error:
            self.port.log("application crashed")
            self.port.print_exception(error)
            self.port.reset()

    async def _note_well(self, counter):
        """After a minute, and once it is well, this boot did well, with or without a network."""
        await asyncio.sleep(_WELL_S)
        while self.watchdog.fault is not None:
            await asyncio.sleep(_CHECK_S)
        if self.load is not None:
            counter.note_well()
