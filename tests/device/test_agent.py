"""The agent against a world that is honest, cut off, or lying: what it installs, refuses, and says."""

import asyncio

import factory
import simulator
from simulator import World

from pawl import agent, codes, index, topics
from pawl.compat import sha256
from pawl.session import Session

OK = codes.REASON_OK


def installed(world):
    """Return the sequence number in the ratchet's cells."""
    return world.board.storage.ratchet().reading.roles[codes.IMAGE_APP].sequence


def test_update_from_offer_to_signed_report():
    """Download, reset, trial, confirm: two boots, and a signed `installed`."""
    world = World()
    world.publish(factory.release(sequence=2, version=(2,)))
    world.run()
    assert world.is_reset
    assert installed(world) == 1
    world.run()
    assert not world.is_reset
    assert installed(world) == 2
    assert world.reports() == [
        (codes.EVENT_STARTED, OK),
        (codes.EVENT_INSTALLED, OK),
        (codes.EVENT_STARTED, codes.REASON_ALREADY_INSTALLED),
    ]
    assert world.agent.state == "IDLE"


def test_nothing_to_do():
    """A director that wants nothing is answered by waiting."""
    world = World()
    before = bytes(world.board.flash.store)
    world.run()
    assert not world.is_reset
    assert world.reports() == [(codes.EVENT_STARTED, OK)]
    world.run()
    assert world.hello.running == codes.RUNNING_A
    assert bytes(world.board.flash.store[0x9000:]) == before[0x9000:]


def test_what_runs_is_not_installed_again():
    """An offer of the running release is `already-installed`, and writes nothing."""
    world = World()
    world.publish(factory.release(sequence=1))
    world.run()
    assert not world.is_reset
    assert world.broker.fetched == [topics.release(world.wanted)]
    assert world.reports()[-1] == (codes.EVENT_STARTED, codes.REASON_ALREADY_INSTALLED)


def test_a_cut_download_goes_on_where_it_stopped():
    """After the link was lost, blocks that are in the slot are not fetched again."""
    world = World()
    world.publish(factory.release(sequence=2, version=(2,)))
    world.broker.cut_after = 3
    world.run(timeout_s=3)
    assert world.is_reset
    blocks = [
        topic for topic in world.broker.fetched if topic.split("/")[-1] in ("0", "1") and "/b/" in topic
    ]
    assert sorted(blocks) == sorted(set(blocks))
    assert len(blocks) == 2


def refused(world):
    """Run, and return the reason that the device reported; it must not have touched what runs."""
    before = world.board.storage.slots[0].status()
    world.run()
    assert not world.is_reset
    assert world.board.storage.slots[0].status() == before
    assert installed(world) == 1
    events = [pair for pair in world.reports() if pair[0] == codes.EVENT_REFUSED]
    assert len(events) == 1
    return events[0][1]


def test_spoiled_envelope_index_and_blocks():
    """Whatever the broker hands out instead of what was signed is refused by its name (T28)."""
    for spoil, reason in (
        (
            lambda retained, release, listing, block: flip(retained, release, -30),
            codes.REASON_MANIFEST_DIGEST,
        ),
        (lambda retained, release, listing, block: flip(retained, release, 60), codes.REASON_UNAUTHORISED),
        (lambda retained, release, listing, block: flip(retained, listing, 9), codes.REASON_INDEX_DIGEST),
        (lambda retained, release, listing, block: flip(retained, block, 9), codes.REASON_BLOCK_DIGEST),
        (lambda retained, release, listing, block: cut(retained, block), codes.REASON_BLOCK_DIGEST),
        (lambda retained, release, listing, block: grow(retained, block), codes.REASON_BLOCK_DIGEST),
    ):
        world = World()
        digest = world.publish(factory.release(sequence=2, version=(2,)))
        listing = next(topic for topic in world.broker.retained if topic.endswith("/i"))
        block = listing[:-1] + "0/0"
        spoil(world.broker.retained, topics.release(digest), listing, block)
        assert refused(world) == reason


