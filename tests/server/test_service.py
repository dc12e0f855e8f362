"""The fleet server against a real mosquitto over mutual TLS; a paho client with a device's certificate is the device."""

import asyncio

import pytest
from fleet_bench import NOW_S, FakeFleetDevice, make_fleet, open_store
from release_factory import make_keys, make_release
from service_bench import BENCH, connected, run, running, server_settings, until

from pawl import bundle, codes, index, suit, topics
from pawl.errors import ManifestError
from pawl.manifest import Manifest
from pawl.ports.host.verifier import verify
from pawl_server.domain.changes import Changes, Outgoing
from pawl_server.domain.fleet import AssignmentState, Device
from pawl_server.events import AssignmentSettled, HelloReceived, MessageRefused, OfferSent, ReportReceived
from pawl_server.mqtt.link import LinkError
from pawl_server.outbox import OutboxSender
from pawl_server.service import FleetServer, UnknownError
from pawl_server.store import Store
from pawl_server.watchers import Watchers

IMAGE = bytes(range(256)) * 40


@pytest.fixture
def fleet(tmp_path):
    return make_fleet(tmp_path)


async def _install_as_a_device_does(link, fleet, nonce, digest):
    """Say hello, follow the offer to envelope, index and blocks, judged as a device judges; return offer and image."""
    link.subscribe(BENCH.offer_topic)
    await link.publish(BENCH.topic("hello"), BENCH.hello(nonce))
    topic, payload = await link.next()
    assert topic == BENCH.offer_topic
    offer = fleet.opened_offer(payload)
    assert (offer.nonce, offer.action, offer.digest) == (nonce, codes.OFFER_INSTALL, digest)
    envelope = suit.Envelope(await link.fetch(topics.release(offer.digest)))
    envelope.authenticate([fleet.anchor.role(codes.ROLE_APP_RELEASE)[0]], verify)
    assert envelope.digest == offer.digest and not envelope.payloads and not envelope.severed
    image = Manifest(envelope.manifest).images(codes.RUNNING_A)[0]
    listing = index.read(await link.fetch(topics.index(index.digest_of(image.uri))), image.uri, image.size)
    blocks = []
    for number in range(listing.blocks):
        block = await link.fetch(topics.block(index.digest_of(image.uri), listing.best.number, number))
        block = bytes(listing.decode(listing.best, number, block))
        blocks.append(block)
    return offer, b"".join(blocks)


def test_the_line_from_import_to_signed_success(bench, fleet):
    """A release reaches a device whole, and counts as installed when the device signed that it is."""

    async def scenario():
        async with running(bench, fleet) as server, connected(bench) as link:
            events = server.events()
            digest = await server.import_release(make_release(fleet.keys, image=IMAGE))
            await server.assign("bench-1", digest)
            offer, image = await _install_as_a_device_does(link, fleet, b"n" * 16, digest)
            assert image == IMAGE
            sent = await until(events, OfferSent)
            assert sent[0] == HelloReceived(device="bench-1", boots=1, running=codes.RUNNING_A)
            assert (await server.assignment("bench-1")).state == AssignmentState.OFFERED
            accepted = (offer.nonce, offer.number)
            report = BENCH.report(codes.EVENT_INSTALLED, boots=2, digest=digest, accepted=accepted)
            await link.publish(BENCH.topic("report"), report)
            told, settled = await until(events, AssignmentSettled)
            assert told == ReportReceived(device="bench-1", boots=2, number=1, event="installed", reason="ok")
            assert settled.state == AssignmentState.SUCCEEDED
            assert (await server.assignment("bench-1")).state == AssignmentState.SUCCEEDED

    with bench.broker():
        run(scenario)


def test_assigning_pushes_an_offer_under_the_open_nonce(bench, fleet):
    """A device that waits is told at once; holding stops it, with a higher number each time."""

    async def scenario():
        async with running(bench, fleet) as server, connected(bench) as link:
            link.subscribe(BENCH.offer_topic)
            await link.publish(BENCH.topic("hello"), BENCH.hello(b"n" * 16))
            offers = [fleet.opened_offer((await link.next())[1])]
            digest = await server.import_release(make_release(fleet.keys))
            await server.assign("bench-1", digest)
            offers.append(fleet.opened_offer((await link.next())[1]))
            await server.hold("bench-1")
            offers.append(fleet.opened_offer((await link.next())[1]))
            assert [(offer.number, offer.action) for offer in offers] == [
                (0, codes.OFFER_NONE),
                (1, codes.OFFER_INSTALL),
                (2, codes.OFFER_HOLD),
            ]
            assert (await server.assignment("bench-1")).state == AssignmentState.HELD

    with bench.broker():
        run(scenario)


