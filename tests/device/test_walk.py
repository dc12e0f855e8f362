"""Root rotation as an agent does it: anchors before offers, junk that costs nothing, and what a new anchor changes."""

import factory
import simulator
from simulator import World

from pawl import codes, topics
from pawl.anchor_session import AnchorSession

OK = codes.REASON_OK
ACCEPTED = (codes.EVENT_NOTICED, codes.REASON_ANCHOR_ACCEPTED)
NEW_DIRECTOR = factory.TestKey(107)


def ratchet(world):
    """Return (sequence number, anchor version) in the ratchet's cells."""
    reading = world.board.storage.ratchet().reading
    return reading.roles[codes.IMAGE_APP].sequence, reading.anchor[0]


def running_digest(world):
    """Return the manifest digest of what the board runs from slot A."""
    return world.board.storage.slots[0].status().digest


def once(broker, is_wanted, act):
    """Do something once, at the first fetch of a topic for which `is_wanted` holds."""
    done = []

    async def watch(topic):
        if is_wanted(topic) and not done:
            done.append(topic)
            await act()

    broker.on_fetch = watch


def is_block(topic):
    """Return whether this is the topic of a block."""
    return topic.startswith("pawl/b/") and not topic.endswith("/i")


def test_three_steps_before_the_offer():
    """All of them at one connection, each kept; the first hello names the last, and its offer is followed at once."""
    world = World()
    for version in (2, 3, 4):
        world.publish_anchor(version)
    world.publish(factory.release(sequence=2, version=(2,)))
    world.run()
    assert world.is_reset
    assert ratchet(world) == (1, 4)
    assert world.hello.anchor == (4, world.anchor.digest)
    assert world.agent.refusals == {}
    assert world.reports().count(ACCEPTED) == 1
    world.run()
    assert ratchet(world) == (2, 4)
    assert world.reports().count(ACCEPTED) == 1


def test_an_offer_waits_for_the_walk():
    """An anchor and an offer that names it come together, with the answer or later: the anchor goes first."""
    for wait_s in (0, 0.05):
        world = World()
        world.publish(factory.release(sequence=2, version=(2,)))

        async def send(at=world, after_s=wait_s):
            await simulator.asyncio.sleep(after_s)
            file = at.publish_anchor(2)
            await at.broker.deliver(topics.offer(simulator.partition(), "bench-1"), at.offer())
            await at.broker.deliver(topics.anchor(2), file)

        async def answer(hello, at=world, after_s=wait_s, sending=send):
            at.nonce = hello.nonce
            if after_s:
                simulator.asyncio.create_task(sending())
            else:
                await sending()

        world.broker.on_hello = answer
        world.run()
        assert world.is_reset
        assert world.agent.refusals == {}
        assert ratchet(world) == (1, 2)


def test_an_anchor_alone_is_told_and_asks_for_nothing():
    """Published to a whole fleet at once, it costs a report each: the next hello is the next check-in's."""
    world = World()

    async def answer(hello):
        await world.answer(hello)
        simulator.asyncio.create_task(later())

    async def later():
        await simulator.asyncio.sleep(0.05)
        await world.broker.retain(topics.anchor(2), world.publish_anchor(2))

    world.broker.on_hello = answer
    world.run()
    assert [kind for kind, _ in world.broker.up] == ["report", "hello", "report", "report"]
    assert world.reports()[-1] == ACCEPTED
    assert ratchet(world) == (1, 2)


def test_an_offer_of_a_newer_anchor_is_asked_for_again_after_the_walk():
    """Refused as `anchor-behind` when it comes first; the walk asks at once, not in the next hour."""
    world = World()
    world.publish(factory.release(sequence=2, version=(2,)))
    hellos = []

    async def answer(hello):
        hellos.append(hello)
        if len(hellos) == 1:
            world.nonce, world.number, wanted = hello.nonce, 0, world.wanted
            world.wanted = None
            await world.broker.deliver(topics.offer(simulator.partition(), "bench-1"), world.offer())
            world.wanted = wanted
            simulator.asyncio.create_task(push())
        else:
            await world.answer(hello)

    async def push():
        await simulator.asyncio.sleep(0.05)
        file = world.publish_anchor(2)
        world.number = 1
        await world.broker.deliver(topics.offer(simulator.partition(), "bench-1"), world.offer())
        await simulator.asyncio.sleep(0.05)
        await world.broker.retain(topics.anchor(2), file)

    world.broker.on_hello = answer
    world.run(timeout_s=2)
    assert world.is_reset
    assert world.agent.refusals == {codes.REASON_ANCHOR_BEHIND: 1}
    assert len(hellos) == 2


