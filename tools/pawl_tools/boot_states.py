"""What the boot table leads to, computed by asking it: how a slot's state changes, and what two slots boot.

Writes nothing and reads no flash: facts are made up and given to `boot.decide`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from pawl import boot, codes
from pawl.slots import TRIALS_MAX

STATES = {
    codes.SLOT_EMPTY: "empty",
    codes.SLOT_WRITTEN: "written",
    codes.SLOT_PENDING: "pending",
    codes.SLOT_TRIAL: "trial",
    codes.SLOT_CONFIRMED: "confirmed",
    codes.SLOT_FAILED: "failed",
}
# What carrying out a decision of the boot table makes of the slot; to boot a confirmed slot marks nothing.
STATE_AFTER = {
    boot.FAIL: codes.SLOT_FAILED,
    boot.TRY: codes.SLOT_TRIAL,
    boot.FINISH: codes.SLOT_CONFIRMED,
    boot.BOOT: codes.SLOT_CONFIRMED,
}
_MARKS = (boot.FAIL, boot.FINISH)  # then the table is asked again
_NAMES = "AB"
_DIGESTS = (b"\x0a" * 32, b"\x0b" * 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of a slot's state that the boot table doesn't make: who makes it, and by which call of `Slot`."""

    who: str
    call: str
    before: tuple[int, ...]
    after: int


CHANGES = (
    Change(who="install: takes the slot", call="begin", before=tuple(STATES), after=codes.SLOT_EMPTY),
    Change(
        who="install: image written and read back",
        call="mark_written",
        before=(codes.SLOT_EMPTY,),
        after=codes.SLOT_WRITTEN,
    ),
    Change(
        who="install: allowed by the current offer",
        call="mark_pending",
        before=(codes.SLOT_WRITTEN,),
        after=codes.SLOT_PENDING,
    ),
    Change(
        who="agent: the director took the offer back",
        call="withdraw",
        before=(codes.SLOT_PENDING,),
        after=codes.SLOT_EMPTY,
    ),
    Change(
        who="agent: the trial is healthy",
        call="mark_confirmed",
        before=(codes.SLOT_TRIAL,),
        after=codes.SLOT_CONFIRMED,
    ),
    Change(
        who="confirming a release that recovers from this one",
        call="mark_failed",
        before=(codes.SLOT_PENDING, codes.SLOT_TRIAL, codes.SLOT_CONFIRMED),
        after=codes.SLOT_FAILED,
    ),
    Change(
        who="`pawl provision`: the factory release",
        call="mark_confirmed",
        before=(codes.SLOT_WRITTEN,),
        after=codes.SLOT_CONFIRMED,
    ),
)


def _facts(name: int, state: int, sequence: int, **verdict: object) -> boot.SlotFacts:
    values = {"trials": 0, "fault": 0, "is_authentic": True, "is_finished": True, **verdict}
    return boot.SlotFacts(state=state, digest=_DIGESTS[name], sequence=sequence, **values)


def _every_slot(name: int, sequence: int) -> list[boot.SlotFacts]:
    found = []
    for state in STATES:
        trials = range(1, TRIALS_MAX + 1) if state == codes.SLOT_TRIAL else (0,)
        for used, fault, is_authentic, is_finished in product(
            trials, (0, codes.REASON_IMAGE_DIGEST), (True, False), (True, False)
        ):
            verdict = {"fault": fault, "is_authentic": is_authentic, "is_finished": is_finished}
            found.append(_facts(name, state, sequence, trials=used, **verdict))
    return found


def _decisions() -> Iterator[tuple[boot.SlotFacts, boot.Decision]]:
    """Yield every decision that names a slot, with that slot's facts."""
    contexts = [boot.Context(_DIGESTS[0], *flags) for flags in product((True, False), repeat=2)]
    for sequence in (1, 2, 3):
        for slots in product(_every_slot(0, 2), _every_slot(1, sequence)):
            for context in contexts:
                decision = boot.decide(slots, context)
                if decision.slot is not None:
                    yield slots[decision.slot], decision


def transitions() -> dict[tuple[int, int], list[int]]:
    """Return the rows of the boot table that take a slot from one state to another: {(before, after): rows}."""
    found: dict[tuple[int, int], set[int]] = {}
    for slot, decision in _decisions():
        found.setdefault((slot.state, STATE_AFTER[decision.action]), set()).add(decision.row)
    order = list(STATES)
    pairs = sorted(found, key=lambda pair: [order.index(state) for state in pair])
    return {pair: sorted(found[pair]) for pair in pairs}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a boot ends with: the rows that applied one after the other, and what runs."""

    rows: tuple[int, ...]
    runs: str


def outcome(states: tuple[int, int], sequences: tuple[int, int] = (1, 2)) -> Outcome:
    """Return what two slots in these states boot, if nothing is wrong with them; a trial has one trial used."""
    slots = [
        _facts(name, states[name], sequences[name], trials=int(states[name] == codes.SLOT_TRIAL))
        for name in (0, 1)
    ]
    rows: list[int] = []
    while True:
        decision = boot.decide(tuple(slots), boot.Context(_DIGESTS[0], has_anchor=True, is_unwell=False))
        rows.append(decision.row)
        if decision.action not in _MARKS:
            return Outcome(rows=tuple(rows), runs=_what_runs(decision))
        slots[decision.slot] = _facts(
            decision.slot, STATE_AFTER[decision.action], sequences[decision.slot], is_finished=True
        )


def _what_runs(decision: boot.Decision) -> str:
    if decision.slot is None:
        return "agent"
    return _NAMES[decision.slot] + (" on trial" if decision.action == boot.TRY else "")
