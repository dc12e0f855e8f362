"""Cuts the power inside every flash operation of a scenario, in several ways, and again inside every one of the recovery.

    tally = Explorer(supply, SCENARIOS["update"], GEOMETRIES["unix"]).explore(depth=2)

Equal states are visited once: the same flash, seen by a witness who remembers the same, has the same future.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

from pawl import codes
from pawl_sim import tears
from pawl_sim.flash import Operation, State
from pawl_sim.geometry import Geometry, lay_out
from pawl_sim.rig import Rig
from pawl_sim.scenarios import Scenario
from pawl_sim.seeds import Cut, Seed
from pawl_sim.supply import Supply
from pawl_sim.witness import Memory, Violation, Witness, require

_PARTS = 1000


class Moment(NamedTuple):
    """Just before a flash operation."""

    operation: Operation
    state: State
    memory: Memory


@dataclass(frozen=True, slots=True)
class Failure:
    """A trace that broke a rule."""

    seed: Seed
    says: str


@dataclass(slots=True)
class Tally:
    """What was explored. `cuts`: cut points by how many cuts came before; `tears` by name; `states`: those that differed."""

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
        moments = self._follow(self.seed, self.begin, self.memory)
        self.tally.operations = len(moments)
        self._branch(self.seed, moments, depth, int(share * _PARTS))
        return self.tally

    def _branch(self, seed: Seed, moments: list[Moment], left: int, parts: int) -> None:
        for number, moment in enumerate(moments):
            for name in self._tears(moment.operation):
                torn = seed.then(Cut(number, name))
                if seed.cuts and torn.number() % _PARTS >= parts:
                    continue
                self.tally.cuts[len(seed.cuts)] += 1
                self.tally.tears[name] += 1
                self._visit(torn, moment, left - 1, parts)

    def _tears(self, operation: Operation) -> tuple[str, ...]:
        if self._only:
            return tears.samples(self._only, operation, self._samples)
        return tears.names(operation)

    def _visit(self, seed: Seed, moment: Moment, left: int, parts: int) -> None:
        state = self._torn(seed, moment)
        key = state.key() + _digest(moment.memory)
        if self._seen.get(key, -1) >= left:
            return
        self._seen[key] = left
        self.tally.states += 1
        moments = self._follow(seed, state, moment.memory)
        if left > 0:
            self._branch(seed, moments, left, parts)

    def _torn(self, seed: Seed, moment: Moment) -> State:
        cut = seed.cuts[-1]
        return tears.tear(self.rig.plan, moment.state, moment.operation, cut.tear, seed.number())

    def _follow(self, seed: Seed, state: State, memory: Memory) -> list[Moment]:
        """Boot a state until it settles; return its moments, or none if it broke a rule: then that is a failure."""
        moments: list[Moment] = []
        try:
            self._settle(state, memory, moments.append)
        except Exception as error:  # noqa: BLE001 (whatever the device raises would be the end of it)
            self.tally.failures.append(Failure(seed, f"{type(error).__name__}: {error}"))
            return []
        finally:
            self.tally.boots += len(self.rig.boots)
        return moments

    def _settle(self, state: State, memory: Memory, note: Callable[[Moment], None]) -> None:
        rig, scenario = self.rig, self.scenario
        rig.flash.load(state)
        witness = Witness(
            rig.supply, rig.plan, memory, may_recover=scenario.may_recover, may_be_blind=scenario.may_be_blind
        )

        def keep(operation: Operation) -> None:
            note(Moment(operation, rig.flash.save(), witness.memory))

        loader = rig.settle(witness, self.world, keep)
        self._judge_end(loader, witness)

    def _judge_end(self, loader: Any, witness: Witness) -> None:
        """With power on the update completes, or is undone, and the reason is kept."""
        scenario, rig = self.scenario, self.rig
        release = witness.judge_boot(rig.flash, loader, loader.decision)
        ends = [rig.supply.releases[name] for name in (scenario.ends_on, scenario.or_else) if name]
        wanted = next((one for one in ends if one is release), None)
        if wanted is None:
            raise Violation(f"it doesn't end on {scenario.ends_on}")
        status = loader.candidates[loader.decision.slot].slot.status()
        require(status.state == codes.SLOT_CONFIRMED and status.is_settled, "what runs is not confirmed for good")
        recorded = loader.ratchet.reading.roles[codes.IMAGE_APP]
        require(recorded.digest == loader.accepted.digest == wanted.digest, "R doesn't name what runs")
        require(loader.anchor is not None and loader.anchor.version == scenario.anchors, "the walk did not end")
        if scenario.reason is not None:
            told = [entry.code for entry in loader.storage.log().entries()]
            require(scenario.reason in told, "why the update failed is not in the log")

    def replay(self, cuts: tuple[Cut, ...]) -> Iterator[tuple[Seed, list[Moment], str | None]]:
        """Follow one trace; yield after each power-on its seed, what was written, and what broke a rule."""
        seed, state, memory = self.seed, self.begin, self.memory
        for cut in (*cuts, None):
            moments: list[Moment] = []
            fault = None
            try:
                self._settle(state, memory, moments.append)
            except Exception as error:  # noqa: BLE001 (as in `_follow`)
                fault = f"{type(error).__name__}: {error}"
            yield seed, moments, fault
            if cut is None or cut.operation >= len(moments):
                return
            moment, seed = moments[cut.operation], seed.then(cut)
            state, memory = self._torn(seed, moment), moment.memory


def _digest(memory: Memory) -> bytes:
    words = (memory.sequence, memory.anchor, sorted(memory.proven), memory.trials, sorted(memory.failed))
    return blake2b(repr(words).encode(), digest_size=8).digest()
