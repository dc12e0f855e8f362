"""The moments of a device's life that are explored, as one table: how each begins, what the world wants, how it must end."""

from collections.abc import Callable
from dataclasses import dataclass

from pawl import codes, records
from pawl.journal import Journal
from pawl_sim.flash import State
from pawl_sim.rig import Rig, remember
from pawl_sim.witness import Memory, Witness
from pawl_sim.world import World

Step = Callable[[Rig], None]


def _provisioned(rig: Rig) -> None:
    rig.provision()


def _made(rig: Rig) -> None:
    """As `pawl provision` leaves it: the factory release in slot A, confirmed."""
    rig.provision()
    rig.put("factory", 0).mark_confirmed()


def _live(rig: Rig, wanted: str | None, *, sick: tuple[str, ...] = (), anchors: int = 1) -> None:
    everything = Memory(0, 0, frozenset(rig.supply.by_digest), (0, 0))
    witness = Witness(rig.supply, rig.plan, everything, may_recover=True)
    rig.settle(witness, World(supply=rig.supply, wanted=wanted, sick=sick, anchors=anchors))


def _settled(rig: Rig) -> None:
    _made(rig)
    _live(rig, None)


def _updated(rig: Rig) -> None:
    _settled(rig)
    _live(rig, "next")


def _walked(rig: Rig) -> None:
    _settled(rig)
    _live(rig, None, anchors=3)


def _reverted(rig: Rig) -> None:
    _settled(rig)
    _live(rig, "next", sick=("next",))


def _pending(rig: Rig) -> None:
    _settled(rig)
    rig.put("next", 1).mark_pending()


def _full(name: str, magic: bytes, cell_bytes: int) -> Step:
    """Fill a journal, so that the next append compacts: what is newest is in the first half only, what is oldest in both."""

    def fill(rig: Rig) -> None:
        journal = Journal(rig.storage().regions[name], magic, cell_bytes)
        bodies = list(journal.bodies())
        half = journal.region.size // 2
        for offset in range(0, 2 * half, cell_bytes):
            if journal.region.is_erased(offset, cell_bytes):
                records.write(journal.region, offset, magic, bodies[-1] if offset < half else bodies[0])

    return fill