def flip(retained, topic, place):
    """Flip one bit of a retained message."""
    changed = bytearray(retained[topic])
    changed[place] ^= 1
    retained[topic] = bytes(changed)


def cut(retained, topic):
    """Drop the last byte of a retained message."""
    retained[topic] = retained[topic][:-1]


def grow(retained, topic):
    """Append a byte to a retained message."""
    retained[topic] = retained[topic] + b"\x00"


def test_releases_that_are_not_for_this_device_now():
    """A stranger's, an older, an equal but different, one too large: refused before anything is erased."""
    for raw, reason in (
        (factory.release(sequence=2, signers=(factory.STRANGER,)), codes.REASON_UNAUTHORISED),
        (factory.release(sequence=0), codes.REASON_SEQUENCE_LOW),
        (factory.release(sequence=1, version=(7,)), codes.REASON_SEQUENCE_REUSED),
        (factory.release(sequence=2, version=(0, 9)), codes.REASON_VERSION_LOW),
        (factory.release(sequence=1025 << 32), codes.REASON_EPOCH_JUMP),
        (factory.release(sequence=2, image=bytes(5 * 4096)), codes.REASON_SLOT_TOO_SMALL),
    ):
        world = World()
        world.publish(raw)
        before = bytes(world.board.storage.regions["page_b"].view(0, 4096))
        assert refused(world) == reason
        assert bytes(world.board.storage.regions["page_b"].view(0, 4096)) == before


def test_another_release_under_the_offered_name():
    """The broker can't answer an offer with a release of its choice, however well signed."""
    world = World()
    other = world.publish(factory.release(sequence=3, version=(3,)))
    digest = world.publish(factory.release(sequence=2, version=(2,)))
    world.broker.retained[topics.release(digest)] = world.broker.retained[topics.release(other)]
    assert refused(world) == codes.REASON_MANIFEST_DIGEST


def test_lying_offers_are_counted_and_followed_by_nothing():
    """Rows 1 and 3: no job begins, nothing is fetched, the next hello tells how many there were."""
    for changes, reason in (
        ({"signer": factory.RELEASE}, codes.REASON_OFFER_SIGNATURE),
        ({"device": "bench-2"}, codes.REASON_OFFER_DEVICE),
        ({"nonce": b"\x99" * 16}, codes.REASON_OFFER_NONCE),
        ({"anchor": (2, bytes(32))}, codes.REASON_ANCHOR_BEHIND),
        ({"anchor": (1, bytes(32))}, codes.REASON_ANCHOR_FORK),
    ):
        world = World()
        world.publish(factory.release(sequence=2, version=(2,)))
        world.changes = changes
        world.run()
        assert not world.is_reset
        assert world.broker.fetched == []
        assert world.agent.refusals == {reason: 1}


def test_unhealthy_application_is_not_confirmed():
    """VERIFY without a healthy application ends in REVERT: a reset, and no `installed`."""
    world = World()
    world.publish(factory.release(sequence=2, version=(2,)))
    world.run()
    world.is_app_healthy = False
    for _ in range(3):
        world.run()
        assert world.is_reset
    world.is_app_healthy = True
    world.run()
    assert installed(world) == 1
    assert world.hello.running == codes.RUNNING_A
    assert (codes.EVENT_REVERTED, codes.REASON_TRIALS) in world.reports()
    assert (codes.EVENT_INSTALLED, OK) not in world.reports()


def test_a_failed_release_is_quarantined():
    """After a revert the same offer is refused; the next attempt must be asked for by number."""
    world = World()
    world.publish(factory.release(sequence=2, version=(2,)))
    world.run()
    world.is_app_healthy = False
    for _ in range(3):
        world.run()
    world.is_app_healthy = True
    world.run()
    assert world.reports()[-1] == (codes.EVENT_REFUSED, codes.REASON_QUARANTINED)
    world.changes = {"attempt": 2}
    world.run()
    assert world.is_reset
    world.run()
    assert installed(world) == 2


