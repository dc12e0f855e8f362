"""Runs many plans at a time on one fleet, and says what came out.

PAWL_KILLS asks for the long run, PAWL_KILL for one plan alone, by the words that a failure prints.
"""

import asyncio
import os
import sys
import time
from collections import Counter

from heaps import HeapStep
from plans import Moment, Pair, Step
from victims import fleet

LONG = int(os.environ.get("PAWL_KILLS", "0"))
ONLY = os.environ.get("PAWL_KILL", "")
AT_ONCE = 6


def plan_of(words):
    """Return the plan that these words name."""
    kind, *rest = words.split()
    if kind == "step":
        return Step(kind=rest[0], number=int(rest[1]), part=rest[2])
    if kind.endswith("heap"):
        return HeapStep(kibibytes=int(rest[0]), is_in_trial=kind != "heap")
    return {"pair": Pair, "moment": Moment}[kind](seed=int(rest[0]))


def run_campaign(folder, *, short, long, **site):
    """Run the short or the long campaign, or the one plan that was asked for, and judge it."""

    async def walk():
        async with fleet(folder, **site) as made:
            campaign = Campaign(made)
            if ONLY:
                await campaign.run([plan_of(ONLY)])
            else:
                await (long if LONG else short)(campaign)
            campaign.say()
            campaign.require_none_failed()

    asyncio.run(walk())


def _this_test():
    """Return what pytest calls the test that runs."""
    return os.environ.get("PYTEST_CURRENT_TEST", "tests/kills").split(" ")[0]


class Campaign:
    """Counts over all plans; `failures` name the words that run one of them again alone."""

    def __init__(self, fleet):
        self.fleet = fleet
        self.failures = []
        self.counts = Counter()
        self.regions = Counter()
        self.began = time.monotonic()

    async def run(self, plans):
        """Carry out the plans; return the devices, without power."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(plan):
            async with gate:
                return await self._one(plan)

        return await asyncio.gather(*(one(plan) for plan in plans))

    async def _one(self, plan):
        victim = await plan.run(self.fleet, plan.words.replace(" ", "-"))
        self.counts.update({"updates": 1, "kills": victim.killed, "restarts": len(victim.ends)})
        self.counts.update(f"kills {part} an operation" for part in victim.parts)
        self.regions.update(victim.places)
        self.counts["kills that never came"] += len([kill for kill in victim.kills if kill.number])
        if victim.faults:
            faults = "; ".join(victim.faults)
            self.failures.append(
                f"{plan.words}: {faults}\n  alone: PAWL_KILL='{plan.words}' pytest {_this_test()}\n{victim.tail()}"
            )
        if LONG and self.counts["updates"] % 20 == 0:
            self.say()
        return victim

    def say(self):
        """Print the counts."""
        self.counts["seconds"] = int(time.monotonic() - self.began)
        lines = [f"{count:7} {name}" for name, count in sorted(self.counts.items())]
        lines += [f"{count:7} kills in {name}" for name, count in sorted(self.regions.items())]
        self.print("\n" + "\n".join(lines) + f"\n{len(self.failures):7} failures")

    def print(self, line):
        """Print a line where a test run shows it with -s."""
        sys.stderr.write(line + "\n")

    def require_none_failed(self):
        """Raise with what failed."""
        assert not self.failures, "\n\n".join(self.failures)
