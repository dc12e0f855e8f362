"""The simulated flash keeps the rules of the parts it stands for: what code may do, what a cut may leave, what may break."""

import random

import pytest

from pawl_sim import tears
from pawl_sim.flash import Flicker, NorFlash, Operation, State
from pawl_sim.geometry import GEOMETRIES, HALVES, lay_out

EVERY = pytest.mark.parametrize("name", GEOMETRIES)


def flash_of(name):
    """Return a flash, its unit, and its erased value."""
    flash = NorFlash(lay_out(GEOMETRIES[name]))
    return flash, flash.program_bytes, flash.erased


def whole(flash, offset, size, value):
    """Return whether a span reads as one value."""
    return flash.view(offset, size) == bytes([value]) * size


def filled(flash, offset):
    """Program a sector with bytes that are drawn, and return them."""
    size = flash.plan.sectors[offset]
    content = random.Random(offset).randbytes(size)
    flash.program(offset, content)
    return content


@EVERY
def test_what_is_programmed_is_read(name):
    """Program, read, erase, read: in this part's units and its erased value."""
    flash, unit, erased = flash_of(name)
    assert whole(flash, 0, flash.plan.size, erased)
    flash.program(unit, bytes(range(1, unit + 1)))
    assert flash.view(unit, unit) == bytes(range(1, unit + 1))
    assert whole(flash, 0, unit, erased)
    assert whole(flash, 2 * unit, unit, erased)
    flash.erase(0)
    assert whole(flash, 0, flash.plan.sectors[0], erased)


@EVERY
def test_misuse_is_our_mistake(name):
    """A bit that goes back, bytes that aren't whole units, no bytes, an erase inside a sector, a look outside."""
    flash, unit, erased = flash_of(name)
    flash.program(0, bytes([0x5A]) * unit)
    with pytest.raises(AssertionError, match=r"rise|twice"):
        flash.program(0, bytes([0xA5]) * unit)
    with pytest.raises(AssertionError, match="not whole units"):
        flash.program(unit, b"")
    if unit > 1:
        with pytest.raises(AssertionError, match="not whole units"):
            flash.program(unit + 1, bytes(unit))
        with pytest.raises(AssertionError, match="not whole units"):
            flash.program(unit, bytes(unit + 1))
    with pytest.raises(AssertionError, match="not a sector"):
        flash.erase(unit)
    with pytest.raises(AssertionError, match="outside"):
        flash.view(flash.plan.size - 1, 2)
    assert flash.view(0, unit) == bytes([0x5A]) * unit
    assert whole(flash, unit, unit, erased)


@EVERY
def test_only_parts_with_ecc_program_a_unit_once(name):
    """Bits that only leave the erased value may follow in a second program, except where a unit takes one."""
    flash, unit, erased = flash_of(name)
    first, second = (0xF0, 0xC0) if erased else (0x0F, 0x3F)
    flash.program(0, bytes([first]) * unit)
    if GEOMETRIES[name].is_program_once:
        with pytest.raises(AssertionError, match="programmed twice"):
            flash.program(0, bytes([second]) * unit)
        flash.erase(0)
    flash.program(0, bytes([second]) * unit)
    assert whole(flash, 0, unit, second)


def test_a_unit_of_erased_bytes_counts_as_programmed():
    """ECC is written also where every bit stays as it is."""
    flash, unit, erased = flash_of("ecc-8")
    flash.program(0, bytes([erased]) * unit)
    with pytest.raises(AssertionError, match="programmed twice"):
        flash.program(0, bytes(unit))