def test_pending_needs_an_offer_that_still_stands():
    """A director that withdrew the offer during the download is obeyed: written, never pending."""
    world = World()
    world.publish(factory.release(sequence=2, version=(2,)))
    loader, decision = world.board.boot()
    made = agent.Agent(world.port, loader, decision, world.board.counter, world.check_health)

    async def walk():
        made.state = "IDLE"
        assert await made._idle() == "OFFERED"
        assert await made._download() == "COMPLETE"
        world.number = 1
        made.offers.accept(world.offer(action=codes.OFFER_HOLD, digest=None, attempt=None))
        return await made._install()

    assert simulator.asyncio.run(walk()) == "REFUSED"
    assert made.reason == codes.REASON_NO_OFFER
    assert world.board.storage.slots[1].status().state == codes.SLOT_WRITTEN


def test_a_torn_mark_of_an_install_does_not_block_it():
    """After a cut in the middle of `written` or `pending` the same offer installs the release all the same."""
    for unit in (2, 3):
        world = World()
        world.publish(factory.release(sequence=2, version=(2,)))
        slot = world.board.put(1, factory.release(sequence=2, version=(2,)))
        slot.begin(world.wanted, world.broker.retained[topics.release(world.wanted)])
        if unit == 3:
            slot.mark_written()
        slot.page.flash.store[slot.page.start + unit * 32] = 0
        world.run()
        assert world.is_reset, unit
        world.run()
        assert installed(world) == 2


def test_a_fallback_says_so():
    """When the newest confirmed slot is rotten, `started` carries the reason that another one runs."""
    world = World()
    world.publish(factory.release(sequence=2, version=(2,)))
    world.run()
    world.run()
    world.wanted = None
    world.board.flip("image_b", 3)
    world.run()
    assert world.reports()[-1] == (codes.EVENT_STARTED, codes.REASON_FALLBACK)
    assert world.hello.running == codes.RUNNING_A


def during_download(world, **changes):
    """Let the director send one more offer, with changes, while the first block is fetched."""
    sent = []

    async def send(topic):
        if topic.split("/")[1] == "b" and not topic.endswith("/i") and not sent:
            sent.append(topic)
            world.number += 1
            world.wanted = changes.pop("release", world.wanted)
            await world.broker.deliver(topics.offer(simulator.partition(), "bench-1"), world.offer(**changes))

    world.broker.on_fetch = send


def test_an_offer_withdrawn_in_mid_download():
    """`hold` and `none` end the job before anything becomes pending (policy row 2)."""
    for action in (codes.OFFER_HOLD, codes.OFFER_NONE):
        world = World()
        world.publish(factory.release(sequence=2, version=(2,)))
        during_download(world, action=action, digest=None, attempt=None)
        assert refused(world) == codes.REASON_NO_OFFER
        assert world.board.storage.slots[1].status().state == codes.SLOT_EMPTY


def test_an_offer_replaced_in_mid_download():
    """The newest offer counts: what it names is installed, in the same run."""
    world = World()
    newer = world.publish(factory.release(sequence=3, version=(3,), image=bytes(9000)))
    world.publish(factory.release(sequence=2, version=(2,)))
    during_download(world, release=newer, digest=newer)
    world.run(timeout_s=4)
    assert world.is_reset
    assert world.board.storage.slots[1].status().digest == newer


def test_hold_counts_whatever_anchor_it_names():
    """A director with a newer anchor can still stop a device that has not walked to it."""
    world = World()
    world.publish(factory.release(sequence=2, version=(2,)))
    during_download(world, action=codes.OFFER_HOLD, digest=None, attempt=None, anchor=(9, bytes(32)))
    assert refused(world) == codes.REASON_NO_OFFER


