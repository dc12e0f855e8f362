"""Erases per sector and update on the unix board's map of flash, and the life that follows on flash of 10 000 cycles.

Each record region is set beside one sector that is rewritten at each record: as many erases as our code programmed
records in the same run. Images are set beside the least there can be with two slots, and beside a swap over a scratch
sector. What an image's sector bears doesn't depend on the image's size, but what the scratch sector bears does.
"""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.figures import Figure
from benchmarks.scratch_swap import ScratchSwap
from benchmarks.wear import DATA_BYTES, DAY_MINUTES, IMAGE_BYTES, Life, Wear
from pawl_sim.supply import Supply
from pawl_tools.sim_supply import make_series
from pawl_tools.toolchain import Toolchain

_CYCLES = 10_000
_DAYS_PER_YEAR = 365.25
_NAIVE = "one sector, rewritten at each record"
_SLOTS = ("image", "data")
_RELEASES = 65
_SWAPS = 8
_BOOTS = 24
_FAILURES = 4  # as many slots as may be erased in a day
_REFUSALS = 40  # more than are written in a day


def _update_a_day(life: Life) -> None:
    life.update()
    life.run(DAY_MINUTES)


def _update_a_week(life: Life) -> None:
    life.update()
    life.run(7 * DAY_MINUTES)


def _boot_an_hour(life: Life) -> None:
    for _ in range(_BOOTS):
        life.boot()
        life.run(DAY_MINUTES // _BOOTS)


def _failures(life: Life) -> None:
    for _ in range(_FAILURES):
        life.fail()
        life.run(DAY_MINUTES // _FAILURES)


def _refusals(life: Life) -> None:
    life.boot()
    life.be_refused(_REFUSALS)
    life.run(DAY_MINUTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """A way to live: a round of it has `days` days; `warm` rounds pass before `rounds` are counted."""

    name: str
    round_: Callable[[Life], None]
    warm: int
    rounds: int
    days: int = 1


# The journals' cells go round a whole number of times in the counted rounds, or close to it.
_DAILY = _Way(name="an update a day", round_=_update_a_day, warm=32, rounds=32)
_BOOTING = _Way(name=f"{_BOOTS} boots a day", round_=_boot_an_hour, warm=4, rounds=16)
_OTHERS = (
    _Way(name="an update a week", round_=_update_a_week, warm=8, rounds=16, days=7),
    _Way(name=f"{_FAILURES} failed updates a day", round_=_failures, warm=4, rounds=8),
    _Way(name=f"{_REFUSALS} things refused a day", round_=_refusals, warm=4, rounds=16),
)


def measure(_: Toolchain) -> list[Figure]:
    """Return erases by region for an update and for a boot, then the years of each way to live."""
    series = make_series(_RELEASES, IMAGE_BYTES, DATA_BYTES)
    daily, boots = _live(series, _DAILY), _live(series, _BOOTING)
    figures = [*_against_slots(daily, series), *_against_records(daily), _per_boot(boots)]
    figures += [_years(_DAILY, daily, stem) for stem in _by_wear(daily)]
    figures += [_years(_BOOTING, boots, stem) for stem in _by_wear(boots)]
    for way in _OTHERS:
        wear = _live(series, way)
        figures += [_years(way, wear, stem) for stem in _by_wear(wear)[:2]]
    return figures


def _live(series: Supply, way: _Way) -> Wear:
    return Life(series).measure(way.round_, warm=way.warm, rounds=way.rounds)


def _by_wear(wear: Wear) -> list[str]:
    """Return what wears, the busiest first."""
    return sorted(wear.busiest, key=lambda stem: (-wear.busiest[stem], stem))


def _against_slots(wear: Wear, series: Supply) -> list[Figure]:
    swap = swapped(series)
    references = {
        "two slots, each sector erased once": 0.5,
        "swap over scratch, a slot's sector": swap["secondary"],
        "swap over scratch, the scratch sector": swap["scratch"],
    }
    return [
        Figure(
            name="image: erases of its busiest sector in 1000 updates, one a day",
            value=1000 * wear.busiest["image"],
            unit="erases",
            reference=words,
            reference_value=1000 * value,
        )
        for words, value in references.items()
    ]


def swapped(series: Supply) -> dict[str, float]:
    """Return the erases an update of the reference's busiest sectors, with images of the same series."""
    swap = ScratchSwap(IMAGE_BYTES)
    for number in range(1, _SWAPS + 1):
        (image, *_) = series.releases[str(number)].images(0).values()
        swap.update(image)
    return {name: count / _SWAPS for name, count in swap.busiest().items()}


def _against_records(wear: Wear) -> list[Figure]:
    return [
        Figure(
            name=f"{stem}: erases of its busiest sector in 1000 updates, one a day",
            value=1000 * wear.busiest[stem],
            unit="erases",
            reference=_NAIVE,
            reference_value=1000 * wear.records[stem],
        )
        for stem in _by_wear(wear)
        if stem not in _SLOTS
    ]


def _per_boot(wear: Wear) -> Figure:
    return Figure(
        name="boots: erases of its busiest sector in 1000 boots",
        value=1000 * wear.busiest["boots"] / _BOOTS,
        unit="erases",
        reference=_NAIVE,
        reference_value=1000 * wear.records["boots"] / _BOOTS,
    )


def _years(way: _Way, wear: Wear, stem: str) -> Figure:
    """Return the life of the busiest sector; images in two slots are set beside images in one."""
    is_slot = stem in _SLOTS
    naive = wear.in_place[stem] if is_slot else wear.records[stem]
    return Figure(
        name=f"{stem}: {_CYCLES} cycles last, with {way.name}",
        value=_life_years(way, wear.busiest[stem]),
        unit="years",
        reference="one slot, rewritten in place" if is_slot else _NAIVE,
        reference_value=_life_years(way, naive),
    )


def _life_years(way: _Way, erases_per_round: float) -> float:
    return _CYCLES / erases_per_round * way.days / _DAYS_PER_YEAR