def _full_log(rig: Rig) -> None:
    log = rig.storage().log()
    for number in range(2 * log.used_bytes // 64 - 1):
        log.keep(1, number, codes.REASON_LINK_LOST)


def _flip(region: str, *places: int) -> Step:
    """Rot: one bit at each of these places of a region."""

    def flip(rig: Rig) -> None:
        start = rig.plan.regions[region][0]
        for at in places:
            rig.flash.flip(start + at, 4)

    return flip


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`begins`: steps to its start; `proven`: releases that ran well before; the last of them is R, but for `first-install`.

    `ends_on`: what runs at the end, confirmed and named by R; a cut may also leave it on `or_else`; `reason`: what the log
    must say; `well_at`: the trial from which the application is well.
    """

    name: str
    says: str
    begins: tuple[Step, ...]
    proven: tuple[str, ...] = ("factory",)
    wanted: str | None = "next"
    ends_on: str = "next"
    anchors: int = 1
    sick: tuple[str, ...] = ()
    lost_fetch: int | None = None
    may_recover: bool = False
    may_be_blind: bool = False
    or_else: str | None = None
    well_at: int = 1
    reason: int | None = None

    def world(self, rig: Rig) -> World:
        """Return the world of this scenario."""
        return World(
            supply=rig.supply,
            wanted=self.wanted,
            anchors=self.anchors,
            sick=self.sick,
            lost_fetch=self.lost_fetch,
            well_at=self.well_at,
        )

    def start(self, rig: Rig) -> tuple[State, Memory]:
        """Bring a rig to the start; return its flash, and what a witness knows."""
        for step in self.begins:
            step(rig)
        sequence = rig.supply.releases[self.proven[-1]].sequence if self.proven else 0
        return rig.flash.save(), remember(rig.supply, self.proven, sequence, anchor=1)


_BOTH = ("factory", "next")
_RATCHET = _full("ratchet", b"PWRT", 512)
_BOOTS = _full("boots", b"PWCT", 64)
_CLOCK = _full("clock", b"PWCK", 256)

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            name="first-boot",
            says="the first boot after provisioning finishes the confirmation",
            begins=(_made,),
            wanted=None,
            ends_on="factory",
        ),
        Scenario(
            name="first-install",
            says="no slot holds anything: the recovery agent installs the first release",
            begins=(_provisioned,),
            proven=(),
            wanted="factory",
            ends_on="factory",
            may_recover=True,
        ),
        Scenario(name="update", says="download, install, trial, confirmation", begins=(_settled,)),
        Scenario(
            name="two-components",
            says="an update of application and data",
            begins=(_settled,),
            wanted="parts",
            ends_on="parts",
        ),
        Scenario(
            name="revert",
            says="an application that is never well uses up its trials",
            begins=(_settled,),
            ends_on="factory",
            sick=("next",),
            reason=codes.REASON_TRIALS,
        ),
        Scenario(name="confirm", says="from pending to confirmed", begins=(_pending,)),
        Scenario(
            name="rotten-pending",
            says="what waits for its first trial is rotten: it is failed untried, and what ran runs on",
            begins=(_pending, _flip("image_b", 100)),
            ends_on="factory",
            reason=codes.REASON_IMAGE_DIGEST,
        ),
        Scenario(
            name="ratchet-compaction",
            says="an update where no cell of the ratchet is free",
            begins=(_settled, _RATCHET),
        ),
        Scenario(
            name="anchor-compaction",
            says="an update after a walk, where no cell of the ratchet is free and one half names the old anchor",
            begins=(_walked, _RATCHET),
            anchors=3,
        ),
        Scenario(
            name="counter-compaction",
            says="an update where boot count and clock have no free cell",
            begins=(_updated, _BOOTS, _CLOCK),
            proven=_BOTH,
            wanted="other",
            ends_on="other",
        ),
        Scenario(
            name="epoch",
            says="an update that raises the epoch",
            begins=(_settled,),
            wanted="epoch",
            ends_on="epoch",
        ),
        Scenario(
            name="root-rotation",
            says="the walk over two anchors with other roots, then an update",
            begins=(_settled,),
            anchors=3,
        ),
        Scenario(
            name="quarantine",
            says="the slot of a release that failed is given to another one",
            begins=(_reverted,),
            wanted="other",
            ends_on="other",
        ),
        Scenario(
            name="log-rotation",
            says="a revert, told in a log without a free cell",
            begins=(_settled, _full_log),
            ends_on="factory",
            sick=("next",),
            reason=codes.REASON_TRIALS,
        ),
        Scenario(
            name="resume",
            says="the link is lost in each first download of a boot",
            begins=(_settled,),
            lost_fetch=3,
        ),
        Scenario(
            name="repair",
            says="what runs is rotten at rest: the other slot boots, and the release is installed again",
            begins=(_updated, _flip("image_b", 100)),
            proven=_BOTH,
        ),
        Scenario(
            name="rotten-page",
            says="the status page of what runs is rotten",
            begins=(_updated, _flip("page_b", 3)),
            proven=_BOTH,
        ),
        Scenario(
            name="rotten-marks",
            says="all written units of `confirmed` are rotten",
            begins=(_updated, _flip("page_b", 7 * 32 + 3, 8 * 32 + 3)),
            proven=_BOTH,
        ),
        Scenario(
            name="rotten-envelope",
            says="the envelope of what runs is rotten",
            begins=(_updated, _flip("envelope_b", 90)),
            proven=_BOTH,
        ),
        Scenario(
            name="only-slot-rotten",
            says="the one slot there is is rotten: the recovery agent updates",
            begins=(_settled, _flip("image_a", 100)),
            may_recover=True,
        ),
        Scenario(
            name="both-slots-bad",
            says="both slots are rotten: the recovery agent repairs what the ratchet names",
            begins=(_updated, _flip("image_a", 50), _flip("image_b", 60)),
            proven=_BOTH,
            may_recover=True,
        ),
        Scenario(
            name="recovery-release",
            says="a recovery release replaces what runs, and bars it from the other slot",
            begins=(_updated,),
            proven=_BOTH,
            wanted="recovery",
            ends_on="recovery",
        ),
        Scenario(
            name="last-trial",
            says="a recovery release that is well at its last trial; cut there, what it was to replace runs on",
            begins=(_updated,),
            proven=_BOTH,
            wanted="recovery",
            ends_on="recovery",
            or_else="next",
            well_at=3,
        ),
        Scenario(
            name="rotten-anchor",
            says="one copy of the anchor is rotten, and the next two are published",
            begins=(_updated, _flip("anchor_a", 60)),
            proven=_BOTH,
            wanted="other",
            ends_on="other",
            anchors=3,
        ),
        Scenario(
            name="lost-anchors",
            says="both copies of the anchor are rotten after a walk: row 1, until the walk is back from the provisioned one",
            begins=(_walked, _flip("anchor_a", 60), _flip("anchor_b", 60)),
            anchors=3,
            may_be_blind=True,
        ),
    )
}


__all__ = ["SCENARIOS", "Scenario"]