def test_a_start_delay_is_kept():
    """While it lasts nothing is fetched; when it is over the job begins."""
    world = World()
    world.publish(factory.release(sequence=2, version=(2,)))
    world.changes = {"delay_s": 60}
    world.run()
    assert (world.is_reset, world.broker.fetched) == (False, [])
    world.changes = {"delay_s": 1}
    world.port.step_ms = 600
    world.run(timeout_s=4)
    assert world.is_reset


def test_a_release_that_is_gone_does_not_hold_the_device():
    """With the envelope missing on the broker, the next offer is read and followed."""
    Session.answer_timeout_s = 0.05
    world = World()
    newer = world.publish(factory.release(sequence=3, version=(3,)))
    gone = world.publish(factory.release(sequence=2, version=(2,)))
    world.broker.retained.pop(topics.release(gone))
    hellos = []

    async def answer(hello):
        hellos.append(hello)
        world.wanted = gone if len(hellos) == 1 else newer
        await world.answer(hello)

    world.broker.on_hello = answer
    world.run(timeout_s=3)
    Session.answer_timeout_s = 30
    assert world.is_reset
    assert world.board.storage.slots[1].status().digest == newer


def test_junk_signatures_cost_no_erase():
    """A broker that adds blocks to the envelope and cuts the link makes nobody erase the page again (wear)."""
    world = World()
    digest = world.publish(factory.release(sequence=2, version=(2,)))
    good = factory.bundle.suit.Envelope(world.broker.retained[topics.release(digest)])
    erased = []
    erase = world.board.flash.erase
    world.board.flash.erase = lambda offset: (erased.append(offset), erase(offset))
    for junk in range(3):
        authentication = factory.cbor.encode([good.digest_item, bytes([0x40 + junk])] + good.blocks)
        spoiled = factory.bundle.envelope_of(authentication, good.manifest)
        world.broker.retained[topics.release(digest)] = spoiled
        world.broker.cut_after = 2
        world.run()
        assert not world.is_reset
    page = world.board.storage.regions["page_b"].start
    assert erased.count(page) == 1
    kept = factory.bundle.suit.Envelope(world.board.storage.slots[1].envelope())
    assert [bytes(block) for block in kept.blocks] == [bytes(block) for block in good.blocks]


def test_members_are_refused_before_they_are_kept():
    """An envelope stuffed with text members costs no heap: the first one is refused (T24, T40)."""
    world = World()
    digest = world.publish(factory.release(sequence=2, version=(2,)))
    good = factory.bundle.suit.Envelope(world.broker.retained[topics.release(digest)])
    members = {"%03d" % number: b"" for number in range(500)}
    stuffed = factory.bundle.envelope_of(good.authentication, good.manifest, members)
    world.broker.retained[topics.release(digest)] = stuffed
    assert refused(world) == codes.REASON_UNSIGNED_BYTES


def test_out_of_memory_ends_the_job_and_not_the_device():
    """A MemoryError in a job is a failure with a name; the agent goes on (T40)."""
    world = World()
    world.publish(factory.release(sequence=2, version=(2,)))

    async def fail(topic):
        raise MemoryError

    world.broker.on_fetch = fail
    assert refused(world) == codes.REASON_OUT_OF_MEMORY
    assert world.agent.state == "IDLE"


def test_strange_messages_do_not_extend_a_wait():
    """A timeout is one deadline, whatever else arrives (T10)."""

    async def walk():
        session = Session(lambda on_message: simulator.Client(broker, on_message), "offer")
        await session.open()

        async def chatter():
            while True:
                await broker.deliver("something/else", b"x")
                await simulator.asyncio.sleep(0.01)

        talking = simulator.asyncio.create_task(chatter())
        got = await simulator.asyncio.wait_for(session.next_offer(0.1), 2)
        talking.cancel()
        session.close()
        return got

    broker = simulator.Broker()
    assert simulator.asyncio.run(walk()) is None


