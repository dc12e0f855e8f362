"""Breaks one thing of a flash, lets the device live on it, and judges how it ends; also with one power cut on top.

    toll = FaultPass(supply, SCENARIOS["update"], GEOMETRIES["unix"]).run(every_sector(plan))

What must hold, whatever is broken: no byte runs that isn't signed, R never falls, what runs isn't written, the device comes
to rest, and it rests on a whole confirmed image: the new one, or one from before, and then the log says why.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from pawl import codes
from pawl.bootloader import Bootloader
from pawl_sim import tears
from pawl_sim.defects import ROT_KINDS, Defect
from pawl_sim.flash import Operation, State, nothing
from pawl_sim.geometry import Geometry, lay_out
from pawl_sim.rig import BOOTS_MAX, Rig
from pawl_sim.scenarios import Scenario
from pawl_sim.seeds import Cut, Seed
from pawl_sim.supply import Supply
from pawl_sim.trace import Failure, Moment, torn
from pawl_sim.witness import Memory, Witness, require

_BOOTS_MAX = 2 * BOOTS_MAX  # four slot erases a day, each with three trials
_NO_REASON = (codes.REASON_ANCHOR_ACCEPTED,)

# Scenarios whose device may end on the agent alone when one thing more is broken, and why that is right.
MAY_END_ALONE = {
    "revert": "the slot that ran is rotten, and what is offered is never well",
    "log-rotation": "the slot that ran is rotten, and what is offered is never well",
    "repair": "one slot is rotten and kept for its repair, the other one doesn't keep what is written",
    "only-slot-rotten": "the one slot is rotten, the other one doesn't keep what is written",
    "both-slots-bad": "both slots are rotten, and the one to be written doesn't keep it",
}


@dataclass(slots=True)
class Toll:
    """What was lived through. `ends`: (kind of defect, how it ended); `restless`: rests, but each boot writes to flash
    again; `alone`: those that ended on the agent alone.
    """

    defects: int = 0
    cuts: int = 0
    boots: int = 0
    ends: Counter[tuple[str, str]] = field(default_factory=Counter)
    restless: list[Seed] = field(default_factory=list)
    alone: list[Seed] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def add(self, other: "Toll") -> None:
        """Count another pass in."""
        self.defects += other.defects
        self.cuts += other.cuts
        self.boots += other.boots
        self.ends += other.ends
        self.restless += other.restless
        self.alone += other.alone
        self.failures += other.failures


class FaultPass:
    """One scenario on one flash, broken in one place at a time."""

    def __init__(self, supply: Supply, scenario: Scenario, geometry: Geometry) -> None:
        self.scenario = scenario
        self.geometry = geometry
        self.rig = Rig(supply, lay_out(geometry))
        self.begin, self.memory = scenario.start(self.rig)
        self.world = scenario.world(self.rig)
        self._wanted = supply.releases[scenario.ends_on]
        self._whole = self._sound()
        self.toll = Toll()
        self._known = Counter(self.rig.storage().log().entries())

    def run(self, defects: Iterable[Defect], cuts: int = 0) -> Toll:
        """Live with each defect; and again, with one cut, at as many moments as `cuts`, drawn from the seed."""
        for defect in defects:
            seed = Seed(self.scenario.name, self.geometry.name, defect=defect)
            self.toll.defects += 1
            moments, fault = self.live(seed, self.begin, self.memory)
            self._note(seed, fault)
            for number in range(cuts if moments else 0):
                self._cut(seed, moments, number)
        return self.toll

    def _cut(self, seed: Seed, moments: list[Moment], number: int) -> None:
        chance = seed.number() // (number + 1)
        at = chance % len(moments)
        names = tears.names(moments[at].operation)
        cut = seed.then(Cut(at, names[chance // len(moments) % len(names)]))
        self.toll.cuts += 1
        _, fault = self.live(cut, torn(self.rig.plan, cut, moments[at]), moments[at].memory)
        self._note(cut, fault)

    def _note(self, seed: Seed, fault: str | None) -> None:
        self.toll.boots += len(self.rig.boots)
        if fault is not None:
            self.toll.failures.append(Failure(seed, fault))

    def live(self, seed: Seed, state: State, memory: Memory) -> tuple[list[Moment], str | None]:
        """Live from a state on; return the moments, and what broke a rule."""
        moments: list[Moment] = []
        rig, defect = self.rig, seed.defect
        assert defect is not None, "a pass is for a flash with a defect"
        rig.flash.mend()
        rig.flash.load(state)
        if not (seed.cuts and defect.kind == "flip"):  # what flipped once is in the state since
            defect.strike(rig.flash)
        witness = Witness(rig.supply, rig.plan, memory, may_recover=self._may_recover(defect))
        try:
            self._settle(witness, moments)
            self._judge_end(witness, seed, defect)
        except Exception as error:  # noqa: BLE001 (whatever the device raises would be the end of it)
            return moments, f"{type(error).__name__}: {error}"
        return moments, None

    def _sound(self) -> set[str]:
        """Return the slots that could boot at the start, as "a" and "b"."""
        candidates = Bootloader(self.rig.storage(), self.rig.supply.verify).candidates
        self.rig.flash.load(self.begin)
        return {
            "ab"[one.slot.name]
            for one in candidates
            if one.status.state == codes.SLOT_CONFIRMED and not one.fault
        }

    def _may_recover(self, defect: Defect) -> bool:
        """The agent alone is right where what is broken held the one image there was."""
        is_rot = defect.kind in ROT_KINDS
        return self.scenario.may_recover or (
            is_rot and self._whole == {defect.region[-1]} and defect.region[-2] == "_"
        )

    def _settle(self, witness: Witness, moments: list[Moment]) -> None:
        """Boot until the device rests twice in a row, on the same slot: one boot may find what the one before left open."""
        rig = self.rig
        rig.boots = []

        def keep(operation: Operation) -> None:
            moments.append(Moment(operation, rig.flash.save(), witness.memory))

        rests: list[bool] = []
        while rests[-2:] != [True, True]:
            require(len(rests) < _BOOTS_MAX, "the device never comes to rest")
            rests.append(not rig.boot(witness, self.world, keep))
        slots = [boot.slot for boot in rig.boots[-2:]]
        require(slots[0] == slots[1], "a device at rest boots something else")

    def _judge_end(self, witness: Witness, seed: Seed, defect: Defect) -> None:
        """Judge what one boot more decides."""
        rig = self.rig
        writes: list[Operation] = []
        rig.flash.operating = writes.append
        storage = rig.storage()
        loader = Bootloader(storage, rig.supply.verify)
        decision = loader.settle(is_unwell=False)
        rig.flash.operating = nothing
        release = witness.judge_boot(loader, decision, rig.proven(storage, decision))
        self.toll.restless += [seed] if writes else []
        how = "the agent alone" if release is None else "new" if release is self._wanted else "old"
        self.toll.ends[defect.kind, how] += 1
        if release is None:
            self.toll.alone.append(seed)
            require(self.scenario.name in MAY_END_ALONE, "it ended on the agent alone")
        else:
            status = loader.candidates[decision.slot].slot.status()
            require(status.state == codes.SLOT_CONFIRMED, "what runs is not confirmed")
        if how != "new" and defect.region != "log":
            require(self._reasons(), f"it ended on {how}, and the log says no reason")

    def _reasons(self) -> list[int]:
        """Return what the log says that it didn't say at the start."""
        news = Counter(self.rig.storage().log().entries()) - self._known
        return [entry.code for entry in news if entry.code not in _NO_REASON]