@EVERY
def test_sectors_tile_the_flash(name):
    """Each byte has one sector; regions are disjoint, whole sectors; halves meet between two of them."""
    plan = lay_out(GEOMETRIES[name])
    flash = NorFlash(plan)
    at = 0
    for start, size in plan.sectors.items():
        assert start == at
        assert flash.sector(start) == flash.sector(start + size - 1) == (start, size)
        at += size
    assert at == plan.size
    at = 0
    for region, (start, size) in plan.regions.items():
        assert start == at, region
        assert start in plan.sectors
        assert plan.region_at(start) == plan.region_at(start + size - 1) == region
        assert region not in HALVES or start + size // 2 in plan.sectors
        at += size
    assert at == plan.size
    assert plan.size % plan.geometry.unit_bytes == 0


def test_mixed_sectors_erase_alone():
    """A small sector and a large one: neither touches its neighbour."""
    flash, _, erased = flash_of("mixed")
    sizes = flash.plan.sectors
    assert set(sizes.values()) == {1024, 16384}
    last_small = max(at for at in sizes if sizes[at] == 1024)
    first_large = last_small + 1024
    small, large = filled(flash, last_small), filled(flash, first_large)
    flash.erase(last_small)
    assert whole(flash, last_small, 1024, erased)
    assert flash.view(first_large, 16384) == large
    flash.erase(first_large)
    assert whole(flash, first_large, 16384, erased)
    assert small != large[:1024]


def test_erases_are_counted_by_sector():
    """Endurance is a sector's; programming isn't counted, a refused erase neither."""
    flash, unit, _ = flash_of("halfword")
    flash.program(0, bytes(unit))
    flash.erase(0)
    flash.erase(0)
    flash.erase(1024)
    with pytest.raises(AssertionError):
        flash.erase(1)
    assert flash.erases == {0: 2, 1024: 1}