def test_forged_and_replayed_reports_are_refused_and_the_next_good_one_counts(bench, fleet):
    """A refusal is an event with a name, and does not stop the line."""

    async def scenario():
        async with running(bench, fleet) as server, connected(bench) as link:
            events = server.events()
            good = BENCH.report(codes.EVENT_STARTED)
            for payload, reason in (
                (BENCH.report(codes.EVENT_STARTED, keys=FakeFleetDevice(name="x").keys), "unauthorised"),
                (b"\xff", "malformed"),
            ):
                await link.publish(BENCH.topic("report"), payload)
                (refused,) = await until(events, MessageRefused)
                assert refused == MessageRefused(device="bench-1", where="report", reason=reason)
            await link.publish(BENCH.topic("report"), good)
            assert len(await until(events, ReportReceived)) == 1
            await link.publish(BENCH.topic("report"), good)
            (refused,) = await until(events, MessageRefused)
            assert refused.reason == "replayed"

    with bench.broker():
        run(scenario)


def test_a_killed_server_goes_on_where_it_was(bench, fleet):
    """What was assigned while the device was away, and said while the server was away, is not lost."""

    async def scenario():
        async with running(bench, fleet) as server:
            digest = await server.import_release(make_release(fleet.keys, image=IMAGE))
            await server.assign("bench-1", digest)
        async with connected(bench) as link:
            link.subscribe(BENCH.offer_topic)
            await link.publish(BENCH.topic("hello"), BENCH.hello(b"n" * 16))
            async with running(bench, fleet) as server:
                offer = fleet.opened_offer((await link.next())[1])
                assert (offer.action, offer.digest) == (codes.OFFER_INSTALL, digest)
                assert (await server.device("bench-1")).next_number == 1

    with bench.broker():
        run(scenario)


def test_publishing_again_puts_the_same_there_again(bench, fleet):
    """Idempotent: the broker keeps one retained message a topic."""

    async def scenario():
        async with running(bench, fleet) as server, connected(bench) as link:
            raw = make_release(fleet.keys, image=IMAGE)
            digest = await server.import_release(raw)
            assert await server.import_release(raw) == digest
            await server.publish_release(digest)
            await server.publish_release(digest)
            envelope = await link.fetch(topics.release(digest))
            assert envelope == bundle.open_bundle(raw, fleet.anchor, verify).wire_envelope()

    with bench.broker():
        run(scenario)


def test_what_is_unknown_or_refused_changes_nothing(bench, fleet):
    """Unknown devices and releases, and bundles that a device would refuse."""

    async def scenario():
        async with running(bench, fleet) as server:
            digest = await server.import_release(make_release(fleet.keys))
            for call in (
                server.assign("ghost", digest),
                server.hold("ghost"),
                server.assign("bench-1", bytes(32)),
                server.publish_release(bytes(32)),
            ):
                with pytest.raises(UnknownError):
                    await call
            with pytest.raises(ManifestError) as caught:
                await server.import_release(make_release(make_keys()))
            assert caught.value.code == codes.REASON_UNAUTHORISED
            assert await server.assignment("bench-1") is None

    with bench.broker():
        run(scenario)


def test_every_watcher_is_told_and_a_stop_ends_the_watch(bench, fleet):
    """Two watchers see the same events; iteration ends with the server."""

    async def scenario():
        async with running(bench, fleet) as server, connected(bench) as link:
            watchers = [server.events(), server.events()]
            await link.publish(BENCH.topic("hello"), BENCH.hello(b"n" * 16))
            first = await until(watchers[0], OfferSent)
        rest = [event async for event in watchers[1]]
        assert rest == first

    with bench.broker():
        run(scenario)


def test_a_server_without_a_broker_says_so(bench, fleet):
    """It doesn't start half: the error names the address, and the store is closed again."""

    async def scenario():
        server = FleetServer(server_settings(bench, fleet, start_timeout_s=0.5), lambda: NOW_S)
        with pytest.raises(LinkError, match="no link to the broker at"):
            await server.start()

    run(scenario)


def test_what_the_broker_did_not_take_is_sent_again(fleet, caplog):
    """An offer leaves the outbox when the broker has it, and not before; the fault is logged."""
    watchers = Watchers(queue_max=10)
    attempts = []

    async def publish(message):
        attempts.append(message.payload)
        if len(attempts) == 1:
            raise LinkError("refused")

    async def scenario():
        async with open_store(Store(fleet.folder / "pawl.sqlite", watchers.tell)) as store:
            async with store.writing() as transaction:
                await transaction.enroll(Device(enrolment=BENCH.enrolment))
                offer = Outgoing(topic=BENCH.offer_topic, payload=b"offer", device="bench-1")
                await transaction.write(Changes(offers={"bench-1": offer}), NOW_S)
            events = watchers.watch()
            outbox = OutboxSender(store, publish, retry_s=0.01, prepare=_nothing)
            sender = asyncio.create_task(outbox.run())
            assert await until(events, OfferSent) == [OfferSent(device="bench-1")]
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
            async with store.reading() as transaction:
                assert await transaction.unsent() == []

    run(scenario)
    assert attempts == [b"offer", b"offer"]
    assert "the outbox was not sent" in caplog.text


async def _nothing():
    """Nothing has to be published before."""


def test_a_watcher_that_does_not_keep_up_loses_the_oldest():
    """It never holds up the server."""

    async def scenario():
        watchers = Watchers(queue_max=2)
        events = watchers.watch()
        watchers.tell([OfferSent(device=name) for name in ("a", "b", "c")])
        return [(await anext(events)).device for _ in range(2)]

    assert asyncio.run(scenario()) == ["b", "c"]
