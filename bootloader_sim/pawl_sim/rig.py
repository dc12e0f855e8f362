"""One device on simulated flash: the code that ships, booted until it has nothing left to do.

Bootloader, agent and installer are the device's own; only the link is the world's. A rig is used for many flash states,
one after the other.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pawl import boot, codes, topics
from pawl.agent import Agent
from pawl.bootloader import Bootloader
from pawl.errors import PawlError, StorageError
from pawl.identity import partition_of
from pawl.index import cut
from pawl.proof import NOTHING, prove
from pawl.storage import Storage
from pawl_sim.flash import NorFlash, Operation, nothing
from pawl_sim.geometry import Plan
from pawl_sim.supply import Release, Supply
from pawl_sim.virtual_time import VirtualLoop
from pawl_sim.witness import Memory, Witness, require
from pawl_sim.world import DEVICE, Link, Port, Reset, Rest, World

BOOTS_MAX = 16
_OFFER_TOPIC = topics.offer(partition_of(DEVICE), DEVICE)


@dataclass(kw_only=True)
class Boot:
    """One boot, as a replay tells it."""

    row: int
    slot: int | None
    lines: list[str] = field(default_factory=list)


class Rig:
    """A device with a plan of its flash; `operating` is called before each flash operation."""

    def __init__(self, supply: Supply, plan: Plan) -> None:
        self.supply = supply
        self.plan = plan
        self.flash = NorFlash(plan)
        self.boots: list[Boot] = []

    def storage(self) -> Any:
        """Return the device's Storage over the flash."""
        return Storage(self.flash, self.plan.regions)

    def provision(self) -> None:
        """Write identity and anchor, as `pawl provision` does."""
        supply = self.supply
        identity = {
            "device": DEVICE,
            "vendor": supply.vendor,
            "class_id": supply.device_class,
            "certificate": b"certificate",
            "tls_key": b"key",
            "host": "localhost",
            "port": 8883,
            "report_key": supply.report_key,
            "anchor_file": supply.anchors[0],
            "floor": {codes.IMAGE_APP: 0},
            "anchor_port": 8884,
        }
        self.storage().provision(identity, supply.anchors[0])

    def put(self, name: str, number: int) -> Any:
        """Write a release into a slot as an install does, up to `written`; return the Slot."""
        release = self.supply.releases[name]
        slot = self.storage().slots[number]
        slot.begin(release.digest, release.opened.wire_envelope())
        for component, image in release.images(number).items():
            for at, block in enumerate(cut(image)):
                slot.write_block(at * codes.BLOCK_BYTES, block, component)
        slot.mark_written()
        return slot

    def settle(
        self,
        witness: Witness,
        world: World,
        operating: Callable[[Operation], None] = nothing,
        is_known: Callable[[], bool] = lambda: False,
    ) -> tuple[Any, Any, Any] | None:
        """Boot until the device rests; return (Bootloader, Decision, Proven) of one more boot, which has nothing to do.

        `is_known` is asked before each boot: if so, its future is known too, and nothing is returned.
        """
        self.boots = []
        for _ in range(BOOTS_MAX):
            if is_known():
                return None
            if not self.boot(witness, world, operating):
                return self._require_rest()
        raise AssertionError("the device never comes to rest")

    def boot(self, witness: Witness, world: World, operating: Callable[[Operation], None] = nothing) -> bool:
        """Boot once and run; return whether it ended in a reset. A PowerCut that `operating` raises comes out."""

        def watch(operation: Operation) -> None:
            witness.watch(operation)
            operating(operation)

        self.flash.operating = watch
        try:
            return self._run(witness, world)
        finally:
            self.flash.operating = nothing
            witness.power_off()

    def _run(self, witness: Witness, world: World) -> bool:
        storage = self.storage()
        counter = storage.boot_counter()
        # As boards do: a counter that can't be written keeps no device from booting.
        with suppress(StorageError):
            counter.step()
        loader = Bootloader(storage, self.supply.verify)
        try:
            decision = loader.settle(counter.is_unwell())
            proven = self.proven(storage, decision)
        except PawlError:
            return True  # as on every port: a boot whose judgements differ ends in a reset
        port = Port(self.supply.sign)
        self.boots.append(Boot(row=decision.row, slot=decision.slot, lines=port.lines))
        release = witness.judge_boot(loader, decision, proven)
        agent: Any = Agent(port, loader, decision, counter, _health(witness, world, release, decision))
        agent.link = Link(world, agent.walk, _OFFER_TOPIC)
        return _run_to_its_end(agent)

    def proven(self, storage: Any, decision: Any) -> Any:
        """Return what the second judgement lets this decision mount."""
        return NOTHING if decision.action == boot.RECOVER else prove(storage, decision, self.supply.verify)

    def _require_rest(self) -> tuple[Any, Any, Any]:
        def refuse(_: Operation) -> None:
            raise AssertionError("a boot that has nothing to do writes to flash")

        self.flash.operating = refuse
        try:
            storage = self.storage()
            loader = Bootloader(storage, self.supply.verify)
            decision = loader.settle(is_unwell=False)
            proven = self.proven(storage, decision)
        finally:
            self.flash.operating = nothing
        require(not loader.faults, "a settled device reports faults")
        return loader, decision, proven


def _run_to_its_end(agent: Any) -> bool:
    """Run an agent; return whether it resets."""
    loop = VirtualLoop(0.0)
    try:
        loop.run_until_complete(agent.run())
    except Reset:
        return True
    except Rest:
        return False
    finally:
        loop.close()
    raise AssertionError("an agent never returns")


def _health(witness: Witness, world: World, release: Release | None, decision: Any) -> Callable[[], Any]:
    """Return the application's health check; what passes it has run well."""

    async def check() -> bool:
        trial = witness.memory.trials[decision.slot] if decision.action == boot.TRY else 0
        if release is None or not world.is_well(release.digest, trial):
            return False
        witness.note_well(release.digest)
        return True

    return check


def remember(supply: Supply, names: tuple[str, ...], sequence: int, anchor: int) -> Memory:
    """Return what a witness knows at the start: what was confirmed, and R."""
    proven = frozenset(supply.releases[name].digest for name in names)
    return Memory(sequence, anchor, proven, (0, 0))
