"""How much a boot hashes is counted; how long it takes is never asserted."""

from benchmarks import boot_time
from pawl_tools import toolchain


def test_boots_of_real_devices_tell_what_they_cost(monkeypatch):
    """Every row is there for one slot and for both, beside what the same process did bare."""
    monkeypatch.setattr(boot_time, "_SIZES_KB", (20,))
    monkeypatch.setattr(boot_time, "_BOOTS", 2)
    figures = boot_time.measure(toolchain.find())
    assert [figure.name for figure in figures] == [
        f"boot, 20 KB {slots}: {part}"
        for slots in ("in one slot", "in each slot")
        for part in ("hashed", "each 100 KB", "all the rest", "whole")
    ]
    assert all(figure.value > 0 and figure.reference_value > 0 for figure in figures)
    # Each slot's image is judged, and the one that boots is judged again.
    assert [figure.ratio for figure in figures if figure.unit == "KB"] == [2, 1.5]


def test_figures_are_per_100_kb_beside_the_bare_parts():
    """Two images of 50 KB, hashed twice; the bare hash goes over both image regions of 512 KB."""
    told = {
        "boot": 50_000.0,
        "hash": 2000.0,
        "hashed_bytes": 204800.0,
        "bare_checks": 40_000.0,
        "bare_hash": 10_240.0,
        "count": 4.0,
    }
    hashed, each, rest, whole = boot_time.figures_of(2, 50, told)
    assert (hashed.value, hashed.ratio) == (200, 2)
    assert (each.value, each.reference_value) == (2, 1)
    assert (rest.value, rest.reference, rest.reference_value) == (48, "its 4 signature checks, bare", 40)
    assert (whole.value, whole.reference_value) == (50, 41)