def test_former_signers_repair():
    """A release under a boot set may be installed again where it rotted: it is the one the ratchet names (row 6)."""
    values = factory.anchor_values()
    values[codes.ANCHOR_ROLES] = {codes.ROLE_APP_RELEASE: [[1, [3]], [[1, [2]]]]}
    world = World()
    world.board = simulator.Board(anchor_values=values)
    world.anchor = factory.trust.load(world.board.anchor_file, factory.verify)
    world.publish(factory.release(sequence=1))
    world.run()
    world.board.flip("image_a", 5)
    world.run()
    assert world.is_reset
    world.run()
    assert world.hello.running == codes.RUNNING_B
    assert installed(world) == 1


def test_a_device_that_never_gets_to_check_in_is_still_updated():
    """After eight boots that ended early the recovery agent has its turn, and installs what is offered (row 7)."""
    world = World()
    for _ in range(8):
        world.board.boot()
    world.publish(factory.release(sequence=2, version=(2,)))
    world.run()
    assert world.hello.running == codes.RUNNING_RECOVERY
    assert world.is_reset
    world.run()
    assert installed(world) == 2


def test_the_recovery_agents_turn_ends_with_an_answer():
    """When the director wants nothing, the application boots again."""
    world = World()
    for _ in range(8):
        world.board.boot()
    world.run()
    assert world.reports()[-1] == (codes.EVENT_STARTED, codes.REASON_UNWELL)
    assert world.is_reset
    world.run()
    assert world.hello.running == codes.RUNNING_A


def test_the_recovery_agents_turn_lasts_while_an_install_waits():
    """An offer with a delay: the application that never gets to check in would not install it either; an hour is the end."""
    world = World()
    for _ in range(8):
        world.board.boot()
    world.publish(factory.release(sequence=2, version=(2,)))
    world.changes = {"delay_s": 600}
    world.run()
    assert not world.is_reset
    world.port.now_ms += 1000 * 600
    world.agent.state = "IDLE"
    world.is_reset = simulator.asyncio.run(world._run(0.3))
    assert world.is_reset
    world.run()
    assert installed(world) == 2


def test_recovery_agent_alone_can_repair():
    """With no slot left that boots, the agent installs what the director offers, and the device runs again."""
    world = World()
    world.board.flip("image_a", 10)
    world.publish(factory.release(sequence=2, version=(2,)))
    world.run()
    assert world.is_reset
    world.run()
    assert world.hello.running in (codes.RUNNING_A, codes.RUNNING_B)
    assert installed(world) == 2


def test_an_unanswered_hello_is_repeated_with_its_nonce():
    """Silence asks again under the same nonce; after an answer the next check-in opens another one."""
    world = World()
    world.broker.on_hello = world.note
    loader, decision = world.board.boot()
    made = agent.Agent(world.port, loader, decision, world.board.counter, world.check_health)

    async def walk():
        session = await made._online()
        await made.check_in.repeat(session, made.refusals)
        await world.answer(world.hello)
        made.offers.accept(await session.next_offer(1))
        await made.check_in.repeat(session, made.refusals)

    simulator.asyncio.run(walk())
    first, second, third = world.nonces
    assert first == second
    assert third != first


def test_out_of_memory_in_a_handler_is_named_too():
    """Where a block finds no room to be inflated, the job fails by name; the link stays (T40)."""
    world = World()
    world.publish(factory.release(sequence=2, version=(2,)))
    image = world.board.storage.regions["image_b"]
    program = world.board.flash.program

    def no_room(offset, data):
        if image.start <= offset < image.start + image.size:
            raise MemoryError
        program(offset, data)

    world.board.flash.program = no_room
    assert refused(world) == codes.REASON_OUT_OF_MEMORY


