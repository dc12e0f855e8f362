"""Looks for a shorter trace that ends the same way: fewer cuts, a plainer flash, plainer tears."""

from collections.abc import Iterator
from dataclasses import replace as changed
from itertools import product

from pawl_sim import tears
from pawl_sim.explorer import Explorer
from pawl_sim.geometry import GEOMETRIES
from pawl_sim.replay import replay
from pawl_sim.scenarios import SCENARIOS
from pawl_sim.seeds import Cut, Seed
from pawl_sim.supply import Supply

PLAIN = "unix"


def shrink(supply: Supply, seed: Seed) -> Seed:
    """Return the plainest trace found that ends with the same words; ValueError if this one breaks no rule."""
    says = fault_of(supply, seed)
    if says is None:
        raise ValueError(f"{seed} breaks no rule: there is nothing to shrink")
    for geometry in dict.fromkeys((PLAIN, seed.geometry)) if seed.defect is None else ():
        for depth in range(1, len(seed.cuts)):
            tally = Explorer(supply, SCENARIOS[seed.scenario], GEOMETRIES[geometry]).explore(depth)
            found = [failure.seed for failure in tally.failures if failure.says == says]
            if found:
                return min(found, key=lambda one: (len(one.cuts), one.cuts))
    return next((plainer for plainer in _plainer(seed) if fault_of(supply, plainer) == says), seed)


def fault_of(supply: Supply, seed: Seed) -> str | None:
    """Return the rule that a trace breaks at its end, or None: also where a cut of it never comes."""
    last = None
    try:
        for stretch in replay(supply, seed):
            last = stretch.fault
    except ValueError:
        return None
    return last


def _plainer(seed: Seed) -> Iterator[Seed]:
    """Yield traces with the same places and other tears, those of the plain flash first."""
    choices = [[Cut(cut.operation, name) for name in tears.PLAINEST_FIRST] for cut in seed.cuts]
    for geometry in dict.fromkeys((PLAIN, seed.geometry)):
        for cuts in product(*choices):
            plainer = changed(seed, geometry=geometry, cuts=cuts)
            if plainer != seed:
                yield plainer
