"""The boot policy: which slot runs, as one table over facts. Reads nothing and writes nothing.

`decide` returns the first row that applies. A row that marks is carried out by the caller, who then asks again.
`docs/boot.md` is made from the rows; `docs/architecture.md`, Boot, says why. Row 1 is decided where the facts are made:
it stands here by name only, so that the table is whole.
"""

from collections import namedtuple

from pawl import codes
from pawl.compat import const
from pawl.slots import TRIALS_MAX

FAIL = const(1)  # mark the slot failed(reason), ask again
TRY = const(2)  # write the next trial, arm the watchdog, boot the slot
FINISH = const(3)  # complete the slot's confirmation, ask again
BOOT = const(4)  # boot the slot; reason says if it is a fallback
RECOVER = const(5)  # no slot can run: the agent alone

# fault: 0, or why the slot must not boot; is_finished: confirmed in both units and in the ratchet
SlotFacts = namedtuple(
    "SlotFacts", ("state", "digest", "sequence", "trials", "fault", "is_authentic", "is_finished")
)
Decision = namedtuple("Decision", ("row", "action", "slot", "reason"))
# accepted: the manifest digest that the ratchet holds, or None; has_anchor: something to judge by (row 1); is_unwell: the
# latest boots call for the recovery agent
Context = namedtuple("Context", ("accepted", "has_anchor", "is_unwell"))
# says, decision: for people; judge(facts, context): None if the row doesn't apply, else (action, slot, reason)
Row = namedtuple("Row", ("number", "says", "decision", "judge"))

_UNPROVEN = (codes.SLOT_PENDING, codes.SLOT_TRIAL)
_A = const(0)
_B = const(1)


def _unproven(facts):
    return [name for name in (_A, _B) if facts[name].state in _UNPROVEN]


def _unfit(facts, _):
    for name in _unproven(facts):
        if facts[name].fault:
            return FAIL, name, facts[name].fault
    return None


def _used_up(facts, _):
    for name in _unproven(facts):
        if facts[name].state == codes.SLOT_TRIAL and facts[name].trials >= TRIALS_MAX:
            return FAIL, name, codes.REASON_TRIALS
    return None


def _both(facts, _):
    if len(_unproven(facts)) < 2:
        return None
    return FAIL, _A if facts[_A].sequence < facts[_B].sequence else _B, codes.REASON_ORDER


def _one(facts, _):
    names = _unproven(facts)
    return (TRY, names[0], codes.REASON_OK) if names else None


def _unfinished(facts, _):
    for name in (_A, _B):
        slot = facts[name]
        if slot.state == codes.SLOT_CONFIRMED and slot.is_authentic and not slot.is_finished:
            return FINISH, name, codes.REASON_OK
    return None


def _confirmed(facts, context):
    fit = [i for i in (_A, _B) if facts[i].state == codes.SLOT_CONFIRMED and not facts[i].fault]
    if not fit:
        return None
    if context.is_unwell:
        return RECOVER, None, codes.REASON_UNWELL
    best = _B if len(fit) == 2 and facts[_B].sequence > facts[_A].sequence else fit[0]
    return BOOT, best, codes.REASON_OK if facts[best].digest == context.accepted else codes.REASON_FALLBACK


def _none(facts, _):
    return RECOVER, None, codes.REASON_OK


ROWS = (
    Row(1, "no anchor to judge by", "go on at 7; ok: only confirmed, and what the ratchet names", None),
    Row(2, "a slot pending or on trial, not ok", "mark failed: why", _unfit),
    Row(3, "a slot on trial, 3 trials used", "mark failed: trials", _used_up),
    Row(4, "both slots pending or on trial", "mark the lower sequence failed: order; tie B", _both),
    Row(5, "one slot pending or on trial", "mark a trial, boot it", _one),
    Row(6, "a slot confirmed, authentic, not finished", "finish its confirmation", _unfinished),
    Row(7, "a slot confirmed, ok", "boot the highest sequence, tie A; unwell: the agent alone", _confirmed),
    Row(8, "else", "the agent alone", _none),
)


def decide(facts, context):
    """Return the Decision for two SlotFacts; without an anchor to judge by nothing is marked or tried (row 1)."""
    for row in ROWS[1:] if context.has_anchor else ROWS[-2:]:
        found = row.judge(facts, context)
        if found is not None:
            return Decision(row.number, found[0], found[1], found[2])
    raise AssertionError("the last row always applies")
