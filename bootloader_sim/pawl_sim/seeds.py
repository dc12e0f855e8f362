"""A trace as a short text: which scenario on which flash, and where the power went.

    update:ecc-16:9-half:3-bits

is an update on the flash `ecc-16`, cut inside its tenth operation, half of which happened, and again inside the fourth
operation after that, which left some of its bits. The same text gives the same flash, bit by bit.

    update:unix:worn-page_b-0:9-half

is one on a flash with a defect (`defects`) from the start, and a cut.
"""

import re
from dataclasses import dataclass
from hashlib import blake2b

from pawl_sim import defects
from pawl_sim.geometry import GEOMETRIES
from pawl_sim.scenarios import SCENARIOS

_CUT = re.compile(r"(\d{1,6})-([a-z]+)")


@dataclass(frozen=True, slots=True, order=True)
class Cut:
    """The power goes inside this operation since it came last, counted from 0."""

    operation: int
    tear: str

    def __str__(self) -> str:
        return f"{self.operation}-{self.tear}"


@dataclass(frozen=True, slots=True)
class Seed:
    """A scenario, a geometry, cuts in their order, and a defect of the flash or None."""

    scenario: str
    geometry: str
    cuts: tuple[Cut, ...] = ()
    defect: defects.Defect | None = None

    def __str__(self) -> str:
        broken = () if self.defect is None else (self.defect,)
        return ":".join([self.scenario, self.geometry, *map(str, (*broken, *self.cuts))])

    def then(self, cut: Cut) -> "Seed":
        """Return this trace with one cut more."""
        return Seed(self.scenario, self.geometry, (*self.cuts, cut), self.defect)

    def number(self) -> int:
        """Return the number that the last tear takes its random bits from."""
        return int.from_bytes(blake2b(str(self).encode(), digest_size=6).digest())


def parse(text: str) -> Seed:
    """Return the Seed of a text; ValueError says what is wrong with it, and what could be there."""
    scenario, _, rest = text.partition(":")
    geometry, *cuts = rest.split(":")
    if scenario not in SCENARIOS:
        raise ValueError(f"no scenario {scenario!r}: one of {', '.join(SCENARIOS)}")
    if geometry not in GEOMETRIES:
        raise ValueError(f"no flash {geometry!r}: one of {', '.join(GEOMETRIES)}")
    is_broken = bool(cuts) and cuts[0][:1].isalpha()  # a cut begins with its number
    defect = defects.parse(cuts[0]) if is_broken else None
    return Seed(scenario, geometry, tuple(_cut(part) for part in cuts[is_broken:]), defect)


def _cut(text: str) -> Cut:
    found = _CUT.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no cut: write OPERATION-TEAR, such as 9-half")
    return Cut(int(found[1]), found[2])
