"""What a device does with releases that fail on it: attempts are counted, erases bounded, reasons kept, orders withdrawn."""

import factory
import simulator
from simulator import World
from test_freshness import new_agent, pass_time, refusals

from pawl import cbor, codes, ratchet, records, topics
from pawl.session import Session

BAD = factory.release(sequence=2, version=(2,))
WORSE = factory.release(sequence=3, version=(3,))
GOOD = factory.release(sequence=4, version=(4,))


def install(world, raw, attempt=1):
    """Offer a release; return whether the device took it."""
    world.publish(raw)
    world.changes = {"attempt": attempt}
    world.run()
    return world.is_reset


def fail(world):
    """Let it use up its trials without a health check; the fourth boot marks it."""
    for _ in range(4):
        world.board.boot()


def running(world):
    """Return the sequence number that the ratchet names."""
    return world.board.storage.ratchet().reading.roles[codes.IMAGE_APP].sequence


def log_of(world):
    """Return [(code, detail)], newest first."""
    return [(entry.code, entry.detail) for entry in world.board.storage.log().entries()]


def test_t39_three_attempts_whatever_takes_the_slot_between():
    """Another release erases the page; the number of failures stays, and ends after three."""
    world = World()
    assert install(world, BAD)
    fail(world)
    assert install(world, WORSE)
    fail(world)
    for attempt in (1, 3, 4):
        assert not install(world, BAD, attempt)
    assert refusals(world) == [codes.REASON_QUARANTINED] * 3
    for attempt in (2, 3):
        assert install(world, BAD, attempt)
        fail(world)
    assert not install(world, BAD, 4)
    assert refusals(world)[-1] == codes.REASON_QUARANTINE_FINAL
    failed = {digest: attempts for digest, attempts, _ in world.hello.failed}
    assert failed == {world.wanted: 3, factory.bundle.suit.Envelope(WORSE).digest: 1}
    assert running(world) == 1


def test_t39_four_slot_erases_a_day():
    """The fifth release waits for a day of uptime, not for a reset; then a good one gets through."""
    world = World()
    for number in range(2, 6):
        assert install(world, factory.release(sequence=number, version=(number,)))
        fail(world)
    good = factory.release(sequence=6, version=(6,))
    for _ in range(2):
        assert not install(world, good)
        assert refusals(world)[-1] == codes.REASON_BUDGET
    assert world.board.storage.slots[1].status().state == codes.SLOT_FAILED
    pass_time(world, 86400)
    assert install(world, good)
    world.run()
    assert running(world) == 6


def test_a_cut_download_costs_one_erase_of_the_budget():
    """A job that goes on in the slot it took isn't asked again."""
    world = World()
    world.publish(GOOD)
    for _ in range(6):
        world.broker.cut_after = 3
        world.run()
    world.run()
    assert len(world.agent.clock.times.erases) == 1


def test_the_reason_of_a_failure_is_kept_and_told():
    """In the log with the release's digest, published once per boot; the device ends on what it ran before."""
    world = World()
    install(world, BAD)
    fail(world)
    bad = world.wanted
    world.wanted = None
    world.changes = {}
    world.run()
    assert world.hello.running == codes.RUNNING_A
    assert log_of(world) == [(codes.REASON_TRIALS, bad)]
    told = [payload for kind, payload in world.broker.up if kind == "log"]
    assert len(told) == 1
    entries = cbor.Reader(told[0]).value()
    assert [(entry[2], bytes(entry[3])) for entry in entries] == [(codes.REASON_TRIALS, bad)]
    world.run()
    assert log_of(world) == [(codes.REASON_TRIALS, bad)]


def test_nothing_is_told_before_an_offer_was_accepted():
    """A log goes to a server that was heard, not into the void."""
    world = World()
    install(world, BAD)
    fail(world)
    world.broker.on_hello = world.note
    world.run()
    assert [kind for kind, _ in world.broker.up if kind == "log"] == []


