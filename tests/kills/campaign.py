"""Runs many plans at a time on one fleet, and says what came out."""

import asyncio
import sys
import time
from collections import Counter

AT_ONCE = 6


class Campaign:
    """Counts over all plans; `failures` name the words that run one of them again alone."""

    def __init__(self, fleet, *, is_long):
        self.fleet = fleet
        self.is_long = is_long
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
                f"{plan.words}: {faults}\n  alone: PAWL_KILL='{plan.words}' pytest tests/kills\n{victim.tail()}"
            )
        if self.is_long and self.counts["updates"] % 20 == 0:
            self.say()
        return victim

    def say(self):
        """Print the counts."""
        self.counts["seconds"] = int(time.monotonic() - self.began)
        lines = [f"{count:7} {name}" for name, count in sorted(self.counts.items())]
        lines += [f"{count:7} kills in {name}" for name, count in sorted(self.regions.items())]
        sys.stderr.write("\n" + "\n".join(lines) + f"\n{len(self.failures):7} failures\n")

    def require_none_failed(self):
        """Raise with what failed."""
        assert not self.failures, "\n\n".join(self.failures)
