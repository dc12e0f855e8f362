"""One device on simulated flash: the code that ships, booted until it has nothing left to do.

Bootloader, agent and installer are the device's own; only the link is the world's. A rig is used for many flash states,
one after the other.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pawl import codes, topics
from pawl.agent import Agent
from pawl.bootloader import Bootloader
from pawl.errors import StorageError
from pawl.identity import partition_of
from pawl.index import cut
from pawl.storage import Storage
from pawl_sim.flash import NorFlash, Operation, nothing
from pawl_sim.geometry import Plan
from pawl_sim.supply import Release, Supply
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

    def settle(self, witness: Witness, world: World, operating: Callable[[Operation], None] | None = None) -> Any:
        """Boot until the device rests; return the Bootloader of one more boot, which has nothing to do."""
        self.boots = []
        for _ in range(BOOTS_MAX):
            if not self.boot(witness, world, operating):
                return self._require_rest()
        raise AssertionError("the device never comes to rest")

    def boot(self, witness: Witness, world: World, operating: Callable[[Operation], None] | None = None) -> bool:
        """Boot once and run; return whether it ended in a reset. A PowerCut that `operating` raises comes out."""

        def watch(operation: Operation) -> None:
            witness.watch(operation)
            if operating is not None:
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
        with suppress(StorageError):  # as boards do: a counter that can't be written keeps no device from booting
            counter.step()
        loader = Bootloader(storage, self.supply.verify)
        decision = loader.settle(counter.is_unwell())
        port = Port(self.supply.sign)
        self.boots.append(Boot(row=decision.row, slot=decision.slot, lines=port.lines))
        release = witness.judge_boot(self.flash, loader, decision)
        agent = Agent(port, loader, decision, counter, _health(witness, world, release))
        agent.link = Link(world, agent.walk, _OFFER_TOPIC)
        try:
            agent.run().send(None)
        except Reset:
            return True
        except Rest:
            return False
        raise AssertionError("the agent waits for something that is no message")

    def _require_rest(self) -> Any:
        def refuse(_: Operation) -> None:
            raise AssertionError("a boot that has nothing to do writes to flash")

        self.flash.operating = refuse
        try:
            loader = Bootloader(self.storage(), self.supply.verify)
            loader.decision = loader.settle(is_unwell=False)
        finally:
            self.flash.operating = nothing
        require(not loader.faults, "a settled device reports faults")
        return loader


def _health(witness: Witness, world: World, release: Release | None) -> Callable[[], Any]:
    """Return the application's health check; what passes it has run well."""

    async def check() -> bool:
        if release is None or not world.is_well(release.digest):
            return False
        witness.note_well(release.digest)
        return True

    return check


def remember(supply: Supply, names: tuple[str, ...], sequence: int, anchor: int) -> Memory:
    """Return what a witness knows at the start: what was confirmed, and R."""
    proven = frozenset(supply.releases[name].digest for name in names)
    return Memory(sequence, anchor, proven, (0, 0))