def test_a_cut_between_mark_and_log_loses_no_reason():
    """What a failed page says is put into the log at the next start, once."""
    world = World()
    slot = world.board.put(1, BAD)
    slot.mark_failed(codes.REASON_TRIALS)
    for _ in range(2):
        world.run()
        assert log_of(world) == [(codes.REASON_TRIALS, slot.status().digest)]


class PowerCutError(Exception):
    """The power went."""


def cut_at(flash, number):
    """Let the power go before the flash operation with this number; return what puts it back."""
    program, erase = flash.program, flash.erase
    left = [number]

    def spend():
        left[0] -= 1
        if left[0] < 0:
            raise PowerCutError

    flash.program = lambda offset, data: (spend(), program(offset, data))
    flash.erase = lambda offset: (spend(), erase(offset))

    def mend():
        flash.program, flash.erase = program, erase

    return mend


def take_slot(world, number):
    """Give slot B to a good release, with a cut; return whether it came."""
    world.broker.up.clear()
    made = new_agent(world)
    mend = cut_at(world.board.flash, number)

    async def walk():
        await made._idle()
        await made._download()

    try:
        simulator.asyncio.run(walk())
    except PowerCutError:
        return True
    finally:
        mend()
    return False


def test_t34_no_cut_forgets_a_failure_or_an_erase():
    """Wherever the power goes while a failed page is given away, the failure counts once, and the erase at least once."""
    for number in range(60):
        world = World()
        slot = world.board.put(1, BAD)
        slot.mark_failed(codes.REASON_TRIALS)
        bad = slot.status().digest
        world.publish(GOOD)
        is_cut = take_slot(world, number)
        storage = world.board.storage
        assert storage.quarantine().stored(bad, storage.slots) == 1, number
        is_begun = storage.slots[1].status().digest != bad
        assert len(storage.clock(world.port).times.erases) >= is_begun, number
        if not is_cut:
            break
    assert 5 < number < 59


def test_t45_a_download_that_gets_nowhere_backs_off():
    """A release that the broker doesn't have is asked for once, and again when the time has come, not in a loop."""
    Session.answer_timeout_s = 0.05
    world = World()
    world.broker.retained.pop(topics.release(world.publish(GOOD)))
    world.run(timeout_s=3)
    assert world.port.lines.count("state DOWNLOAD") == 1
    assert world.agent.offers.is_job_open
    world.port.lines.clear()
    world.port.step_ms = 1000
    world.run(timeout_s=2)
    Session.answer_timeout_s = 30
    assert world.port.lines.count("state DOWNLOAD") > 1


def test_t50_the_recovery_agent_follows_the_same_policy():
    """With no slot that boots: still nothing lower, nothing unsigned, nothing that failed, no fifth erase."""
    world = World()
    world.run()
    assert install(world, BAD)
    fail(world)
    world.board.flip("image_a", 10)
    for raw, reason in (
        (factory.release(sequence=0), codes.REASON_SEQUENCE_LOW),
        (factory.release(sequence=9, signers=(factory.STRANGER,)), codes.REASON_UNAUTHORISED),
        (BAD, codes.REASON_QUARANTINED),
    ):
        assert not install(world, raw)
        assert refusals(world)[-1] == reason
    assert world.hello.running == codes.RUNNING_RECOVERY
    for _ in range(3):
        world.agent.clock.note_erase()
    assert not install(world, GOOD)
    assert refusals(world)[-1] == codes.REASON_BUDGET


def withdrawn(world, **changes):
    """Install up to `pending`, then let the director send one more offer before the reset; return the event."""
    made = new_agent(world)

    async def walk():
        await made._idle()
        assert await made._download() == "COMPLETE"
        assert await made._install() == "PENDING"
        world.number = 1
        await world.broker.deliver(topics.offer(simulator.partition(), "bench-1"), world.offer(**changes))
        return await made._reboot()

    event = simulator.asyncio.run(walk())
    assert made.reason == codes.REASON_NO_OFFER
    return event


