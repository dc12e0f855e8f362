"""Time without a clock: what raises the floor, what can't, and the budget of slot erases."""

import factory
from support import Ticks, new_clock, new_region, refused

from pawl import clock, codes
from pawl.clock import Clock

HOUR, DAY = 3600, 86400
ANCHOR = factory.anchor()
EXPIRY = ANCHOR.expiry
DIRECTOR = factory.DIRECTOR.key
OTHER = factory.THIRD.key
FAR = 1 << 40


def at_work():
    """Return a clock under the anchor of the tests."""
    made = new_clock()
    made.follow(ANCHOR)
    return made


def wait(made, seconds):
    """Let uptime pass, polled hourly, as the agent does."""
    while seconds > 0:
        made.port.now_ms += 1000 * min(seconds, HOUR)
        made.uptime_s()
        seconds -= HOUR


def successor(**changes):
    """Return an anchor with changes to the plain values."""
    values = factory.anchor_values()
    values.update(
        {codes.ANCHOR_VERSION: 2, codes.ANCHOR_ISSUED: EXPIRY - DAY, codes.ANCHOR_EXPIRY: EXPIRY + 100 * DAY}
    )
    values.update(changes)
    return factory.trust.load(factory.anchor_file(values), factory.verify)


def test_the_floor_begins_at_the_anchors_issue_time_and_rises_with_uptime():
    """Attested time plus own uptime since."""
    made = at_work()
    assert made.floor(ANCHOR) == factory.ISSUED
    made.attest(ANCHOR, factory.ISSUED + 500, DIRECTOR)
    wait(made, 100)
    assert made.floor(ANCHOR) == factory.ISSUED + 600


def test_t02_a_replayed_time_does_not_lower_the_floor():
    """An offer with an older time changes nothing but when it was answered."""
    made = at_work()
    made.attest(ANCHOR, factory.ISSUED + 500, DIRECTOR)
    made.attest(ANCHOR, factory.ISSUED + 10, DIRECTOR)
    assert made.floor(ANCHOR) == factory.ISSUED + 500


def test_uptime_alone_never_expires_the_anchor():
    """A device that hears nothing for years is stale, but not past its anchor."""
    made = at_work()
    wait(made, 30 * DAY)
    assert made.floor(ANCHOR) == EXPIRY
    assert not made.is_expired(ANCHOR)


def test_t32_one_offer_of_the_far_future_does_not_expire_the_anchor():
    """A thief of the director's key gives one: the floor stops at the expiry, and the next honest one takes its word back."""
    made = at_work()
    made.attest(ANCHOR, FAR, DIRECTOR)
    assert (made.floor(ANCHOR), made.is_expired(ANCHOR)) == (EXPIRY, False)
    made.attest(ANCHOR, factory.ISSUED + HOUR, DIRECTOR)
    wait(made, 2 * DAY)
    made.attest(ANCHOR, FAR + 10 * DAY, DIRECTOR)
    assert not made.is_expired(ANCHOR)


def expires(first, second, between_s, keys=(DIRECTOR, DIRECTOR)):
    """Return whether two offers so far apart expire the anchor."""
    made = at_work()
    made.attest(ANCHOR, first, keys[0])
    wait(made, between_s)
    made.attest(ANCHOR, second, keys[1])
    return made.is_expired(ANCHOR)


def test_two_offers_expire_the_anchor():
    """Both past it, under one key, 24 h of uptime apart, and their times as far apart less 5 minutes."""
    late = EXPIRY + 1
    assert expires(late, late + DAY, DAY)
    assert expires(late, late + DAY - 300, DAY)
    assert expires(late, late + 100 * DAY, DAY)  # switched off in between
    assert not expires(late, late + DAY - 301, DAY)
    assert not expires(late, late + DAY, DAY - 1)
    assert not expires(EXPIRY, late + DAY, DAY)
    assert not expires(late, late + DAY, DAY, (DIRECTOR, OTHER))
    assert not expires(FAR, late + DAY, DAY)


def test_the_floor_is_what_both_attest():
    """The second offer alone can't carry it into the far future."""
    made = at_work()
    made.attest(ANCHOR, EXPIRY + 1, DIRECTOR)
    wait(made, DAY)
    made.attest(ANCHOR, FAR, DIRECTOR)
    assert made.floor(ANCHOR) == EXPIRY + 1 + DAY
    assert not made.is_expired(successor())


