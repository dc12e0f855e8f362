"""Follows one trace by its seed, power-on by power-on.

for stretch in replay(supply, parse("update:ecc-16:9-half:3-bits")): ...
"""

from collections.abc import Iterator
from dataclasses import replace

from pawl_sim.explorer import Explorer
from pawl_sim.faults import FaultPass
from pawl_sim.geometry import GEOMETRIES
from pawl_sim.scenarios import SCENARIOS
from pawl_sim.seeds import Seed
from pawl_sim.supply import Supply
from pawl_sim.trace import Stretch, torn


def replay(supply: Supply, seed: Seed) -> Iterator[Stretch]:
    """Yield a Stretch for each time that the power comes.

    Raises:
        ValueError: a cut names an operation that never comes, or a tear that it can't suffer.
    """
    kind = Explorer if seed.defect is None else FaultPass
    life = kind(supply, SCENARIOS[seed.scenario], GEOMETRIES[seed.geometry])
    at = replace(seed, cuts=())
    state, memory = life.begin, life.memory
    for cut in (*seed.cuts, None):
        moments, fault = life.live(at, state, memory)
        yield Stretch(at, moments, life.rig.boots, fault)
        if cut is None:
            return
        if cut.operation >= len(moments):
            raise ValueError(f"there is no operation {cut.operation}: the last one is {len(moments) - 1}")
        moment, at = moments[cut.operation], at.then(cut)
        state, memory = torn(life.rig.plan, at, moment), moment.memory
