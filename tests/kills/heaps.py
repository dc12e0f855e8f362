"""One update of a device whose heap is too small for it, or just large enough; and again with the heap that devices have."""

import asyncio
import re
from dataclasses import dataclass

from plans import judge_end, until

from pawl_tools.launcher import HEAP

_LOW_S = 40
_STARTS_IN_VAIN = 10
_DEADLINE_S = 120
_REASSIGNED_MAX = 2
_CRASH = re.compile(r'  File "(pawl/[^"]+)"')


@dataclass(frozen=True, kw_only=True)
class HeapStep:
    """The heap is this small from the start, or from the reset on that follows the installation."""

    kibibytes: int
    is_in_trial: bool = False

    @property
    def words(self):
        return f"{'trial-heap' if self.is_in_trial else 'heap'} {self.kibibytes}"

    async def run(self, fleet, name):
        """Live with the small heap for a while, then update with the full one; return the device, without power."""
        victim = await fleet.victim(name)
        if self.is_in_trial:
            victim.heap_in_trial = f"{self.kibibytes}k"
        else:
            victim.heap = f"{self.kibibytes}k"
        await self._suffer(fleet, victim)
        victim.outcome = _outcome(fleet, victim)
        await self._recover(fleet, victim)
        judge_end(fleet, victim)
        return victim

    async def _suffer(self, fleet, victim):
        def is_over():
            return fleet.settlement(victim.name) or victim.ends.count(1) >= _STARTS_IN_VAIN

        victim.power_on()
        try:
            async with asyncio.timeout(_LOW_S):
                await until(is_over)
        except TimeoutError:
            pass
        finally:
            await asyncio.to_thread(victim.power_off)

    async def _recover(self, fleet, victim):
        """The update must end by itself, or, where it failed, when it is assigned again."""
        victim.heap, victim.heap_in_trial = HEAP, None
        victim.power_on()
        try:
            async with asyncio.timeout(_DEADLINE_S):
                for _ in range(_REASSIGNED_MAX + 1):
                    await until(lambda: fleet.settlement(victim.name))
                    if fleet.settlement(victim.name).state == "succeeded":
                        break
                    victim.reassigned += 1
                    await fleet.assign_again(victim.name)
        except TimeoutError:
            victim.faults.append(f"with the full heap the update did not end in {_DEADLINE_S} s")
        finally:
            await asyncio.to_thread(victim.power_off)


def _outcome(fleet, victim):
    """Return in words how the time with the small heap ended."""
    settled = fleet.settlement(victim.name)
    boots = [line.rsplit(" ", 1)[1] for line in victim.console if line.startswith("pawl: boot ")]
    crashes = victim.ends.count(1)
    words = f"{settled.state}, {settled.reason}" if settled else "open"
    where = _last_crash(victim.console)
    return f"{words}; booted {''.join(boots) or 'nothing'}; {crashes} crashes{where}"


def _last_crash(console):
    files = [(at, found[1]) for at, line in enumerate(console) if (found := _CRASH.match(line))]
    return f", the last in {files[-1][1]}" if files else ""
