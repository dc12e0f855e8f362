"""Simulated lives of one device on the unix board's map of flash: the code that ships, on the NOR model, day after day.

Erases are counted by sector, programs by region; a life is first lived until every journal has gone round, then counted.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pawl import codes
from pawl.ports.unix import layout
from pawl_sim.flash import NorFlash, Operation
from pawl_sim.geometry import GEOMETRIES, Plan
from pawl_sim.rig import Rig, remember
from pawl_sim.supply import Supply
from pawl_sim.witness import Witness
from pawl_sim.world import World

IMAGE_BYTES = 24576
DATA_BYTES = 4096
DAY_MINUTES = 1440
_MINUTE_MS = 60_000


def unix_plan() -> Plan:
    """Return the unix board's regions on its sectors."""
    starts = range(0, layout.FLASH_BYTES, layout.ERASE_BYTES)
    return Plan(
        geometry=GEOMETRIES["unix"],
        regions=layout.REGIONS,
        sectors=dict.fromkeys(starts, layout.ERASE_BYTES),
        size=layout.FLASH_BYTES,
    )


def stem_of(region: str) -> str:
    """Return what the two regions of a pair have in common: image_a and image_b are the image."""
    return region.removesuffix("_a").removesuffix("_b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wear:
    """What one round of a life cost, by what a region holds.

    `busiest`: erases of the busiest sector; `in_place`: those of both regions of a pair together, as if there were one;
    `records`: programs.
    """

    busiest: dict[str, float]
    in_place: dict[str, float]
    records: dict[str, float]


class _Ticks:
    """A port whose time passes when it is told to."""

    def __init__(self) -> None:
        self.now_ms = 0

    def ticks_ms(self) -> int:
        """Return the time."""
        return self.now_ms

    def ticks_diff(self, one: int, other: int) -> int:
        """Subtract."""
        return one - other


class Life:
    """One device, made with release "1" of a series and settled; each method is something that happens to it."""

    def __init__(self, series: Supply) -> None:
        self.rig = Rig(series, unix_plan())
        self.rig.provision()
        self.rig.put("1", 0).mark_confirmed()
        self._number = 1
        self._boots = 0
        self._minutes = 0
        self._programs: Counter[str] = Counter()
        memory = remember(series, ("1",), 0, 0)
        self._witness = Witness(series, self.rig.plan, memory, may_recover=False)
        self._settle(wanted=None)

    @property
    def flash(self) -> NorFlash:
        """Return the flash it lives on."""
        return self.rig.flash

    def _settle(self, *, wanted: str | None, sick: tuple[str, ...] = ()) -> Any:
        world = World(supply=self.rig.supply, wanted=wanted, sick=sick)
        settled = self.rig.settle(self._witness, world, self._count)
        assert settled is not None, "known, though nobody said so"  # noqa: S101
        return settled[0]

    def _count(self, operation: Operation) -> None:
        if operation.data is not None:
            self._programs[self.rig.plan.region_at(operation.offset)] += 1

    def update(self) -> None:
        """Be updated to the next release: two boots, one that meets the offer and one that tries it."""
        self._number += 1
        name = str(self._number)
        loader = self._settle(wanted=name)
        assert loader.accepted.digest == self.rig.supply.releases[name].digest, "not updated"  # noqa: S101

    def fail(self) -> None:
        """Try the next release, whose application is never well: its trials, and back."""
        before = self.rig.supply.releases["1"].digest
        self._number += 1
        name = str(self._number)
        loader = self._settle(wanted=name, sick=(name,))
        assert loader.accepted.digest == before, "updated"  # noqa: S101
        assert loader.storage.quarantine().stored(  # noqa: S101
            self.rig.supply.releases[name].digest, loader.storage.slots
        ), "never tried"
        # The quarantine keeps the newest eight: older failures are known no more.
        self._witness.memory = self._witness.memory._replace(failed=frozenset())

    def boot(self) -> None:
        """Count a boot that does well."""
        self.flash.operating = self._count
        counter = self.rig.storage().boot_counter()
        counter.step()
        counter.note_well()

    def run(self, minutes: int) -> None:
        """Be on for so long after a boot, and keep the time as before a reset that is meant."""
        self.flash.operating = self._count
        ticks = _Ticks()
        clock = self.rig.storage().clock(ticks)
        for _ in range(minutes):
            ticks.now_ms += _MINUTE_MS
            clock.uptime_s()
        clock.save()
        self._minutes += minutes

    def be_refused(self, times: int) -> None:
        """Refuse so many different things, all within one hour."""
        self.flash.operating = self._count
        log = self.rig.storage().log()
        for number in range(times):
            log.refuse(1, self._minutes * 60, codes.REASON_UNAUTHORISED, number.to_bytes(4))

    def measure(self, round_: Callable[["Life"], None], *, warm: int, rounds: int) -> Wear:
        """Return what a round costs, once the journals went round in `warm` of them."""
        for _ in range(warm):
            round_(self)
        erases, programs = Counter(self.flash.erases), Counter(self._programs)
        for _ in range(rounds):
            round_(self)
        busiest = _busiest(self.rig.plan, self.flash.erases - erases)
        return Wear(
            busiest=_by_stem(busiest, max, rounds),
            in_place=_by_stem(busiest, sum, rounds),
            records=_by_stem(self._programs - programs, sum, rounds),
        )


def _busiest(plan: Plan, erases: Counter[int]) -> Counter[str]:
    """Return the erases of each region's busiest sector."""
    found: Counter[str] = Counter()
    for start, count in erases.items():
        region = plan.region_at(start)
        found[region] = max(found[region], count)
    return found


def _by_stem(counts: Counter[str], together: Callable[[Iterable[int]], int], rounds: int) -> dict[str, float]:
    """Return the counts of one round, those of a pair of regions taken together."""
    stems = {stem_of(region) for region in counts}
    return {
        stem: together(count for region, count in counts.items() if stem_of(region) == stem) / rounds
        for stem in stems
    }
