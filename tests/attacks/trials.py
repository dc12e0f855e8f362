"""A device whose applications are watched: the real health check and watchdog rules, in virtual time.

What a port's hardware does is done here: a watchdog that bites when it wasn't fed for its time, and a power that goes
when a test says so. An application is a module with or without `main`, by the slot it is in.
"""

import asyncio

import factory
from simulator import ResetError
from target import InstantLoop, Target, TargetPort

from pawl import codes, health
from pawl.agent import Agent
from pawl.application import Application
from pawl.watchdog import Watchdog
from pawl_tools.launcher import WATCHDOG_TIMEOUT_S

TRIALS = 3
TRIAL_DEADLINE_S = 120


class BiteError(Exception):
    """The watchdog wasn't fed for its time."""


class WatchedPort(TargetPort):
    """A port whose watchdog notes when it was fed, and whose network may swallow everything."""

    def __init__(self, broker):
        super().__init__(broker)
        self.fed_s = 0.0
        self.is_swallowing = False

    def feed(self):
        self.fed_s = self.loop.now_s

    def print_exception(self, error):
        self.log(repr(error))

    async def connect(self, identity, anchor, now_s):
        if self.is_swallowing:
            await asyncio.sleep(30 * 86400)
        return await super().connect(identity, anchor, now_s)


class Steady:
    """An application that goes on."""

    async def main(self):
        await asyncio.Event().wait()


class WatchedTarget(Target):
    """A Target with an application in each slot; `runs_s` are the seconds that each boot took, with what ended it."""

    def __init__(self):
        self.loads = {codes.RUNNING_A: Steady, codes.RUNNING_B: Steady}
        self.runs_s = []
        super().__init__()
        self.port = WatchedPort(self.broker)
        self.runs_s.clear()

    def run(self, timeout_s=120):
        """Boot, and live until a reset, a bite, or for so long, when the power goes; return the Bootloader."""
        if not isinstance(self.port, WatchedPort):
            self.port = WatchedPort(self.broker)
        health._health.checks.clear()
        health.take_turn()
        with asyncio.Runner(loop_factory=InstantLoop) as runner:
            self.port.loop = runner.get_loop()
            loader, decision = self.board.boot()
            watchdog = Watchdog(self.port)
            watchdog.feed()
            application = Application(self.port, watchdog, self.loads.get(decision.slot))
            self.agent = Agent(self.port, loader, decision, self.board.counter, application.check_health)
            ended = runner.run(self._end(application, timeout_s))
            self.runs_s.append((round(self.port.loop.now_s), ended))
        health._health.checks.clear()
        self.is_reset = ended != "power"
        return loader

    async def _end(self, application, timeout_s):
        living = asyncio.gather(application.run_beside(self.agent, self.board.counter), self._bite())
        try:
            await asyncio.wait_for(living, timeout_s)
        except TimeoutError:
            return "power"
        except ResetError:
            return "reset"
        except BiteError:
            return "watchdog"
        raise AssertionError("the device ended by itself")

    async def _bite(self):
        while True:
            left_s = self.port.fed_s + WATCHDOG_TIMEOUT_S - self.port.loop.now_s
            if left_s <= 0:
                raise BiteError
            await asyncio.sleep(left_s)

    def put_on_trial(self, load):
        """Download release 2, whose application this is; return its digest: the next boot is its first trial."""
        self.publish(factory.release(sequence=2, version=(2,)))
        self.loads[codes.RUNNING_B] = load
        self.run()
        assert self.is_reset
        self.runs_s.clear()
        wanted, self.wanted = self.wanted, None
        return wanted
