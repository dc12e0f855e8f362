"""Boot over every pair of statuses and every verdict on the slots: decided as documented, and it ends well.

The statuses are those that `test_boot_pages.py` finds on all the pages there are.
"""

from status_pages import STATUSES

from pawl import boot, codes

ROUNDS_MAX = 16  # of `Bootloader.settle`
UNPROVEN = (codes.SLOT_PENDING, codes.SLOT_TRIAL)
DIGESTS = (b"\x01" * 32, b"\x02" * 32)
FAULT = codes.REASON_IMAGE_DIGEST


def every_slot(name, sequence):
    """Return the facts of a slot for every status, fit or at fault, authentic or not, in the ratchet or not."""
    found = set()
    for state, trials, is_settled in STATUSES:
        for bits in range(8):
            fault, is_authentic = FAULT * (bits & 1), bool(bits & 2)
            is_finished = is_settled and bool(bits & 4)
            found.add(
                boot.SlotFacts(state, DIGESTS[name], sequence, trials, fault, is_authentic, is_finished)
            )
    return list(found)


def every_context():
    """Return all contexts: the ratchet names A's release or B's; with an anchor or not; well or not."""
    return [boot.Context(digest, bool(bits & 1), bool(bits & 2)) for digest in DIGESTS for bits in range(4)]


def specified(facts, context):
    """Return (row, action, slot, reason) as one reads it from the table, without a look at `boot`."""
    unproven = [i for i in (0, 1) if facts[i].state in UNPROVEN]
    if context.has_anchor and unproven:
        return specified_unproven(facts, unproven)
    confirmed = [i for i in (0, 1) if facts[i].state == codes.SLOT_CONFIRMED]
    for i in confirmed if context.has_anchor else ():
        if facts[i].is_authentic and not facts[i].is_finished:
            return 6, boot.FINISH, i, codes.REASON_OK
    ok = [i for i in confirmed if facts[i].fault == 0]
    if not ok:
        return 8, boot.RECOVER, None, codes.REASON_OK
    if context.is_unwell:
        return 7, boot.RECOVER, None, codes.REASON_UNWELL
    chosen = ok[0] if len(ok) == 1 or facts[0].sequence >= facts[1].sequence else 1
    is_named = facts[chosen].digest == context.accepted
    return 7, boot.BOOT, chosen, codes.REASON_OK if is_named else codes.REASON_FALLBACK


def specified_unproven(facts, unproven):
    """Rows 2 to 5, of the slots that are pending or on trial."""
    for i in unproven:
        if facts[i].fault != 0:
            return 2, boot.FAIL, i, facts[i].fault
    for i in unproven:
        if facts[i].trials == 3:
            return 3, boot.FAIL, i, codes.REASON_TRIALS
    if len(unproven) == 2:
        return 4, boot.FAIL, 1 if facts[1].sequence <= facts[0].sequence else 0, codes.REASON_ORDER
    return 5, boot.TRY, unproven[0], codes.REASON_OK


def changed(facts, name, state, trials, is_finished):
    """Return facts in which one slot has other marks."""
    old = facts[name]
    new = boot.SlotFacts(state, old.digest, old.sequence, trials, old.fault, old.is_authentic, is_finished)
    return (new, facts[1]) if name == 0 else (facts[0], new)


def after(facts, decision):
    """Return every pair of facts that a decision may leave to be asked about: the mark kept, torn, or not writable."""
    name = decision.slot
    slot = facts[name]
    failed = changed(facts, name, codes.SLOT_FAILED, slot.trials, slot.is_finished)
    if decision.action == boot.FAIL:
        return (failed,)
    if decision.action == boot.TRY:  # a trial that is kept boots
        return failed, changed(facts, name, codes.SLOT_TRIAL, slot.trials + 1, slot.is_finished)
    finished = changed(facts, name, slot.state, slot.trials, True)
    other = facts[1 - name]
    recovered = changed(finished, 1 - name, codes.SLOT_FAILED, other.trials, other.is_finished)
    return (finished, recovered) if other.state == codes.SLOT_CONFIRMED else (finished,)


def may_run(slot, action):
    """Return whether a slot is one that this action may boot."""
    if action == boot.BOOT:
        return slot.state == codes.SLOT_CONFIRMED and not slot.fault
    return slot.state in UNPROVEN and slot.trials < 3 and not slot.fault


def settles(facts, context, rounds=1):
    """Follow a boot in every way it may go; return the most rounds until it runs a slot or the agent alone."""
    assert rounds <= ROUNDS_MAX, facts
    decision = boot.decide(facts, context)
    assert tuple(decision) == specified(facts, context), (facts, context)
    if decision.action == boot.RECOVER:
        return rounds
    if decision.action in (boot.TRY, boot.BOOT):
        assert may_run(facts[decision.slot], decision.action), (facts, context)
    if decision.action == boot.BOOT:
        return rounds
    assert context.has_anchor, (facts, context)
    return max([settles(then, context, rounds + 1) for then in after(facts, decision)])


def test_every_boot_ends_with_what_may_run():
    """All pairs of slots, sequences lower, equal and higher, all contexts: decided as documented, and it ends."""
    most = 0
    contexts = every_context()
    for sequence in (1, 2, 3):
        others = every_slot(1, sequence)
        for a in every_slot(0, 2):
            for b in others:
                for context in contexts:
                    most = max(most, settles((a, b), context))
    assert most == 6  # both pending: order, three trials torn one after the other, trials used up, row 8