def test_a_gap_ends_the_walk_and_blocks_no_offer():
    """A document of another version than its topic says is counted; what follows it isn't looked at."""
    world = World()
    world.publish(factory.release(sequence=2, version=(2,)))
    world.broker.retained[topics.anchor(2)] = factory.anchor_of(3)
    world.broker.retained[topics.anchor(3)] = factory.anchor_of(3)
    world.run()
    assert world.is_reset
    assert world.agent.refusals == {codes.REASON_ANCHOR_VERSION: 1}
    assert ratchet(world)[1] == 1


def test_too_large_a_document_is_counted_and_nothing_more():
    """Of a message above the limit one byte too many is kept: enough to be refused by."""
    world = World()
    world.publish(factory.release(sequence=2, version=(2,)))
    world.broker.retained[topics.anchor(2)] = bytes(codes.ANCHOR_MAX_BYTES + 1000)
    world.run()
    assert world.is_reset
    assert world.agent.refusals == {codes.REASON_ANCHOR_INVALID: 1}
    assert ratchet(world)[1] == 1


def test_junk_costs_one_judgement_until_the_next_check_in():
    """Repeated junk is judged once; then the right one is taken at the next check-in."""
    world = World()
    judged = []
    made = world.make_agent()
    accept = made.loader.anchors.accept
    made.loader.anchors.accept = lambda file: (judged.append(file), accept(file))[1]

    async def walk():
        session = await made._online()
        topic = topics.anchor(2)
        for junk in range(5):
            await world.broker.deliver(topic, b"junk %d" % junk)
            made.walk.interrupt(session)
        await made.walk.follow(session)
        await world.broker.retain(topic, world.publish_anchor(2))
        assert not await made.walk.follow(session)
        await world.broker.deliver(topic, b"more junk")
        assert session.anchor is None
        assert judged == [b"junk 0"]
        assert topic not in world.broker.subscribed
        await made.check_in.open(session, made.refusals)

    simulator.asyncio.run(walk())
    assert judged == [b"junk 0", factory.anchor_of(2)]
    assert made.refusals == {codes.REASON_ANCHOR_INVALID: 1}
    assert (world.hello.anchor[0], ratchet(world)[1]) == (2, 2)
    assert world.broker.subscribed >= {topics.anchor(3)}


def test_a_connection_walks_64_steps():
    """A chain without end is left for the next connection."""
    made = World().make_agent()
    for version in range(2, 66):
        assert made.walk.topic() == topics.anchor(version)
        assert made.walk.take(factory.anchor_of(version))
    assert made.walk.topic() is None
    made.walk.connected()
    assert made.walk.topic() == topics.anchor(66)


def test_a_connection_that_lasts_goes_on_walking():
    """With the next check-in: else a device that never loses its link would stay 64 steps after where it began."""
    made = World().make_agent()
    for version in range(2, 66):
        made.walk.take(factory.anchor_of(version))
    made.walk.check_in()
    assert made.walk.topic() == topics.anchor(66)


def test_both_copies_torn():
    """Nothing installs before the walk is at what the ratchet names; then, in the same boot, an offer is followed."""
    world = World()
    files = [world.publish_anchor(version) for version in (2, 3)]
    world.run()
    assert ratchet(world) == (1, 3)
    for name in ("anchor_a", "anchor_b"):
        world.board.flip(name, 60)
    world.publish(factory.release(sequence=2, version=(2,)))
    world.broker.retained.pop(topics.anchor(3))
    world.run()
    assert not world.is_reset
    assert world.agent.refusals == {codes.REASON_ANCHOR_BEHIND: 1}
    assert world.broker.fetched == []
    assert (world.hello.anchor[0], ratchet(world)[1]) == (2, 3)
    world.broker.retained[topics.anchor(3)] = files[1]
    world.run()
    assert world.is_reset
    assert ratchet(world) == (1, 3)
    world.run()
    assert ratchet(world) == (2, 3)


