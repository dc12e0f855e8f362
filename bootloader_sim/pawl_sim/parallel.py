"""Explores many scenarios on many flash parts, in as many processes as there are cores.

plan = [Job("update", "unix", depth=2, share=1.0)]
for job, tally in explore(make_supply, plan, processes=2): ...
"""

import gc
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from pawl_sim.explorer import Explorer, Tally
from pawl_sim.geometry import GEOMETRIES
from pawl_sim.scenarios import SCENARIOS
from pawl_sim.supply import Supply


class Job(NamedTuple):
    """One scenario on one flash; `share` of the cuts after the first one."""

    scenario: str
    geometry: str
    depth: int
    share: float


_supplies: list[Supply] = []  # of this process: made once


def jobs(scenarios: Iterable[str], geometries: Iterable[str], *, depth: int, share: float) -> list[Job]:
    """Return every combination."""
    parts = list(geometries)
    return [Job(scenario, geometry, depth, share) for scenario in scenarios for geometry in parts]


def slice_of(jobs: Iterable[Job], stride: int) -> list[Job]:
    """Return the jobs of each scenario on every `stride`-th flash, another one first for each: so that each flash has its turn."""
    by_scenario: dict[str, list[Job]] = {}
    for job in jobs:
        by_scenario.setdefault(job.scenario, []).append(job)
    return [
        job
        for number, several in enumerate(by_scenario.values())
        for place, job in enumerate(several)
        if (place - number) % stride == 0
    ]


def run(job: Job) -> tuple[Job, Tally]:
    """Explore one job in this process."""
    explorer = Explorer(_supplies[0], SCENARIOS[job.scenario], GEOMETRIES[job.geometry])
    return job, explorer.explore(job.depth, job.share)


def prepare(make_supply: Callable[[], Supply]) -> None:
    """Make this process ready for `run`."""
    _supplies[:] = [make_supply()]
    # The agent collects its garbage often, as a device must; what the host has in memory needn't be gone through each time.
    gc.collect()
    gc.freeze()


def explore(
    make_supply: Callable[[], Supply], plan: Iterable[Job], processes: int
) -> Iterator[tuple[Job, Tally]]:
    """Yield each job with its Tally, as they end."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, initializer=prepare, initargs=(make_supply,)) as pool:
        yield from pool.imap_unordered(run, plan)