def test_a_new_director_key_resets_the_floor():
    """To the new anchor's issue time, once; an anchor with known keys only raises it."""
    made = at_work()
    made.attest(ANCHOR, EXPIRY + 1, DIRECTOR)
    wait(made, DAY)
    made.attest(ANCHOR, EXPIRY + 1 + DAY, DIRECTOR)
    renewed = successor()
    made.follow(renewed)
    assert made.floor(renewed) == EXPIRY + 1 + DAY
    other = successor()
    other.directors = [OTHER]
    made.follow(other)
    assert made.floor(other) == other.issued
    wait(made, 60)
    made.follow(other)
    assert made.floor(other) == other.issued + 60


def test_a_former_anchors_witness_does_not_count_for_the_next():
    """Both offers have to be past the expiry that is asked about."""
    made = at_work()
    made.attest(ANCHOR, EXPIRY + 1, DIRECTOR)
    renewed = successor()
    made.follow(renewed)
    wait(made, DAY)
    made.attest(renewed, renewed.expiry + 1, DIRECTOR)
    assert not made.is_expired(renewed)
    wait(made, DAY)
    made.attest(renewed, renewed.expiry + 1 + DAY, DIRECTOR)
    assert made.is_expired(renewed)


def test_uptime_and_floor_outlive_a_reset():
    """Kept hourly: a power cut costs less than an hour; an intentional reset nothing."""
    region, port = new_region(), Ticks()
    made = Clock(region, port)
    made.follow(ANCHOR)
    made.attest(ANCHOR, factory.ISSUED + 500, DIRECTOR)
    wait(made, HOUR)
    wait(made, HOUR - 1)
    again = Clock(region, port)
    assert again.uptime_s() == HOUR
    assert again.floor(ANCHOR) == factory.ISSUED + 500 + HOUR
    assert made.save()
    assert Clock(region, port).times == made.times


def test_ticks_that_wrap():
    """Differences count, so a counter that starts over loses nothing."""
    made = new_clock()
    made.port.ticks_diff = lambda one, other: (one - other) & 0x3FFFFFFF
    made.port.now_ms = 0x3FFFFFFF
    made.uptime_s()
    before = made.uptime_s()
    made.port.now_ms = 5000
    assert made.uptime_s() == before + 5


def test_a_torn_snapshot_is_none():
    """The one before it is read."""
    region, port = new_region(), Ticks()
    made = Clock(region, port)
    wait(made, 2 * HOUR)
    region.flash.store[256 + 20] ^= 1
    assert Clock(region, port).times.uptime == HOUR


def test_t39_four_slot_erases_a_day():
    """Counted before the erase, over resets; the budget comes back as uptime passes, not by resets."""
    region, port = new_region(), Ticks()
    for number in range(4):
        made = Clock(region, port)
        assert not made.is_spent(), number
        made.note_erase()
    for _ in range(3):
        assert Clock(region, port).is_spent()
    made = Clock(region, port)
    wait(made, DAY - 1)
    assert made.is_spent()
    wait(made, 1)
    assert not made.is_spent()


def test_an_erase_that_cannot_be_counted_is_not_done():
    """Flash that takes no snapshot: polling goes on, an erase is refused."""
    made = at_work()
    made._snapshots.journal.region.flash.program = lambda offset, data: None
    wait(made, 2 * HOUR)
    assert made.fault == codes.REASON_FLASH_READ_BACK
    assert refused(made.note_erase) == codes.REASON_FLASH_READ_BACK


def test_what_is_received_does_not_wear_the_flash():
    """A thousand offers in an hour are one snapshot."""
    made = at_work()
    erased = []
    made._snapshots.journal.region.flash.erase = erased.append
    for number in range(1000):
        made.attest(ANCHOR, factory.ISSUED + number, DIRECTOR)
    wait(made, HOUR)
    assert clock._readable(made._snapshots.value()).uptime == HOUR
    assert int.from_bytes(made._snapshots._newest[:8], "big") == 0
    assert erased == []
