"""Power cuts, slots that are gone, the counter's moment, flash that is full or bad: T34, T37, T38, T43.

The device's own code on a flash that keeps the rules of NOR, loses power inside an operation, and wears out.
"""

from dataclasses import replace

import pytest

from pawl import codes, ratchet
from pawl.bootloader import Bootloader
from pawl.records import write as write_record
from pawl_sim.defects import Defect
from pawl_sim.explorer import Explorer
from pawl_sim.geometry import GEOMETRIES, lay_out
from pawl_sim.rig import Rig
from pawl_sim.scenarios import SCENARIOS
from pawl_sim.witness import Witness
from pawl_sim.world import World
from pawl_tools.sim_supply import make

SLOT_B = ("page_b", "envelope_b", "image_b", "data_b")


@pytest.fixture(scope="module")
def supply():
    """Return releases and anchors for simulated devices."""
    return make()


class Life:
    """One simulated device, boot by boot; its witness judges each of them."""

    def __init__(self, supply, begins, plan=None):
        self.supply = supply
        self.rig = Rig(supply, plan or lay_out(GEOMETRIES["unix"]))
        _, memory = SCENARIOS[begins].start(self.rig)
        self.witness = Witness(supply, self.rig.plan, memory, may_recover=True)
        self.seen = []

    def boot(self, wanted, *, sick=(), watch=lambda _: None):
        """Boot once; return what ran: "A", "B" or "agent"."""
        world = World(supply=self.supply, wanted=wanted, sick=sick)
        self.rig.flash.erases.clear()
        self.is_reset = self.rig.boot(self.witness, world, watch)
        slot = self.rig.boots[-1].slot
        return "agent" if slot is None else "AB"[slot]

    def live(self, wanted, *, sick=()):
        """Boot until the device rests; return what ran, one letter or word a boot."""
        ran = [self.boot(wanted, sick=sick)]
        while self.is_reset:
            ran.append(self.boot(wanted, sick=sick))
            assert len(ran) < 16, ran
        return ran

    def read(self):
        """Return (R's digest, states of both slots)."""
        storage = self.rig.storage()
        recorded = storage.ratchet().reading.roles[codes.IMAGE_APP]
        return recorded.digest, tuple(slot.status().state for slot in storage.slots)

    def logged(self):
        """Return the codes of the log."""
        return {entry.code for entry in self.rig.storage().log().entries()}

    def erase(self, *names):
        """Erase whole regions past all rules."""
        for name in names:
            self.rig.storage().regions[name].erase()

    def content(self, suffix):
        """Return the bytes of a slot."""
        regions = self.rig.storage().regions
        return b"".join(
            bytes(regions[part + suffix].view(0, regions[part + suffix].size))
            for part in ("page_", "envelope_", "image_", "data_")
        )


def test_t34_a_power_cut_inside_every_operation(attack, supply):
    """Each operation of an update torn in each way, and a sample of second cuts in the recovery: old or new boots."""
    row = attack(
        "T34", "power cut at and inside every flash operation of an update, and again in the recovery"
    )
    explorer = Explorer(supply, SCENARIOS["update"], GEOMETRIES["unix"])
    tally = explorer.explore(depth=2, share=0.02)
    broken = [f"{one.seed}: {one.says}" for one in tally.failures]
    row.failed(broken, [], "old or new boots, R never falls, the update completes")
    assert tally.operations > 15
    assert tally.cuts[0] > 6 * tally.operations
    assert tally.cuts[1] > 20
    assert min(tally.tears.values()) > 0
    life = Life(supply, "update")
    life.live("next")
    row.kept(life.read()[0], supply.releases["next"].digest, "the new release is confirmed")


