"""Old, withheld and repeated: T02, T03, T04, T05, T08, T32, T39."""

import asyncio
from itertools import pairwise

import factory
import pytest
from simulator import partition
from target import DAY_S, Target, TargetBoard

from pawl import codes, topics


def updated(sequence=5, version=(5,)):
    """Return a device that has installed and confirmed one update over the air."""
    target = Target()
    target.publish(factory.release(sequence=sequence, version=version))
    assert target.installs()
    target.run()
    target.broker.up.clear()
    return target


def test_t02_rollback_to_lower_sequence_number(attack):
    """Releases that were good once, replayed with fresh offers: every number below the ratchet is refused."""
    row = attack("T02", "rollback: an older signed release, offered freshly")
    target = updated()
    before = target.snapshot()
    for sequence in (0, 1, 2, 4):
        target.publish(factory.release(sequence=sequence, version=(9,)))
        row.refused(target.refusal(), codes.REASON_SEQUENCE_LOW)
    row.unchanged(before, target.snapshot())


def test_t02_another_release_of_the_same_number(attack):
    """Equal is not higher: one number names one release."""
    row = attack("T02", "rollback: another signed release under the number that runs")
    target = updated()
    before = target.snapshot()
    target.publish(factory.release(sequence=5, version=(9,), image=b"other" * 999))
    row.refused(target.refusal(), codes.REASON_SEQUENCE_REUSED)
    row.unchanged(before, target.snapshot())


def test_t02_an_older_version_under_a_higher_number(attack):
    """Only a recovery release may lower the version."""
    row = attack("T02", "rollback: a lower version under a higher number")
    target = updated(version=(5, 1))
    before = target.snapshot()
    for version in ((5, 0, 9), (4, 9), (5,), (0,)):
        target.publish(factory.release(sequence=6, version=version))
        row.refused(target.refusal(), codes.REASON_VERSION_LOW)
    row.unchanged(before, target.snapshot())


def test_t02_an_older_epoch(attack):
    """After an epoch was confirmed, no counter of the one before it installs, nor does its slot boot."""
    row = attack("T02", "rollback: the highest counter of an older epoch")
    target = updated(sequence=1 << 32)
    before = target.snapshot()
    target.publish(factory.release(sequence=(1 << 32) - 1, version=(9,)))
    row.refused(target.refusal(), codes.REASON_EPOCH_LOW)
    row.unchanged(before, target.snapshot())
    target.board.flip("image_b", 0)
    assert target.snapshot().runs == "recovery", "the slot of the old epoch must not come back"


def test_t02_the_ratchet_survives_its_newest_record(attack):
    """With every record of the ratchet torn out, the confirmed slots still give its reading."""
    row = attack("T02", "rollback: the ratchet's records destroyed first")
    target = updated()
    region = target.board.storage.regions["ratchet"]
    target.board.storage.regions["ratchet"].erase()
    before = target.snapshot()
    assert region.is_erased(0, region.size)
    target.publish(factory.release(sequence=4, version=(9,)))
    row.refused(target.refusal(), codes.REASON_SEQUENCE_LOW)
    row.changed(
        before,
        target.snapshot(),
        "ratchet rewritten from the slots",
        ratchet=target.snapshot().ratchet,
        anchor=(target.anchor.version, target.anchor.digest),
    )
    assert target.snapshot().ratchet[0] == 5


def test_t03_an_offer_kept_for_a_device_that_was_away(attack):
    """Newer than what the device runs, older than what it should run: the offer answers a nonce long closed."""
    row = attack("T03", "offline, then fed the offer of an intermediate release")
    target = Target()
    intermediate = factory.release(sequence=2, version=(2,))
    target.publish(intermediate)
    kept = target.offer(nonce=target.nonce)
    target.board.boot()
    before = target.snapshot()

    async def replay(hello):
        await target.broker.deliver(topics.offer(partition(), "bench-1"), kept)

    target.broker.on_hello = replay
    target.run()
    row.refused(*target.agent.refusals, codes.REASON_OFFER_NONCE)
    assert target.broker.fetched == []
    row.unchanged(before, target.snapshot())


