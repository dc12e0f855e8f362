"""The smallest MicroPython heap in which a whole update ends confirmed, and what is in use after boot.

TLS's heap is C's and not counted. Found by halving in steps of 8 KB with the shipped agent and several devices a size:
whether free memory lies in one piece is partly chance. A fault is what the device's console calls one, or a restart that
nobody asked for; after most of them it tries again, and may still be updated.
"""

import asyncio
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from benchmarks.figures import Figure
from benchmarks.fleet import ROOMY_HEAP, Fleet, Trip
from pawl_server.domain.fleet import AssignmentState
from pawl_tools.launcher import HEAP
from pawl_tools.toolchain import Toolchain

_STEP_KB = 8
_LIMIT_KB = 256
_MOST_KB = 512
_DEVICES = 8
_ROUNDS_AT_LIMIT = 4
_STARTS_MAX = 6  # two are needed, the factory release's and the trial's
_FAULT = re.compile(r"MemoryError|pawl: (refused|fault|link|application crashed)")
_BARE = "import asyncio, gc; gc.collect(); print(gc.mem_alloc())"
_REFERENCE = "bare interpreter with asyncio"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How many devices ended confirmed, and how many of them without a fault."""

    confirmed: int
    faultless: int


async def measure(fleet: Fleet) -> list[Figure]:
    """Return the figures of a whole update and of the agent after boot."""
    bare = _bare_bytes(fleet.site.toolchain) / 1024
    in_use = await _in_use_bytes(fleet) / 1024
    trials = Trials(fleet)
    smooth = await trials.smallest_kb(lambda outcome: outcome.faultless == _DEVICES)
    smallest = await trials.smallest_kb(lambda outcome: outcome.confirmed == _DEVICES)
    faulty = await trials.faulty(_LIMIT_KB, _ROUNDS_AT_LIMIT)
    return [
        _figure("heap in use after boot", in_use, bare, None),
        _figure(f"smallest heap, {_DEVICES} updates confirmed", smallest, bare, _LIMIT_KB),
        _figure(f"smallest heap, {_DEVICES} updates without a fault", smooth, bare, _LIMIT_KB),
        Figure(
            name=f"updates with a fault in {_LIMIT_KB} KB",
            value=faulty,
            unit="devices",
            reference="devices updated",
            reference_value=_ROUNDS_AT_LIMIT * _DEVICES,
            goal=0,
        ),
    ]


def _figure(name: str, value: float, bare: float, goal: float | None) -> Figure:
    return Figure(name=name, value=value, unit="KB", reference=_REFERENCE, reference_value=bare, goal=goal)


def _bare_bytes(programs: Toolchain) -> int:
    command = [str(programs.micropython), "-X", f"heapsize={HEAP}", "-c", _BARE]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


async def _in_use_bytes(fleet: Fleet) -> int:
    """Return what the first boot's agent has in use when it reaches its first state."""
    trip = Trip(name="heap-in-use")
    device = await fleet.device(trip, agent=fleet.agent_with("heap_probe"), heap=ROOMY_HEAP)
    await fleet.update(trip, device)
    trip.require_success()
    return next(int(line.split()[-1]) for line in trip.console if line.startswith("bench: heap"))


class Trials:
    """Updates of several devices at once in heaps of one size; each size is tried once."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._outcomes: dict[int, Outcome] = {}
        self._numbers = count()

    async def smallest_kb(self, passes: Callable[[Outcome], bool]) -> int:
        """Return the smallest size that passes, found by halving; `_MOST_KB` is taken to."""
        fails, good = 0, _MOST_KB // _STEP_KB
        while good - fails > 1:
            middle = (fails + good) // 2
            if passes(await self.outcome(middle * _STEP_KB)):
                good = middle
            else:
                fails = middle
        return good * _STEP_KB

    async def outcome(self, size_kb: int) -> Outcome:
        """Return how the updates in this size went."""
        if size_kb not in self._outcomes:
            trips = await self._round(size_kb)
            self._outcomes[size_kb] = Outcome(
                confirmed=sum(trip.state == AssignmentState.SUCCEEDED for trip in trips),
                faultless=sum(_is_faultless(trip) for trip in trips),
            )
        return self._outcomes[size_kb]

    async def faulty(self, size_kb: int, rounds: int) -> int:
        """Return how many devices of some rounds had a fault."""
        trips = [trip for _ in range(rounds) for trip in await self._round(size_kb)]
        return sum(not _is_faultless(trip) for trip in trips)

    async def _round(self, size_kb: int) -> list[Trip]:
        return await asyncio.gather(*[self._update(size_kb) for _ in range(_DEVICES)])

    async def _update(self, size_kb: int) -> Trip:
        trip = Trip(name=f"heap-{size_kb}-{next(self._numbers)}")
        device = await self._fleet.device(trip, heap=f"{size_kb}k")
        return await self._fleet.update(trip, device, lambda: device.starts > _STARTS_MAX)


def _is_faultless(trip: Trip) -> bool:
    has_fault = any(_FAULT.search(line) for line in trip.console)
    return trip.state == AssignmentState.SUCCEEDED and not has_fault
