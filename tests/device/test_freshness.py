"""Freshness and time at the agent: a freeze is noticed, an anchor expires by the rule only, a nonce closes."""

import factory
import simulator
from simulator import World

from pawl import agent, codes, health

DAY = 86400
EXPIRY = factory.ISSUED + 1000000


def pass_time(world, seconds):
    """Let uptime pass for the agent that ran last, polled hourly."""
    while seconds > 0:
        world.port.now_ms += 1000 * min(seconds, 3600)
        world.agent.clock.uptime_s()
        seconds -= 3600


def refusals(world):
    """Return the reasons of the refusals that were reported."""
    return [reason for event, reason in world.reports() if event == codes.EVENT_REFUSED]


def test_t04_silence_makes_the_device_stale():
    """After 24 h of uptime without an accepted offer the application is told so; over a reset too, until one comes."""
    world = World()
    world.run()
    pass_time(world, DAY - 1)
    assert not health.stale()
    pass_time(world, 1)
    assert health.stale()
    world.broker.on_hello = world.note
    world.run()
    assert health.unanswered_s() == DAY
    assert health.stale()
    world.broker.on_hello = world.answer
    world.run()
    assert not health.stale()


def test_the_application_may_object():
    """Until it allows; also before the agent runs."""
    world = World()
    world.run()
    assert health.is_authorised(0)
    health.postpone()
    assert not health.is_authorised(0)
    health.allow()
    assert health.is_authorised(0)
    health.postpone()
    world.run()
    assert not health.is_authorised(0)
    health.allow()


def test_t04_every_answered_check_in_is_signed():
    """Once per check-in, with its nonce; further offers under it are not told again; silence is not signed."""
    world = World()
    world.run()
    nonce = world.nonce
    assert world.checks() == [(nonce, 0)]
    world.run()
    assert world.checks() == [(nonce, 0), (world.nonce, 0)]
    world.broker.on_hello = world.note
    world.run()
    assert len(world.checks()) == 2


def test_a_second_offer_under_a_nonce_is_not_told_again():
    """The server counts check-ins, not offers."""
    world = World()
    made = new_agent(world)

    async def walk():
        await made._idle()
        world.number = 1
        await world.broker.deliver(simulator.topics.offer(simulator.partition(), "bench-1"), world.offer())
        await made._idle()

    simulator.asyncio.run(walk())
    assert made.offers.number == 1
    assert world.checks() == [(world.nonce, 0)]


def checked_reasons(world):
    """Return the reasons of the answered check-ins."""
    return [report.reason for report in world.signed_reports() if report.event == codes.EVENT_CHECKED]


def test_t04_an_anchor_that_is_withheld_is_told():
    """The director goes by a newer one, or by another one of ours, and asks for nothing: followed, counted, and signed."""
    world = World()
    file = world.publish_anchor(2)
    world.broker.retained.clear()
    world.run()
    assert (checked_reasons(world), world.reports()) == ([codes.REASON_ANCHOR_BEHIND], [(1, 0)])
    assert world.agent.refusals == {codes.REASON_ANCHOR_BEHIND: 1}
    world.anchor = factory.trust.load(factory.anchor_of(1, ca=[b"other"]), factory.verify)
    world.run()
    assert checked_reasons(world)[1:] == [codes.REASON_ANCHOR_FORK]
    world.anchor = factory.trust.load(file, factory.verify)
    world.broker.retained[simulator.topics.anchor(2)] = file
    world.run()
    assert checked_reasons(world)[2:] == [codes.REASON_OK]


def new_agent(world):
    """Boot, and return the agent without running it."""
    loader, decision = world.board.boot()
    return agent.Agent(world.port, loader, decision, world.board.counter, world.check_health)


def test_t03_a_nonce_closes_after_a_day():
    """An offer that was kept back for longer is dropped; the next hello has another nonce."""
    world = World()
    world.publish(factory.release(sequence=2, version=(2,)))
    world.broker.on_hello = world.note
    made = new_agent(world)

    async def walk():
        session = await made._online()
        world.port.now_ms += 1000 * DAY
        await world.answer(world.hello)
        made._take(await session.next_offer(1))
        assert made.refusals == {codes.REASON_OFFER_NONCE: 1}
        world.broker.on_hello = world.note
        await made.check_in.repeat(session, made.refusals)

    simulator.asyncio.run(walk())
    assert world.nonces[0] != world.nonces[1]
    assert made.offers.current is None


def attest(world, time):
    """Check in, and be told this time and to do nothing."""
    world.wanted = None
    world.changes = {"time": time}
    world.run()


def test_t32_an_expired_anchor_installs_nothing_new():
    """By two offers past its expiry, a day of uptime apart: refused by name, nothing erased, what runs goes on."""
    world = World()
    attest(world, EXPIRY + 1)
    pass_time(world, DAY)
    before = bytes(world.board.storage.regions["page_b"].view(0, 4096))
    world.publish(factory.release(sequence=2, version=(2,)))
    world.changes = {"time": EXPIRY + 1 + DAY}
    world.run()
    assert not world.is_reset
    assert refusals(world) == [codes.REASON_ANCHOR_EXPIRED]
    assert bytes(world.board.storage.regions["page_b"].view(0, 4096)) == before
    assert world.hello.running == codes.RUNNING_A
    assert [entry.code for entry in world.board.storage.log().entries()] == [codes.REASON_ANCHOR_EXPIRED]


def test_t32_a_thief_with_the_far_future_stops_no_update():
    """One offer of the year 36812 neither expires the anchor nor outlives the next honest one."""
    world = World()
    attest(world, 1 << 40)
    pass_time(world, DAY)
    world.publish(factory.release(sequence=2, version=(2,)))
    world.changes = {"time": factory.ISSUED + DAY}
    world.run()
    assert world.is_reset
    assert refusals(world) == []


def test_t03_the_floor_outlives_a_reset_and_a_replayed_time():
    """What was attested and kept is told in the next boot's hello."""
    world = World()
    attest(world, factory.ISSUED + 5000)
    pass_time(world, 3600)
    attest(world, factory.ISSUED)
    assert world.hello.time_floor == factory.ISSUED + 5000 + 3600
