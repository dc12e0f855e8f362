"""Cuts the power inside every flash operation of a scenario, in several ways, and again inside every one of the recovery.

    tally = Explorer(supply, SCENARIOS["update"], GEOMETRIES["unix"]).explore(depth=2)

Equal states are visited once, at whatever boot they come up: the same flash, seen by a witness who remembers the same,
has the same future.
"""

from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from pawl import codes
from pawl_sim import tears
from pawl_sim.flash import Operation, State
from pawl_sim.geometry import Geometry, lay_out
from pawl_sim.rig import Rig
from pawl_sim.scenarios import Scenario
from pawl_sim.seeds import Cut, Seed
from pawl_sim.supply import Supply
from pawl_sim.trace import Failure, Moment, torn
from pawl_sim.witness import Memory, Violation, Witness, require

_PARTS = 1000


@dataclass(slots=True)
class Tally:
    """What was explored. `cuts`: cut points by how many cuts came before; `tears` by name; `states`: those that differed when
    the power came.
    """

    operations: int = 0
    cuts: Counter[int] = field(default_factory=Counter)
    tears: Counter[str] = field(default_factory=Counter)
    states: int = 0
    boots: int = 0
    failures: list[Failure] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Count another exploration in."""
        self.operations += other.operations
        self.cuts += other.cuts
        self.tears += other.tears
        self.states += other.states
        self.boots += other.boots
        self.failures += other.failures


class Explorer:
    """One scenario on one flash."""

    def __init__(self, supply: Supply, scenario: Scenario, geometry: Geometry) -> None:
        self.scenario = scenario
        self.rig = Rig(supply, lay_out(geometry))
        self.begin, self.memory = scenario.start(self.rig)
        self.world = scenario.world(self.rig)
        self.seed = Seed(scenario.name, geometry.name)
        self.tally = Tally()
        self._seen: dict[bytes, int] = {}
        self._only, self._samples = "", 1

    def explore(self, depth: int = 2, share: float = 1.0, only: str = "", samples: int = 1) -> Tally:
        """Cut up to `depth` times; of the cuts after the first one a `share`, chosen by their seeds.

        With `only`, cut by this tear alone, in so many samples of what chance leaves.
        """
        self._only, self._samples = only, samples
        moments = self._follow(self.seed, self.begin, self.memory, depth)
        self.tally.operations = len(moments)
        self._branch(self.seed, moments, depth, int(share * _PARTS))
        self.tally.states = len(self._seen)
        return self.tally

    def _branch(self, seed: Seed, moments: list[Moment], left: int, parts: int) -> None:
        for number, moment in enumerate(moments):
            for name in self._tears(moment.operation):
                cut = seed.then(Cut(number, name))
                if seed.cuts and cut.number() % _PARTS >= parts:
                    continue
                self.tally.cuts[len(seed.cuts)] += 1
                self.tally.tears[name] += 1
                state = torn(self.rig.plan, cut, moment)
                after = self._follow(cut, state, moment.memory, left - 1)
                if left > 1:
                    self._branch(cut, after, left - 1, parts)

    def _tears(self, operation: Operation) -> tuple[str, ...]:
        if self._only:
            return tears.samples(self._only, operation, self._samples)
        return tears.names(operation)

    def _follow(self, seed: Seed, state: State, memory: Memory, left: int) -> list[Moment]:
        """Boot a state until it settles, or is one that was explored with so many cuts left; return its moments.

        If it broke a rule, that is a failure, and there are none; nor are there any where no cut is left.
        """
        moments: list[Moment] = []
        try:
            self._settle(state, memory, moments if left > 0 else None, left)
        except Exception as error:  # noqa: BLE001 (whatever the device raises would be the end of it)
            self.tally.failures.append(Failure(seed, _says(error)))
            return []
        finally:
            self.tally.boots += len(self.rig.boots)
        return moments

    def _settle(self, state: State, memory: Memory, moments: list[Moment] | None, left: int) -> None:
        rig, scenario = self.rig, self.scenario
        rig.flash.load(state)
        witness = Witness(
            rig.supply, rig.plan, memory, may_recover=scenario.may_recover, may_be_blind=scenario.may_be_blind
        )
        starts: list[bytes] = []

        def is_known() -> bool:
            key = rig.flash.save().key() + _digest(witness.memory)
            require(key not in starts, "it resets for ever, and nothing changes")
            starts.append(key)
            if self._seen.get(key, -1) >= left:
                return True
            self._seen[key] = left
            return False

        def keep(operation: Operation) -> None:
            if moments is not None:
                moments.append(Moment(operation, rig.flash.save(), witness.memory))

        settled = rig.settle(witness, self.world, keep, is_known)
        if settled is not None:
            self._judge_end(witness, *settled)

    def _judge_end(self, witness: Witness, loader: Any, decision: Any, proven: Any) -> None:
        """With power on the update completes, or is undone, and the reason is kept."""
        scenario, rig = self.scenario, self.rig
        release = witness.judge_boot(loader, decision, proven)
        ends = [rig.supply.releases[name] for name in (scenario.ends_on, scenario.or_else) if name]
        wanted = next((one for one in ends if one is release), None)
        if wanted is None:
            raise Violation(f"it doesn't end on {scenario.ends_on}")
        status = loader.candidates[decision.slot].slot.status()
        require(
            status.state == codes.SLOT_CONFIRMED and status.is_settled, "what runs is not confirmed for good"
        )
        recorded = loader.ratchet.reading.roles[codes.IMAGE_APP]
        require(recorded.digest == loader.accepted.digest == wanted.digest, "R doesn't name what runs")
        require(
            loader.anchor is not None and loader.anchor.version == scenario.anchors, "the walk did not end"
        )
        if scenario.reason is not None:
            told = [entry.code for entry in loader.storage.log().entries()]
            require(scenario.reason in told, "why the update failed is not in the log")

    def live(self, _: Seed, state: State, memory: Memory) -> tuple[list[Moment], str | None]:
        """Live from a state on to the end; return the moments, and what broke a rule."""
        self._seen = {}
        moments: list[Moment] = []
        try:
            self._settle(state, memory, moments, 0)
        except Exception as error:  # noqa: BLE001 (as in `_follow`)
            return moments, _says(error)
        return moments, None


def _says(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _digest(memory: Memory) -> bytes:
    words = (memory.sequence, memory.anchor, sorted(memory.proven), memory.trials, sorted(memory.failed))
    return blake2b(repr(words).encode(), digest_size=8).digest()