def test_hold_and_none_take_back_what_is_pending():
    """Its page is erased, so that no boot tries it; the blocks stay for the next offer."""
    for action in (codes.OFFER_HOLD, codes.OFFER_NONE):
        world = World()
        world.publish(GOOD)
        assert withdrawn(world, action=action, digest=None, attempt=None) == "REFUSED"
        assert world.board.storage.slots[1].status().state == codes.SLOT_EMPTY
        world.broker.fetched.clear()
        assert install(world, GOOD)
        assert [topic for topic in world.broker.fetched if "/b/" in topic] == []
        world.run()
        assert running(world) == 4


def test_another_offer_takes_back_what_is_pending():
    """The newest offer counts: what it replaced is not tried first."""
    world = World()
    other = world.publish(WORSE)
    world.publish(GOOD)
    assert withdrawn(world, digest=other) == "REFUSED"
    assert world.board.storage.slots[1].status().state == codes.SLOT_EMPTY


def test_hold_takes_back_what_waits_for_its_first_trial():
    """Also when it comes to an agent that did not write it: a trial that could not be marked leaves it pending."""
    world = World()
    made = new_agent(world)
    slot = world.board.put(1, GOOD)
    slot.mark_pending()
    world.changes = {"action": codes.OFFER_HOLD}
    simulator.asyncio.run(made._idle())
    assert slot.status().state == codes.SLOT_EMPTY


def test_hold_has_no_effect_on_a_trial():
    """What is being tried is confirmed or fails by itself."""
    world = World()
    assert install(world, GOOD)
    world.changes = {"action": codes.OFFER_HOLD, "digest": None, "attempt": None}
    world.run()
    assert running(world) == 4


def spoil_ratchet(world):
    """Flip a bit in every cell that was written."""
    region = world.board.storage.regions["ratchet"]
    for offset in range(0, region.size, 512):
        if not region.is_erased(offset, 512):
            world.board.flip("ratchet", offset + 20)


def test_a_lost_ratchet_is_noticed_once_and_written_again():
    """R is read from the floor and the confirmed slots: nothing below it installs, and the report says so."""
    world = World()
    install(world, GOOD)
    world.run()
    world.wanted = None
    world.changes = {}
    spoil_ratchet(world)
    assert world.board.storage.ratchet().is_lost
    world.run()
    notice = (codes.EVENT_NOTICED, codes.REASON_RATCHET_LOST)
    assert world.reports().count(notice) == 1
    assert running(world) == 4
    assert log_of(world) == [(codes.REASON_RATCHET_LOST, None)]
    world.run()
    assert world.reports().count(notice) == 1
    assert not install(world, WORSE)
    assert refusals(world)[-1] == codes.REASON_SEQUENCE_LOW


def test_a_lost_ratchet_without_a_slot_is_written_from_the_floor():
    """The recovery agent's device notices it once, too."""
    world = World()
    world.run()
    world.board.flip("envelope_a", 60)
    spoil_ratchet(world)
    for _ in range(2):
        world.run()
    assert world.hello.running == codes.RUNNING_RECOVERY
    assert world.reports().count((codes.EVENT_NOTICED, codes.REASON_RATCHET_LOST)) == 1


def test_a_new_device_has_lost_nothing():
    """An erased region is no loss."""
    world = World()
    world.run()
    assert [event for event, _ in world.reports()] == [codes.EVENT_STARTED]


def test_no_room_in_the_ratchet_is_found_before_the_first_erase():
    """Row 7: what could not be confirmed later is not begun."""
    world = World()
    world.run()
    region = world.board.storage.regions["ratchet"]
    reading = world.board.storage.ratchet().reading
    region.erase()
    # What must be kept is in two cells, one in each half: neither may be erased for the next one.
    parts = {0: ratchet.Reading(reading.roles, None), 4096: ratchet.Reading({}, reading.anchor)}
    for offset in range(0, region.size, 512):
        if offset in parts:
            records.write(region, offset, b"PWRT", ratchet._encode(parts[offset]))
        else:
            region.program(offset, bytes(32))
    assert world.board.storage.ratchet().reading == reading
    assert not world.board.storage.ratchet().has_room()
    assert not install(world, GOOD)
    assert refusals(world) == [codes.REASON_RATCHET_ROOM]
    assert world.board.storage.slots[1].status().digest is None