def test_out_of_memory_in_a_check_in_is_a_lost_link():
    """Half a check-in is none: the connection is closed, and the next one tells and installs as ever (T40)."""
    world = World()
    world.publish(factory.release(sequence=2, version=(2,)))
    sign = world.port.sign
    failures = [MemoryError()]

    def no_room(secret, message):
        if failures:
            raise failures.pop()
        return sign(secret, message)

    world.port.sign = no_room
    world.run(timeout_s=3)
    assert world.is_reset
    assert world.port.attempts == ["normal", "normal"]
    assert world.reports() == [(codes.EVENT_STARTED, OK)]


def test_out_of_memory_at_the_log_does_not_end_the_agent():
    """Where the log finds no room either, the refusal is told all the same (T40)."""
    world = World()
    world.publish(factory.release(sequence=2, version=(2,)))
    log = world.board.storage.regions["log"]
    program = world.board.flash.program

    def no_room(offset, data):
        if offset >= log.start or offset in range(*image_b(world)):
            raise MemoryError
        program(offset, data)

    world.board.flash.program = no_room
    assert refused(world) == codes.REASON_OUT_OF_MEMORY


def image_b(world):
    """Return where the image of slot B begins and ends."""
    region = world.board.storage.regions["image_b"]
    return region.start, region.start + region.size


def test_out_of_memory_while_inflating_fetches_plain_blocks():
    """A block that finds no room to be inflated is fetched as it is, and so is what follows: the update goes on (T40)."""
    world = World()
    world.publish(release_of_two_variants())
    first, end = image_b(world)
    program = world.board.flash.program
    failures = [MemoryError()]

    def no_room(offset, data):
        if failures and first <= offset < end:
            raise failures.pop()
        program(offset, data)

    world.board.flash.program = no_room
    world.run()
    assert world.is_reset
    fetched = [topic.split("/")[-2:] for topic in world.broker.fetched]
    blocks = [(variant, number) for variant, number in fetched if number.isdigit()]
    assert ("1", "0") in blocks and ("0", "0") in blocks, blocks
    world.run()
    assert installed(world) == 2


def release_of_two_variants():
    """Return a bundle whose index has a deflate variant, of blocks that it leaves as they are."""
    image = factory.IMAGE
    listing = index.write(image, index.cut(image))
    digest = sha256(listing)
    values = factory.manifest_values(2, (2,), image)
    values[codes.MANIFEST_INSTALL][1] = {codes.PARAMETER_URI: index.uri_of(digest)}
    manifest = factory.manifest_bytes(values)
    name = index.b64u(digest)
    members = {index.uri_of(digest): image, "#i:" + name: listing, "#p:" + name + ":1": image}
    signed = factory.authentication(manifest, (factory.RELEASE,))
    return factory.bundle.envelope_of(signed, manifest, members)


class TurnsClient(simulator.Client):
    """Delivers each message in a turn of its own, as a connection does."""

    async def subscribe(self, filters, qos):
        """Return before the first one has come."""
        self.delivery = asyncio.create_task(self.deliver(filters, qos))

    async def deliver(self, filters, qos):
        """Deliver what is retained on each topic."""
        for topic in filters:
            await super().subscribe([topic], qos)
            await asyncio.sleep(0)


def test_several_blocks_that_flash_does_not_keep_at_first():
    """All of a window are fetched once more: what the second one met doesn't end the fetch that comes after."""
    world = World()
    world.publish(factory.release(sequence=2, version=(2,), image=bytes([n % 251 for n in range(12000)])))
    first = image_b(world)[0]
    lost = [first, first + codes.BLOCK_BYTES]
    program = world.board.flash.program

    def forgetful(offset, data):
        if offset in lost:
            lost.remove(offset)
        else:
            program(offset, data)

    async def connect(identity, anchor, now_s):
        return lambda on_message: TurnsClient(world.broker, on_message)

    world.board.flash.program = forgetful
    world.port.connect = connect
    world.run(timeout_s=2)
    assert (lost, world.reports()) == ([], [(codes.EVENT_STARTED, OK)])
    assert world.is_reset