@pytest.mark.parametrize("how", ["rotten", "erased"])
def test_t37_the_slot_to_revert_to_is_gone(attack, supply, how):
    """The old slot is lost during a trial that fails: the agent alone updates, to another release."""
    row = attack("T37", f"revert target {how} when the trial fails")
    life = Life(supply, "revert")
    sick = ("next",)
    assert [life.boot("next", sick=sick) for _ in range(2)] == ["A", "B"]
    if how == "rotten":
        Defect("flip", "image_a", 100, 2).strike(life.rig.flash)
    else:
        life.erase("page_a", "envelope_a", "image_a")
    old = life.read()[0]
    assert life.live("next", sick=sick) == ["B", "B", "agent"]
    assert life.read()[0] == old
    assert life.rig.storage().slots[1].status().state == codes.SLOT_FAILED
    row.refused(life.rig.storage().slots[1].status().reason, codes.REASON_TRIALS, is_logged=False)
    assert codes.REASON_TRIALS in life.logged()
    ran = life.live("other")
    assert ran[0] == "agent"
    assert ran[-1] in ("A", "B")
    row.kept(life.read()[0], supply.releases["other"].digest, "the agent alone installs another release")


def test_t37_the_slot_to_revert_to_is_below_the_counter(attack, supply):
    """A confirmed slot of an epoch below R never boots, also where nothing else does: the agent repairs what R names."""
    row = attack("T37", "revert target of a lower epoch than R")
    life = Life(supply, "epoch")
    life.live("epoch")
    new = supply.releases["epoch"].digest
    assert life.read() == (new, (codes.SLOT_CONFIRMED, codes.SLOT_CONFIRMED))
    Defect("flip", "image_b", 100, 2).strike(life.rig.flash)
    faults = [one.fault for one in Bootloader(life.rig.storage(), supply.verify).candidates]
    row.refused(faults[0], codes.REASON_EPOCH_LOW, is_logged=False)
    row.refused(faults[1], codes.REASON_IMAGE_DIGEST, is_logged=False)
    assert life.live("epoch") == ["agent", "A"]
    row.kept(life.read()[0], new, "the agent alone repairs what R names")


def test_t37_the_old_slot_stays_until_the_new_one_is_confirmed(attack, supply):
    """Through download, trial and confirmation no operation touches the old slot, and it boots if the new one is lost then."""
    row = attack("T37", "revert target touched before the new release is confirmed")
    life = Life(supply, "update")
    before = life.content("a")
    regions = []
    while not regions or life.is_reset:
        life.boot("next", watch=lambda operation: regions.append(life.rig.plan.region_at(operation.offset)))
    assert "page_b" in regions
    row.failed([name for name in regions if name.endswith("_a")], [], "no operation on the old slot")
    row.kept(before, life.content("a"), "the old slot, byte for byte")
    assert life.boot(None) == "B"
    life.erase(*SLOT_B)
    assert life.boot(None) == "A"


def test_t38_the_counter_rises_in_the_confirmation_only(attack, supply):
    """R, read from flash before each operation of an update, is the old one until the slot is confirmed, and the new one after it."""
    row = attack("T38", "counter raised before the confirmation")
    life = Life(supply, "update")
    old, new = (supply.releases[name].digest for name in ("factory", "next"))
    seen = []
    while not seen or life.is_reset:
        life.boot("next", watch=lambda _: seen.append(life.read()))
    early = [states[1] for digest, states in seen if digest == new and states[1] != codes.SLOT_CONFIRMED]
    row.failed(early, [], "R is raised for a confirmed slot only")
    assert {digest for digest, states in seen if states[1] != codes.SLOT_CONFIRMED} == {old}
    assert {states[1] for digest, states in seen if digest == old} > {codes.SLOT_PENDING, codes.SLOT_TRIAL}
    row.kept(life.read()[0], new, "R names the new release")
    loader = Bootloader(life.rig.storage(), supply.verify)
    written = []
    life.rig.flash.operating = written.append
    loader.confirm(1)
    loader.confirm(1)
    assert not written, "confirming again writes nothing"


