"""What flash bears is counted, not timed: it holds on every machine."""

from dataclasses import replace

import pytest

from benchmarks import flash_wear
from benchmarks.scratch_swap import ScratchSwap
from benchmarks.wear import DATA_BYTES, IMAGE_BYTES, Life, unix_plan
from pawl.ports.unix import layout
from pawl_tools.sim_supply import make_series

_CELLS = 32  # of the clock


@pytest.fixture(scope="module")
def series():
    return make_series(12, IMAGE_BYTES, DATA_BYTES)


def _update_and_day(life):
    """Be on for a day between updates: so often may a slot be erased."""
    life.update()
    life.run(1440)


def test_the_map_is_the_unix_boards():
    """Every region lies on whole sectors of it, and the last one ends inside."""
    plan = unix_plan()
    assert plan.regions == layout.REGIONS
    assert all(
        start in plan.sectors and size % layout.ERASE_BYTES == 0 for start, size in plan.regions.values()
    )
    assert max(start + size for start, size in plan.regions.values()) <= plan.size


def test_an_update_erases_each_sector_of_one_slot_once(series):
    """Slots take turns; six marks are programmed without an erase between; nothing else is erased but journals."""
    wear = Life(series).measure(_update_and_day, warm=0, rounds=8)
    slots = {stem: wear.busiest[stem] for stem in ("image", "data", "page", "envelope")}
    assert slots == dict.fromkeys(slots, 0.5)
    assert (wear.records["page"], wear.records["ratchet"]) == (6, 1)
    assert not {"identity", "anchor", "quarantine", "log"} & set(wear.busiest)


def test_a_failed_update_wears_one_slot_and_goes_into_the_quarantine(series):
    """What runs stays where it is, so the other slot is erased each time."""
    wear = Life(series).measure(Life.fail, warm=0, rounds=3)
    assert (wear.busiest["image"], wear.busiest["page"], wear.in_place["image"]) == (1, 1, 1)
    assert wear.records["quarantine"] == 2 / 3  # the newest verdict is still on the slot's page


def test_a_day_of_uptime_keeps_the_time_and_nothing_else(series):
    """24 snapshots an hour apart or less, those of the boot's first minutes, and the last; 32 fill both sectors."""
    wear = Life(series).measure(lambda life: life.run(1440), warm=2, rounds=_CELLS)
    assert set(wear.records) == set(wear.busiest) == {"clock"}
    assert wear.busiest["clock"] == wear.records["clock"] / _CELLS < 1


def test_refusals_are_kept_at_a_bounded_rate(series):
    """However many there are, 32 entries a day."""

    def day(life):
        life.be_refused(50)
        life.run(1440)

    wear = Life(series).measure(day, warm=4, rounds=4)
    assert wear.records["log"] == 32


def test_boots_wear_their_journal_by_two_cells_each(series):
    """The boot and that it did well: 128 cells in two sectors."""
    wear = Life(series).measure(Life.boot, warm=64, rounds=128)
    assert (wear.records["boots"], wear.busiest["boots"]) == (2, 1 / 64)


def test_the_reference_erases_its_scratch_sector_for_each_sector_swapped():
    """Three sectors an image: the secondary slot is erased by the download and by the swap."""
    swap = ScratchSwap(3 * 4096)
    for number in range(4):
        swap.update(bytes([number]) * 10000)
    assert swap.busiest() == {"primary": 4, "secondary": 8, "scratch": 12}


def test_figures_name_region_way_of_life_and_reference(monkeypatch):
    """An update's erases first, then the years of each way to live; more erases are fewer years."""
    monkeypatch.setattr(flash_wear, "_DAILY", replace(flash_wear._DAILY, warm=0, rounds=2))
    monkeypatch.setattr(flash_wear, "_BOOTING", replace(flash_wear._BOOTING, warm=4, rounds=8))
    others = [replace(way, warm=0, rounds=2) for way in flash_wear._OTHERS]
    monkeypatch.setattr(flash_wear, "_OTHERS", tuple(others))
    figures = flash_wear.measure(None)
    by_name = {figure.name: figure for figure in figures}
    page = by_name["page: erases of its busiest sector in 1000 updates, one a day"]
    assert (page.value, page.reference_value) == (500, 6000)
    life = by_name["page: 10000 cycles last, with an update a day"]
    assert life.value == pytest.approx(10_000 / 0.5 / 365.25)
    assert life.ratio == pytest.approx(1 / page.ratio)
    boots = by_name["boots: erases of its busiest sector in 1000 boots"]
    assert (boots.value, boots.reference_value) == (1000 / 64, 2000)
    ways = {figure.name.partition("with ")[2] for figure in figures if figure.unit == "years"}
    assert len(ways) == 5