def test_a_fork_at_the_ratchets_version_is_never_accepted():
    """Another document of that version, however well signed, is counted: nothing installs."""
    world = World()
    world.publish_anchor(2)
    world.run()
    for name in ("anchor_a", "anchor_b"):
        world.board.flip(name, 60)
    world.publish(factory.release(sequence=2, version=(2,)))
    world.publish_anchor(2, barred=[bytes(32)])
    world.publish_anchor(3)
    world.run()
    assert not world.is_reset
    assert world.agent.refusals[codes.REASON_ANCHOR_FORK] == 1
    assert world.agent.running == codes.RUNNING_A
    assert world.broker.fetched == []
    assert ratchet(world) == (1, 2)


def test_a_new_directors_key_ends_what_the_old_one_offered():
    """In mid-download: the job goes no further, and what the new key signs is asked for and followed."""
    world = World()
    old = world.publish(factory.release(sequence=2, version=(2,)))
    new = world.publish(factory.release(sequence=3, version=(3,), image=bytes(9000)))
    world.wanted = old

    async def rotate():
        file = world.publish_anchor(2, keys=factory.keys_with(director=NEW_DIRECTOR))
        world.wanted = new
        world.changes = {"signer": NEW_DIRECTOR}
        await world.broker.retain(topics.anchor(2), file)

    once(world.broker, is_block, rotate)
    world.run()
    assert world.is_reset
    assert world.board.storage.slots[1].status().digest == new
    assert world.agent.refusals == {}


def test_the_old_directors_offers_are_refused():
    """After the rotation the old key signs for nobody."""
    world = World()
    world.publish(factory.release(sequence=2, version=(2,)))
    world.publish_anchor(2, keys=factory.keys_with(director=NEW_DIRECTOR))
    world.run()
    assert not world.is_reset
    assert world.agent.refusals == {codes.REASON_OFFER_SIGNATURE: 1}


def test_a_job_is_judged_again_by_an_anchor_that_came_meanwhile():
    """What is being downloaded is barred: it never becomes pending, and the report says so."""
    for is_wanted in (is_block, lambda topic: topic.startswith("pawl/r/")):
        world = World()
        digest = world.publish(factory.release(sequence=2, version=(2,)))

        async def bar(at=world, barred=digest):
            await at.broker.retain(topics.anchor(2), at.publish_anchor(2, barred=[barred]))

        once(world.broker, is_wanted, bar)
        world.run()
        assert not world.is_reset
        assert (codes.EVENT_REFUSED, codes.REASON_BARRED) in world.reports()
        assert world.board.storage.slots[1].status().state in (codes.SLOT_EMPTY, codes.SLOT_WRITTEN)


def test_a_job_that_the_new_anchor_allows_goes_on():
    """No block is fetched twice for it."""
    world = World()
    world.publish(factory.release(sequence=2, version=(2,)))

    async def rotate():
        await world.broker.retain(topics.anchor(2), world.publish_anchor(2))

    once(world.broker, is_block, rotate)
    world.run()
    assert world.is_reset
    blocks = [topic for topic in world.broker.fetched if is_block(topic)]
    assert len(blocks) == len(set(blocks)) == 2
    world.run()
    assert ratchet(world) == (2, 2)


def test_a_barred_release_goes_on_running_and_asks():
    """No reset until an install completes; a boot before that is the recovery agent's."""
    world = World()

    async def bar(hello):
        await world.answer(hello)
        world.broker.on_hello = world.answer
        simulator.asyncio.create_task(later())

    async def later():
        await simulator.asyncio.sleep(0.05)
        file = world.publish_anchor(2, barred=[running_digest(world)])
        await world.broker.retain(topics.anchor(2), file)

    world.broker.on_hello = bar
    world.run()
    assert not world.is_reset
    assert ratchet(world) == (1, 2)
    assert [kind for kind, _ in world.broker.up].count("hello") == 2
    assert world.reports()[-1] == ACCEPTED
    world.publish(factory.release(sequence=2, version=(2,)))
    world.run()
    assert world.hello.running == codes.RUNNING_RECOVERY
    assert world.is_reset
    world.run()
    assert ratchet(world) == (2, 2)


