"""Explores scenarios with whatever device code comes first on PYTHONPATH; run by `test_planted_bugs.py`, in a process of its own.

    PYTHONPATH=<folder> python explore_planted.py <folder> <samples> <tear or all> <scenario:flash or scenario:flash:defect> ...

Prints `<seed> <what was reported>` of the first failure, or `clean <number of states>`; a flash with a defect is lived with
once and not cut.
"""

import gc
import sys
from pathlib import Path

import pawl
from pawl_sim.explorer import Explorer, Failure
from pawl_sim.faults import FaultPass
from pawl_sim.geometry import GEOMETRIES
from pawl_sim.scenarios import SCENARIOS
from pawl_sim.seeds import parse
from pawl_tools.sim_supply import make


class Found(BaseException):
    """The first failure: the rest need not be explored."""


class First(list):
    """The failures of a tally; the first one ends the exploration."""

    def append(self, failure: Failure) -> None:
        raise Found(failure)


def explore(places, samples, only):
    """Return the number of states of all these explorations; raises Found."""
    supply = make()
    gc.collect()
    gc.freeze()
    return sum(explore_one(supply, parse(place), samples, only) for place in places)


def explore_one(supply, seed, samples, only):
    """Return the number of states of one exploration, or 1 for a life with a defect; raises Found."""
    scenario, geometry = SCENARIOS[seed.scenario], GEOMETRIES[seed.geometry]
    if seed.defect is not None:
        lived = FaultPass(supply, scenario, geometry)
        lived.toll.failures = First()
        return lived.run([seed.defect]).defects
    explorer = Explorer(supply, scenario, geometry)
    explorer.tally.failures = First()
    return explorer.explore(depth=1, only=only, samples=samples).states


def main(folder, samples, tear, *places):
    """Explore, and print what came of it."""
    if Path(folder).resolve() not in Path(pawl.__file__).resolve().parents:
        sys.exit(f"the device code explored is {pawl.__file__}, not the copy in {folder}")
    try:
        says = f"clean {explore(places, int(samples), '' if tear == 'all' else tear)}"
    except Found as found:
        says = f"{found.args[0].seed} {found.args[0].says}"
    sys.stdout.write(says + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