def test_t38_a_trial_that_fails_raises_nothing(attack, supply):
    """Before each operation of an update that fails R is the old release; the old slot boots in the end."""
    row = attack("T38", "counter raised by a release that fails its trials")
    life = Life(supply, "revert")
    seen, ran = [], []
    while not ran or life.is_reset:
        ran.append(life.boot("next", sick=("next",), watch=lambda _: seen.append(life.read()[0])))
    assert ran == ["A", "B", "B", "B", "A"]
    row.refused(life.rig.storage().slots[1].status().reason, codes.REASON_TRIALS, is_logged=False)
    row.kept({*seen, life.read()[0]}, {supply.releases["factory"].digest}, "R; the old slot boots")


def refused_early(row, life, wanted, reason):
    """Assert that an offer is refused for this reason before anything of the other slot is erased or written."""
    before = life.content("b"), life.read()
    regions = []
    ran = life.boot(wanted, watch=lambda operation: regions.append(life.rig.plan.region_at(operation.offset)))
    assert (ran, life.is_reset) == ("A", False)
    lines = life.rig.boots[-1].lines
    assert f"refused {reason}" in lines
    assert "state FAILURE" in lines, "it is reported"
    row.refused(next(code for code in life.logged() if code == reason), reason, is_logged=False)
    assert not set(regions) & {*SLOT_B, "clock", "quarantine"}, "no slot erase, none counted"
    row.kept(before, (life.content("b"), life.read()))


def test_t43_the_image_is_larger_than_the_slot(attack, supply):
    """Sizes are asked before the first erase."""
    row = attack("T43", "image larger than the slot")
    plan = lay_out(GEOMETRIES["unix"])
    start, _ = plan.regions["image_b"]
    small = replace(plan, regions=plan.regions | {"image_b": (start, 4096)})
    refused_early(row, Life(supply, "update", small), "next", codes.REASON_SLOT_TOO_SMALL)


def test_t43_the_ratchet_has_no_room(attack, supply):
    """What R says stands in two cells, and no cell is free: neither half may be erased, so nothing is installed."""
    row = attack("T43", "ratchet without room")
    life = Life(supply, "update")
    region = life.rig.storage().regions["ratchet"]
    reading = life.rig.storage().ratchet().reading
    parts = (ratchet.Reading(reading.roles, None), ratchet.Reading({}, reading.anchor))
    region.erase()
    for half, part in enumerate(parts):
        for offset in range(half * region.size // 2, (half + 1) * region.size // 2, 512):
            write_record(region, offset, b"PWRT", ratchet._encode(part))
    assert life.rig.storage().ratchet().reading == reading
    refused_early(row, life, "next", codes.REASON_RATCHET_ROOM)


@pytest.mark.parametrize("kind", ["dead", "stuck0", "worn"])
def test_t43_a_bad_block(attack, supply, kind):
    """A unit that keeps nothing, a bit that is stuck, a sector that doesn't erase: told by name, and what runs goes on."""
    row = attack("T43", f"bad block in the other slot: {kind}")
    life = Life(supply, "quarantine")  # slot B holds a release that failed
    if kind == "worn":
        defect = Defect(kind, "image_b", 0)
    else:
        image = supply.releases["other"].images(1)[codes.COMPONENT_APP]
        bit = next(bit for bit in range(8) if image[100] >> bit & 1)
        defect = Defect(kind, "image_b", 100, bit if kind == "stuck0" else None)
    before = life.content("a"), life.read()[0]
    logged = life.logged()
    defect.strike(life.rig.flash)
    assert life.boot("other") == "A"
    assert not life.is_reset
    assert f"refused {codes.REASON_FLASH_READ_BACK}" in life.rig.boots[-1].lines
    assert "state FAILURE" in life.rig.boots[-1].lines, "it is reported"
    told = next(iter(life.logged() - logged))
    row.refused(told, codes.REASON_FLASH_READ_BACK, is_logged=False)
    assert life.boot(None) == "A"
    row.kept(before, (life.content("a"), life.read()[0]), "what runs goes on; R kept")