def test_a_recovery_agent_does_not_reset_for_an_application_that_is_barred():
    """Its turn after eight bad boots ends with a reset only if the application could boot."""
    world = World()
    for _ in range(8):
        world.board.boot()
    world.publish_anchor(2, barred=[running_digest(world)])
    world.run()
    assert world.reports()[0] == (codes.EVENT_STARTED, codes.REASON_UNWELL)
    assert not world.is_reset


def test_a_release_on_trial_that_is_barred_is_not_confirmed():
    """Whether the anchor comes with the check-in or just before the confirmation: it reverts, by its name."""
    for is_late in (False, True):
        world = World()
        digest = world.publish(factory.release(sequence=2, version=(2,)))
        world.run()
        assert world.is_reset
        file = world.publish_anchor(2, barred=[digest])

        async def health(at=world, anchor=file):
            await at.broker.retain(topics.anchor(2), anchor)
            return True

        if is_late:
            world.broker.retained.pop(topics.anchor(2))
            world.check_health = health
        world.run()
        assert world.is_reset
        assert world.agent.running == codes.RUNNING_B
        assert ratchet(world) == (1, 2)
        world.wanted = None
        world.run()
        assert world.hello.running == codes.RUNNING_A
        assert (codes.EVENT_REVERTED, codes.REASON_BARRED) in world.reports()
        assert (codes.EVENT_INSTALLED, OK) not in world.reports()


def fast_anchor_sessions(test):
    """Run a test with anchor sessions that wait for a document only briefly."""
    before = AnchorSession.answer_timeout_s
    AnchorSession.answer_timeout_s = 0.02
    try:
        test()
    finally:
        AnchorSession.answer_timeout_s = before


def test_a_replaced_authority_is_found_by_an_anchor_session():
    """TLS fails, the anchor session brings two steps, the next attempt is a normal one and stands (T33)."""
    world = World()
    world.port.authority = b"new"
    world.publish_anchor(2)
    world.publish_anchor(3, ca=[b"new"])
    world.publish(factory.release(sequence=2, version=(2,)))
    fast_anchor_sessions(lambda: world.run(timeout_s=3))
    assert world.is_reset
    assert world.port.attempts == ["normal", "anchors", "normal"]
    assert ratchet(world) == (1, 3)
    assert world.hello.anchor[0] == 3
    assert world.reports().count(ACCEPTED) == 1


def test_anchor_sessions_alternate_with_normal_attempts():
    """While neither helps, one follows the other; nothing is published over them, junk is refused."""
    world = World()
    world.port.authority = b"new"
    world.broker.retained[topics.anchor(2)] = b"junk"
    fast_anchor_sessions(lambda: world.run(timeout_s=2.5))
    assert world.port.attempts[:4] == ["normal", "anchors", "normal", "anchors"]
    assert world.broker.up == []
    assert set(world.agent.refusals) == {codes.REASON_ANCHOR_INVALID}
    assert ratchet(world)[1] == 1


def test_an_anchor_session_can_only_read():
    """What it offers is open, read, close: no way to publish, and no client to borrow."""
    session = AnchorSession(lambda on_message: simulator.Client(simulator.Broker(), on_message))
    surface = [name for name in dir(session) if not name.startswith("_")]
    assert sorted(surface) == ["answer_timeout_s", "close", "open", "read"]


def test_what_was_confirmed_may_be_barred_before_it_is_told():
    """The link is lost behind the confirm, and the next check-in brings an anchor that bars it: told, and running on."""
    world = World()
    digest = world.publish(factory.release(sequence=2, version=(2,)))
    world.run()
    loader, _ = world.board.boot()
    loader.confirm(codes.RUNNING_B)
    loader.anchors.accept(factory.anchor_of(2, barred=[digest]))
    loader.judge()
    loader.confirm(codes.RUNNING_B)
    assert ratchet(world) == (2, 2)
    assert world.board.storage.slots[1].status().state == codes.SLOT_CONFIRMED
