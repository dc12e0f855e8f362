"""What must hold at every boot, judged by what the explorer knows and the device doesn't say.

1. What boots is a release that was signed, asked for, and in flash byte for byte: old or new, never a mix.
2. The ratchet's reading never falls, and never names what didn't run well first.
3. A release has three trials. The images of the slot that runs are never written.
4. Where a verified image must be there, the recovery agent never runs in its place.
"""

from typing import Any, NamedTuple

from pawl import boot, codes
from pawl.slots import TRIALS_MAX
from pawl_sim.flash import Operation
from pawl_sim.geometry import Plan
from pawl_sim.supply import Release, Supply


class Violation(AssertionError):  # noqa: N818 (what is found)
    """Something that must hold doesn't."""


class Memory(NamedTuple):
    """What was seen of a device since its start: with its flash, all that decides what may happen next."""

    sequence: int  # of R
    anchor: int  # its version
    proven: frozenset[bytes]  # what ran well, or was confirmed at the start
    trials: tuple[int, int]  # of what is in slot A, and in slot B, since its page was erased


def require(is_so: Any, says: str) -> None:
    """Raise a Violation unless it is so."""
    if not is_so:
        raise Violation(says)


class Witness:
    """Watches one device; `may_recover`: no verified image has to be there at every moment."""

    def __init__(self, supply: Supply, plan: Plan, memory: Memory, *, may_recover: bool) -> None:
        self.supply = supply
        self.plan = plan
        self.memory = memory
        self.may_recover = may_recover
        self._forbidden: list[tuple[int, int]] = []  # spans of the images that run

    def watch(self, operation: Operation) -> None:
        """Judge one operation on flash."""
        for start, size in self._forbidden:
            if start <= operation.offset < start + size:
                raise Violation("the image that runs is written")
        if operation.data is None:
            self._forget_trials(operation.offset)

    def _forget_trials(self, offset: int) -> None:
        for slot, name in enumerate(("page_a", "page_b")):
            if offset == self.plan.regions[name][0]:
                self.memory = self.memory._replace(trials=_with(self.memory.trials, slot, 0))

    def power_off(self) -> None:
        """Nothing runs any more."""
        self._forbidden = []

    def judge_boot(self, loader: Any, decision: Any, proven: Any) -> Release | None:
        """Judge what a boot decided, and what it would mount; return the Release that runs, or None."""
        self._judge_readings(loader)
        if decision.action == boot.RECOVER:
            require(
                self.may_recover, f"the recovery agent runs (row {decision.row}), though an image was there"
            )
            return None
        candidate = loader.candidates[decision.slot]
        release = self.supply.by_digest.get(candidate.slot.status().digest)
        if release is None:
            raise Violation("what boots is no release that was signed")
        self._require_bytes(release, decision.slot, proven)
        if decision.action == boot.TRY:
            self._count_trial(decision.slot)
        else:
            require(release.digest in self.memory.proven, "what boots as confirmed never ran well")
        return release

    def _judge_readings(self, loader: Any) -> None:
        sequence = loader.accepted.sequence
        require(sequence >= self.memory.sequence, "the ratchet's reading fell")
        known = [self.supply.by_digest[digest].sequence for digest in self.memory.proven]
        require(sequence <= max(known, default=sequence), "the ratchet names what didn't run well")
        anchor = loader.anchor.version if loader.anchor else self.memory.anchor
        require(anchor >= self.memory.anchor, "the anchor's version fell")
        self.memory = self.memory._replace(sequence=sequence, anchor=anchor)

    def _require_bytes(self, release: Release, slot: int, proven: Any) -> None:
        mounted = {component: bytes(content) for component, content in proven.images}
        require(mounted == release.images(slot), "what boots is a mix, or rotten")
        prefixes = ["image_" if component == codes.COMPONENT_APP else "data_" for component in mounted]
        self._forbidden = [self.plan.regions[prefix + "ab"[slot]] for prefix in prefixes]

    def _count_trial(self, slot: int) -> None:
        count = self.memory.trials[slot] + 1
        require(count <= TRIALS_MAX, "a release is tried more often than three times")
        self.memory = self.memory._replace(trials=_with(self.memory.trials, slot, count))

    def note_well(self, digest: bytes) -> None:
        """Note that this release runs well: from here on it may be confirmed."""
        self.memory = self.memory._replace(proven=self.memory.proven | {digest})


def _with(trials: tuple[int, int], slot: int, count: int) -> tuple[int, int]:
    return (count, trials[1]) if slot == 0 else (trials[0], count)
