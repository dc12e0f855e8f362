"""What a trace is made of: moments before flash operations, stretches from one power-on to the next, and how it fails."""

from typing import NamedTuple

from pawl_sim import tears
from pawl_sim.flash import Operation, State
from pawl_sim.geometry import Plan
from pawl_sim.rig import Boot
from pawl_sim.seeds import Seed
from pawl_sim.witness import Memory


class Moment(NamedTuple):
    """Just before a flash operation."""

    operation: Operation
    state: State
    memory: Memory


class Stretch(NamedTuple):
    """What happened from one power-on to the rest of the device, or to what broke a rule: then `fault` says which."""

    seed: Seed
    moments: list[Moment]
    boots: list[Boot]
    fault: str | None


class Failure(NamedTuple):
    """A trace that broke a rule."""

    seed: Seed
    says: str


def torn(plan: Plan, seed: Seed, moment: Moment) -> State:
    """Return the flash after the last cut of a seed, inside the operation of this moment."""
    return tears.tear(plan, moment.state, moment.operation, seed.cuts[-1].tear, seed.number())