@EVERY
def test_a_torn_program_leaves_old_or_new_bits(name):
    """Whatever its tear, each bit of a program is old or new, none beside it moves, and the same seed gives the same bytes."""
    flash, unit, erased = flash_of(name)
    data = random.Random(7).randbytes(max(64, 2 * unit))
    operation = Operation(unit, data)
    before = flash.save()
    after = before.store[:unit] + data + before.store[unit + len(data) :]
    assert set(tears.names(operation)) == {
        "nothing",
        "byte",
        "bytes",
        "half",
        "end",
        "bits",
        "halfbits",
        "all",
    }
    for tear in tears.names(operation):
        torn = tears.tear(flash.plan, before, operation, tear, 5)
        require_between(before.store, after, torn.store)
        assert torn == tears.tear(flash.plan, before, operation, tear, 5)
        if tear in ("bits", "halfbits", "end"):
            assert torn != tears.tear(flash.plan, before, operation, tear, 6)
        assert all(torn.used[:1]) == all(before.used[:1])
        changed = {at // unit for at in range(len(after)) if torn.store[at] != before.store[at]}
        assert all(torn.used[number] for number in changed)
    assert tears.tear(flash.plan, before, operation, "nothing", 5) == before
    assert tears.tear(flash.plan, before, operation, "all", 5).store == after
    assert erased in before.store


@EVERY
def test_a_torn_erase_leaves_old_or_new_bits(name):
    """As a torn program; a unit that reads as something may not be programmed again."""
    flash, unit, erased = flash_of(name)
    size = flash.plan.sectors[0]
    filled(flash, 0)
    before = flash.save()
    after = bytes([erased]) * size + before.store[size:]
    operation = Operation(0, None)
    assert set(tears.names(operation)) == {"nothing", "half", "tail", "bits", "halfbits", "all", "flicker"}
    for tear in tears.names(operation):
        torn = tears.tear(flash.plan, before, operation, tear, 5)
        require_between(before.store, after, torn.store)
        assert torn == tears.tear(flash.plan, before, operation, tear, 5)
        if tear != "flicker":
            for number in range(size // unit):
                is_erased = torn.store[number * unit : number * unit + unit] == bytes([erased]) * unit
                assert torn.used[number] != is_erased or tear == "nothing"
    assert tears.tear(flash.plan, before, operation, "nothing", 5) == before
    assert tears.tear(flash.plan, before, operation, "all", 5).store == after
    with pytest.raises(ValueError, match="no tear of this operation"):
        tears.tear(flash.plan, before, operation, "byte", 5)


def require_between(before, after, found):
    """Assert that each bit is one of the two."""
    old, new, seen = (int.from_bytes(part) for part in (before, after, found))
    assert len(found) == len(before)
    assert not (old ^ seen) & (new ^ seen)


@EVERY
def test_what_flickers_reads_differently_until_it_is_rewritten(name):
    """A span between two values: reads differ, each bit is old or new, the state keeps it; an erase ends it."""
    flash, _, erased = flash_of(name)
    size = flash.plan.sectors[0]
    content = filled(flash, 0)
    torn = tears.tear(flash.plan, flash.save(), Operation(0, None), "flicker", 3)
    flash.load(torn)
    reads = [bytes(flash.view(0, size)) for _ in range(12)]
    assert len(set(reads)) > 2
    for read in reads:
        require_between(content, bytes([erased]) * size, read)
    assert flash.view(size, 8) == flash.view(size, 8)
    kept = flash.save()
    assert kept.flickers and kept.flickers[0].seed != torn.flickers[0].seed
    assert kept.store[:size] == content
    flash.load(torn)
    assert [bytes(flash.view(0, size)) for _ in range(12)] == reads
    flash.erase(0)
    assert not flash.save().flickers
    assert {bytes(flash.view(0, size)) for _ in range(5)} == {bytes([erased]) * size}


def test_what_is_rewritten_in_part_flickers_beside_it():
    """A program inside of the span leaves what is before and behind it."""
    flash, unit, erased = flash_of("word")
    before = bytes([erased]) * 64
    flash.load(State(bytes(flash.store), bytes(flash.used), (Flicker(0, before, bytes(64), 1),)))
    flash.program(16, bytes(unit))
    assert [(one.offset, len(one.before)) for one in flash.save().flickers] == [(0, 16), (20, 44)]
    assert {bytes(flash.view(16, unit)) for _ in range(8)} == {bytes(unit)}


@EVERY
def test_a_worn_sector_keeps_its_content(name):
    """Sector 0 erases nothing, the next one its first half, the third whole; each counts as erased."""
    flash, _, erased = flash_of(name)
    starts = sorted(flash.plan.sectors)[:3]
    contents = [filled(flash, at) for at in starts]
    flash.worn.add(starts[0])
    flash.half_worn.add(starts[1])
    for at in starts:
        flash.erase(at)
    half = flash.plan.sectors[starts[1]] // 2
    assert flash.view(starts[0], flash.plan.sectors[starts[0]]) == contents[0]
    assert whole(flash, starts[1], half, erased)
    assert flash.view(starts[1] + half, half) == contents[1][half:]
    assert whole(flash, starts[2], flash.plan.sectors[starts[2]], erased)
    assert all(flash.erases[at] == 1 for at in starts)
    flash.mend()
    flash.erase(starts[0])
    assert whole(flash, starts[0], flash.plan.sectors[starts[0]], erased)


@EVERY
def test_what_is_stuck_stays_through_programs_erases_and_power(name):
    """A bit that never leaves 0, one that never leaves 1, a unit that keeps nothing."""
    flash, unit, erased = flash_of(name)
    flash.stuck[0] = 0b1000
    flash.held[unit] = 0b0001
    flash.dead.add(2)
    flash.program(2 * unit, bytes([erased ^ 0x55]) * 2 * unit)
    for step in (
        lambda: flash.erase(0),
        lambda: flash.load(flash.save()),
        lambda: flash.program(3 * unit, bytes([erased ^ 0x55]) * unit),
    ):
        step()
        assert flash.view(0, 1)[0] == erased & ~0b1000
        assert flash.view(unit, 1)[0] == erased | 0b0001
        assert whole(flash, 2 * unit, unit, erased)
    assert whole(flash, 3 * unit, unit, erased ^ 0x55)