def test_t03_a_barred_release_is_no_step_on_the_way(attack):
    """What was barred since is refused at install and at boot, whatever its number."""
    row = attack("T03", "an intermediate release that the anchor has barred")
    raw = factory.release(sequence=2, version=(2,))
    values = factory.anchor_values()
    values[codes.ANCHOR_BARRED] = [factory.bundle.suit.Envelope(raw).digest]
    target = Target(TargetBoard(anchor_values=values))
    before = target.snapshot()
    target.publish(raw)
    row.refused(target.refusal(), codes.REASON_BARRED)
    row.unchanged(before, target.snapshot())


def withheld(target, offers):
    """Let the broker answer every hello by all of these offers, and never by the one that the director made."""

    async def replay(hello):
        target.nonces.append((hello.nonce, target.port.loop.now_s))
        for raw in offers:
            await target.broker.deliver(topics.offer(partition(), "bench-1"), raw)

    target.broker.on_hello = replay


def test_t04_a_broker_that_withholds_and_replays_for_13_days(attack):
    """The newest desired state never arrives, an old one does: counted, nothing moves, and the device keeps asking.

    13 days are more than the period of a device's ticks.
    """
    row = attack("T04", "freeze: 13 days of a replayed offer, the true one withheld")
    target = updated()
    old = [target.offer(number=9)]
    before = target.snapshot()
    withheld(target, old)
    target.run(timeout_s=13 * DAY_S)
    assert not target.is_reset
    row.refused(*target.agent.refusals, codes.REASON_OFFER_NONCE)
    row.unchanged(before, target.snapshot())
    times = [time for _, time in target.nonces]
    gaps = [later - sooner for sooner, later in pairwise(times)]
    assert max(gaps) <= 64 and len(times) <= 13 * DAY_S / 60, "it asks again within 64 s, and no more often"
    assert target.agent.refusals[codes.REASON_OFFER_NONCE] <= len(old) * len(times)


def test_t04_the_freeze_ends_when_one_true_offer_comes(attack):
    """After days of silence nothing of the device's state stands in the way of the update."""
    row = attack("T04", "freeze: 10 days of silence, then the true offer")
    target = updated()
    target.publish(factory.release(sequence=6, version=(6,)))
    hellos = []

    async def relent(hello):
        hellos.append(target.port.loop.now_s)
        if target.port.loop.now_s > 10 * DAY_S:
            await target.answer(hello)

    target.broker.on_hello = relent
    before = target.snapshot()
    target.run(timeout_s=11 * DAY_S)
    row.failed(target.is_reset, True, "(delayed for 10 days)")
    assert 10 * DAY_S < hellos[-1] < 10 * DAY_S + 65
    row.changed(before, target.snapshot(), "slot A: the update, pending", **pending(target, "a"))


def pending(target, slot):
    """Return what a Snapshot has changed when a slot was given to what is wanted: the next boot may try it."""
    fields = {f"slot_{slot}": ("pending", target.wanted, 0, codes.REASON_OK), "runs": slot.upper()}
    return {**fields, "running_bytes": target.snapshot().running_bytes}


def test_t05_fast_forward_of_the_epoch(attack):
    """No signed release may jump further than 1024 epochs: a stolen key can't use up the numbers."""
    row = attack("T05", "fast-forward: epoch + 1025, and the highest number there is")
    target = updated()
    before = target.snapshot()
    for sequence in (1025 << 32, (1 << 64) - 1):
        target.publish(factory.release(sequence=sequence, version=(6,)))
        row.refused(target.refusal(), codes.REASON_EPOCH_JUMP)
    row.unchanged(before, target.snapshot())


def test_t05_after_the_highest_counter_the_next_epoch_installs():
    """A counter driven to its end blocks nothing: the next epoch is above it."""
    target = updated(sequence=(1 << 32) - 1)
    target.publish(factory.release(sequence=1 << 32, version=(6,)))
    assert target.installs()


