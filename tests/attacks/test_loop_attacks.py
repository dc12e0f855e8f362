"""Updates that are asked for again and again: T39."""

from collections import Counter

import factory
from target import DAY_S, Target

from pawl import codes


def release(sequence):
    """Return a release of this number."""
    return factory.release(sequence=sequence, version=(sequence,))


def offer(target, raw, attempt):
    """Let the director ask for a release, in this attempt."""
    target.publish(raw)
    target.changes = {"attempt": attempt}
    return target.wanted


def fail(target, raw, attempt):
    """Install a release whose every trial ends badly; return its digest. The next boot is the one that ran before."""
    digest = offer(target, raw, attempt)
    target.run()
    assert target.is_reset, "it must be tried at all"
    target.is_app_healthy = False
    for _ in range(3):
        target.run()
    target.is_app_healthy = True
    target.wanted = None
    target.run()
    assert target.agent.running == codes.RUNNING_A
    return digest


def rest(target):
    """Let a day pass, so that the budget of slot erases is whole again."""
    target.run(timeout_s=DAY_S + 3600)
    target.agent.clock.save()


def test_t39_a_verdict_outlives_the_slot(attack):
    """What failed stays refused when its slot was given to another release, which failed too; each is asked by number."""
    row = attack("T39", "update loop: two failing releases offered in turn")
    target = Target()
    two = fail(target, release(2), 1)
    three = fail(target, release(3), 1)
    before = target.snapshot()
    assert set(before.quarantine) == {(two, 1, codes.REASON_TRIALS), (three, 1, codes.REASON_TRIALS)}
    for _ in range(2):
        for sequence in (2, 3):
            for attempt in (1, 3, 1 << 16):
                offer(target, release(sequence), attempt)
                row.refused(target.refusal(), codes.REASON_QUARANTINED)
                row.unchanged(before, target.snapshot())
    fail(target, release(2), 2)
    assert (two, 2, codes.REASON_TRIALS) in target.snapshot().quarantine


def test_t39_three_attempts_are_all(attack):
    """After the third verdict no number asks for it again; a newer release gets its turn."""
    row = attack("T39", "update loop: a fourth attempt at a failing release")
    target = Target()
    for attempt in (1, 2, 3):
        digest = fail(target, release(2), attempt)
    before = target.snapshot()
    assert before.quarantine == ((digest, 3, codes.REASON_TRIALS),)
    for attempt in (1, 3, 4, 5, (1 << 64) - 1):
        offer(target, release(2), attempt)
        row.refused(target.refusal(), codes.REASON_QUARANTINE_FINAL)
        row.unchanged(before, target.snapshot())
    offer(target, release(3), 1)
    assert target.installs()


def test_t39_four_erases_a_day(attack):
    """A director thief with signed releases enough: the fifth slot erase of a day of uptime is refused, resets or not."""
    row = attack("T39", "update loop: five failing releases within a day")
    target = Target()
    for sequence in (2, 3, 4, 5):
        fail(target, release(sequence), 1)
    before = target.snapshot()
    offer(target, release(6), 1)
    for _ in range(3):
        row.refused(target.refusal(), codes.REASON_BUDGET)
        row.unchanged(before, target.snapshot())
    target.wanted = None
    rest(target)
    offer(target, release(6), 1)
    assert target.installs()


def test_t39_a_download_that_never_ends_is_put_off(attack):
    """The last block never comes: tried ever more rarely, up to once a day; no verdict, no second erase."""
    row = attack("T39", "update loop: a download that loses its link for 10 days")
    target = Target()
    before = target.snapshot()
    target.publish(release(2))
    last = list(target.broker.retained)[-1]
    kept = target.broker.retained.pop(last)
    erased = Counter()
    erase = target.board.flash.erase
    target.board.flash.erase = lambda offset: (erased.update([offset]), erase(offset))
    target.run(timeout_s=10 * DAY_S)
    tries = len([topic for topic in target.broker.fetched if "/r/" in topic])
    row.failed((target.is_reset, tries < 30), (False, True), "link-timeout, put off")
    places = [target.board.storage.regions[name].start for name in ("page_b", "envelope_b", "image_b")]
    assert max(erased[place] for place in places) <= 1
    row.changed(before, target.snapshot(), "slot B begun, no mark", slot_b=("empty", target.wanted, 0, 0))
    target.broker.retained[last] = kept
    assert target.installs()
