"""One thing of the flash is broken, and the device lives on it: it runs what is signed, comes to rest, and says why.

PAWL_FAULTS=1 pytest tests/bootloader_sim/test_faults.py      # every sector, each kind of place, one cut each, on all parts
"""

import gc
import os
import sys

import pytest

from pawl import codes
from pawl.errors import StorageError
from pawl_sim import defects
from pawl_sim.defects import every_sector, in_every_region
from pawl_sim.faults import MAY_END_ALONE, FaultPass
from pawl_sim.geometry import GEOMETRIES, lay_out
from pawl_sim.replay import replay
from pawl_sim.scenarios import SCENARIOS
from pawl_sim.seeds import parse
from pawl_tools.sim_supply import make

IS_WHOLE = "PAWL_FAULTS" in os.environ
_NAMES = (
    "update",
    "revert",
    "confirm",
    "counter-compaction",
    "ratchet-compaction",
    "quarantine",
    "recovery-release",
    "root-rotation",
    "resume",
    "repair",
)
_SLICE = (
    ("update", "unix"),
    ("counter-compaction", "ecc-16"),
    ("revert", "zero"),
    ("recovery-release", "mixed"),
    ("root-rotation", "spi"),
)
CASES = [(name, geometry) for name in _NAMES for geometry in GEOMETRIES] if IS_WHOLE else _SLICE
_SLICE_DEFECTS = 40

# What broke a rule before: seeds with what was wrong.
FOUND = {
    "revert:unix:dead-page_b-302": "`failed` was not kept by its first unit and not tried in the second: installed for ever",
    "revert:unix:stuck1-page_b-301-0": "as above",
    "quarantine:unix:stuck0-page_a-28-5": "the recovery agent chose the slot whose page doesn't erase for ever",
    "quarantine:unix:stuck1-page_a-56-4": "as above",
    "confirm:unix:dead-page_b-237": "one unit of `confirmed` can't be written: the ratchet never got the release",
}


@pytest.fixture(scope="module")
def supply():
    """Return releases and anchors; what exists by now is kept out of garbage collection."""
    made = make()
    gc.collect()
    gc.freeze()
    yield made
    gc.unfreeze()


def chosen(name, geometry):
    """Return the defects to live with: all of them in the whole run, else some, drawn by their seeds."""
    plan = lay_out(GEOMETRIES[geometry])
    every = [*every_sector(plan), *in_every_region(plan, f"{name}:{geometry}", 1)]
    if IS_WHOLE:
        return every
    return sorted(every, key=lambda one: parse(f"{name}:{geometry}:{one}").number())[:_SLICE_DEFECTS]


@pytest.mark.parametrize(("name", "geometry"), CASES)
def test_one_thing_is_broken(supply, name, geometry):
    """A sector, a unit or a bit, alone and with one power cut: no rule breaks, and no defect goes unlived."""
    toll = FaultPass(supply, SCENARIOS[name], GEOMETRIES[geometry]).run(chosen(name, geometry), cuts=1)
    if IS_WHOLE:
        told = f"{toll.defects} defects, {toll.cuts} with a cut, {toll.boots} boots, {dict(toll.ends)}"
        sys.stderr.write(f"{name}:{geometry}: {told}\n")
    assert not [f"{one.seed}: {one.says}" for one in toll.failures]
    assert toll.cuts == toll.defects >= _SLICE_DEFECTS
    assert sum(toll.ends.values()) == toll.defects + toll.cuts
    assert {seed.scenario for seed in toll.alone} <= set(MAY_END_ALONE)


@pytest.mark.parametrize("text", FOUND)
def test_what_was_found(supply, text):
    """Each seed that broke a rule once."""
    lived = [(str(stretch.seed), stretch.fault) for stretch in replay(supply, parse(text))]
    assert lived == [(text, None)]


def test_one_unit_of_confirmed_is_dead(supply):
    """The spare units count: the release is confirmed for good, the ratchet names it, and nothing is tried again."""
    lived = FaultPass(supply, SCENARIOS["confirm"], GEOMETRIES["unix"])
    toll = lived.run([defects.parse("dead-page_b-237")])
    assert toll.ends == {("dead", "new"): 1}
    assert not toll.restless
    recorded = lived.rig.storage().ratchet().reading.roles[codes.IMAGE_APP]
    assert recorded.digest == supply.releases["next"].digest
    assert lived.rig.storage().slots[1].status().is_settled


@pytest.mark.parametrize("kind", defects.ROT_KINDS)
def test_one_identity_serves_and_none_is_named(supply, kind):
    """A copy that rotted is passed over; without both the device says that it isn't provisioned."""
    lived = FaultPass(supply, SCENARIOS["update"], GEOMETRIES["unix"])
    flash = lived.rig.flash
    flash.load(lived.begin)
    bit = next(bit for bit in range(8) if bool(flash.store[60] >> bit & 1) is not (kind == "stuck1"))
    defects.Defect(kind, "identity_a", 60, bit).strike(flash)
    assert lived.rig.storage().identity().device == "sim-1"
    start = lived.rig.plan.regions["identity_b"][0]
    bit = next(bit for bit in range(8) if bool(flash.store[start + 60] >> bit & 1) is not (kind == "stuck1"))
    defects.Defect(kind, "identity_b", 60, bit).strike(flash)
    with pytest.raises(
        StorageError, match="not provisioned, or both identity records are damaged"
    ) as refused:
        lived.rig.storage().identity()
    assert refused.value.code == codes.REASON_RECORD_LOST


def test_a_rule_that_breaks_is_seen(supply):
    """A flash that writes into what runs, and a ratchet that forgets: the pass says so."""
    lived = FaultPass(supply, SCENARIOS["update"], GEOMETRIES["unix"])
    lived.memory = lived.memory._replace(sequence=99)
    (failure,) = lived.run([defects.parse("flip-log-100-1")]).failures
    assert "the ratchet's reading fell" in failure.says
    assert str(failure.seed) == "update:unix:flip-log-100-1"


@pytest.mark.parametrize(
    "text",
    [
        "update:unix:worn-page_b-0",
        "update:ecc-16:half-image_a-1:9-half",
        "update:unix:stuck0-ratchet-517-3",
        "revert:zero:flip-image_a-100-2:1-bits:2-all",
        "revert:zero:dead-page_b-96",
        "update:unix:9-half",
    ],
)
def test_a_seed_is_its_text(text):
    """Written and read, a seed is the same; and its number is the text's alone."""
    seed = parse(text)
    assert str(seed) == text
    assert parse(str(seed)).number() == seed.number()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("flip-image_a-100", "no defect"),
        ("worn-page_b-0-1", "no defect"),
        ("melted-page_b-0", "kinds: worn, half, dead"),
        ("worn-page_c-0", "no region 'page_c'"),
    ],
)
def test_a_text_that_is_no_defect_is_refused(text, says):
    """By name, and with what could be there."""
    with pytest.raises(ValueError, match=says):
        parse(f"update:unix:{text}")


def test_a_place_outside_of_its_region_is_refused(supply):
    """A sector or a byte that the region doesn't have."""
    flash = FaultPass(supply, SCENARIOS["update"], GEOMETRIES["unix"]).rig.flash
    for text in ("worn-page_b-1", "dead-page_b-4096", "flip-page_b-4096-0"):
        with pytest.raises(IndexError):
            defects.parse(text).strike(flash)