def test_t05_offer_numbers_driven_to_their_end(attack):
    """The highest offer number blocks one nonce, not the device: the next check-in opens another."""
    row = attack("T05", "fast-forward: offer number 2^64 - 1, then true offers")
    target = Target()
    before = target.snapshot()
    target.changes = {"number": (1 << 64) - 1}
    late = []

    async def offer_later():
        await asyncio.sleep(60)
        target.publish(factory.release(sequence=2, version=(2,)))
        target.changes = {}
        await target.broker.deliver(topics.offer(partition(), "bench-1"), target.offer(number=7))

    async def lie_once(hello):
        await target.answer(hello)
        if not late:
            late.append(asyncio.create_task(offer_later()))

    target.broker.on_hello = lie_once
    target.run(timeout_s=2 * 3600)
    row.refused(*target.agent.refusals, codes.REASON_OFFER_COUNTER)
    row.failed(target.is_reset, True, "(for one check-in)")
    row.changed(before, target.snapshot(), "slot B: the update, pending", **pending(target, "b"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"device": "bench-2"}, codes.REASON_OFFER_DEVICE),
        ({"nonce": b"\x99" * 16}, codes.REASON_OFFER_NONCE),
        ({"device": "bench-2", "nonce": b"\x99" * 16}, codes.REASON_OFFER_DEVICE),
    ],
    ids=["its nonce", "its name", "both"],
)
def test_t08_an_offer_made_for_another_device(attack, changes, reason):
    """Signed by the same director for a device of the same class: neither its name nor its nonce is ours."""
    row = attack("T08", f"another device's offer ({', '.join(changes)})")
    target = Target()
    before = target.snapshot()
    target.publish(factory.release(sequence=2, version=(2,)))
    target.changes = changes
    row.refused(target.refusal(), reason)
    assert target.broker.fetched == []
    row.unchanged(before, target.snapshot())


def test_t08_another_tenants_director(attack):
    """Another fleet's director is nobody here."""
    row = attack("T08", "another tenant's director")
    target = Target()
    before = target.snapshot()
    target.publish(factory.release(sequence=2, version=(2,)))
    target.changes = {"signer": factory.TestKey(777)}
    row.refused(target.refusal(), codes.REASON_OFFER_SIGNATURE)
    row.unchanged(before, target.snapshot())


@pytest.mark.parametrize(
    "time_s", [0, factory.ISSUED - 10**9, (1 << 64) - 1], ids=["zero", "past", "end of time"]
)
def test_t32_a_clock_that_is_wrong(attack, time_s):
    """A director in 1970 or at the end of time doesn't keep a device from its update, nor from the one after it."""
    row = attack("T32", f"director's clock says {time_s}")
    target = Target()
    target.publish(factory.release(sequence=2, version=(2,)))
    target.changes = {"time": time_s}
    row.failed(target.installs(), True, "(update still installs)")
    target.changes = {}
    target.publish(factory.release(sequence=3, version=(3,)))
    row.failed(target.installs(), True, "(update still installs)")
    row.kept(target.snapshot().ratchet[0], 3, "updated, on purpose")


def test_t39_an_update_that_fails_is_not_tried_in_a_loop(attack):
    """Three trials, a revert; then the same offer is refused for days without one erase of flash."""
    row = attack("T39", "update loop: the same failing release offered for 2 days")
    target = Target()
    before = target.snapshot()
    target.publish(factory.release(sequence=2, version=(2,)))
    target.run()
    target.is_app_healthy = False
    for _ in range(3):
        target.run()
    target.is_app_healthy = True
    erased = []
    erase = target.board.flash.erase
    images = [target.board.storage.regions[name].start for name in ("image_a", "image_b", "page_a", "page_b")]
    target.board.flash.erase = lambda offset: (erased.append(offset), erase(offset))
    row.refused(target.refusal(timeout_s=2 * DAY_S), codes.REASON_QUARANTINED)
    assert not set(erased) & set(images)
    failed = ("failed", target.wanted, 3, codes.REASON_TRIALS)
    row.changed(before, target.snapshot(), "slot B: failed(trials)", slot_b=failed)


@pytest.mark.xfail(
    strict=True, reason="an accepted offer has no age yet: a job may end days after it was withdrawn"
)
def test_t04_an_old_offer_does_not_end_a_job_days_later(attack):
    """The broker holds back one block and the director's `hold`; ten days later it hands out the block."""
    row = attack("T04", "freeze: last block held back for 10 days, `hold` suppressed")
    target = Target()
    target.publish(factory.release(sequence=2, version=(2,)))
    last = list(target.broker.retained)[-1]
    kept = target.broker.retained.pop(last)
    answered = []

    async def answer_first(hello):
        if not answered:
            answered.append(hello)
            await target.answer(hello)
        if target.port.loop.now_s > 10 * DAY_S:
            target.broker.retained[last] = kept

    target.broker.on_hello = answer_first
    target.run(timeout_s=11 * DAY_S)
    assert not target.is_reset, "a release was taken under an offer of ten days ago"
    row.refused(*target.agent.refusals, codes.REASON_NO_OFFER)
    row.kept(target.snapshot().runs, "A", "slot B begun, no mark")
