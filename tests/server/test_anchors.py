"""The chain of trust anchors: judged as devices judge it, published for them, followed by offers and releases."""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from fleet_bench import NOW_S, make_fleet, open_store
from release_factory import KeyPair, make_anchor, make_keys, make_release
from service_bench import BENCH, connected, run, running, server_settings, until

from pawl import codes, messages, topics, trust
from pawl.errors import ManifestError, TrustError
from pawl.index import b64u
from pawl.names import reason_name
from pawl.ports.host.verifier import verify
from pawl_server.anchor_publishing import AnchorPublisher
from pawl_server.configuration import ConfigurationError
from pawl_server.domain.changes import Changes, Outgoing
from pawl_server.domain.fleet import AssignmentState, Device
from pawl_server.domain.rollout import RolloutState
from pawl_server.events import AnchorImported, AssignmentSettled, OfferSent, RolloutChanged
from pawl_server.outbox import OutboxSender
from pawl_server.rollouts import group_by_group
from pawl_server.service import FleetServer
from pawl_server.signing import DirectorKeyError
from pawl_server.store import Store
from pawl_server.watchers import Watchers


@pytest.fixture
def fleet(tmp_path):
    return make_fleet(tmp_path)


def _anchor(fleet, version, *, barred=(), **keys):
    return make_anchor(replace(fleet.keys, **keys), version=version, barred=barred)


async def _opened(bench, fleet, **changes):
    server = FleetServer(server_settings(bench, fleet, **changes), lambda: NOW_S)
    await server.open()
    return server


async def _versions(server):
    return [one.version for one in await server.anchors()]


def _alone(scenario, bench, fleet, **changes):
    """Run a scenario over a server that has no broker."""

    async def main():
        server = await _opened(bench, fleet, **changes)
        try:
            return await scenario(server)
        finally:
            await server.store.close()

    return asyncio.run(main())


def test_anchors_follow_each_other_and_are_read_again_at_start(bench, fleet):
    """Version by version; a known one changes nothing; the chain outlives the process."""

    async def add(server):
        for version in (2, 3):
            assert await server.import_anchor(_anchor(fleet, version)) == version
        chain = await server.anchors()
        assert await server.import_anchor(chain[1].file) == 2
        return [one.version for one in chain]

    async def read(server):
        return await _versions(server), server._desk.authority.reference.version

    assert _alone(add, bench, fleet) == [1, 2, 3]
    assert _alone(read, bench, fleet) == ([1, 2, 3], 3)


def test_what_devices_would_not_walk_to_is_refused(bench, fleet):
    """A gap, an old version, a root of nobody, another anchor of the same version, and no anchor at all."""

    async def scenario(server):
        await server.import_anchor(_anchor(fleet, 2))
        for file, reason in (
            (_anchor(fleet, 4), codes.REASON_ANCHOR_VERSION),
            (_anchor(fleet, 2, barred=[bytes(32)]), codes.REASON_ANCHOR_VERSION),
            (_anchor(fleet, 3, root=KeyPair()), codes.REASON_ANCHOR_UNSIGNED),
            (make_anchor(make_keys(), version=3), codes.REASON_ANCHOR_UNSIGNED),
            (b"", codes.REASON_ANCHOR_INVALID),
        ):
            with pytest.raises(TrustError) as caught:
                await server.import_anchor(file)
            assert reason_name(caught.value.code) == reason_name(reason)
        assert await _versions(server) == [1, 2]

    _alone(scenario, bench, fleet)


def test_an_anchor_that_names_none_of_our_director_keys_is_refused(bench, fleet):
    """No device that walked to it would follow our offers; a second key file may be the one that it names."""
    following = KeyPair()
    file = _anchor(fleet, 2, director=following)
    path = fleet.folder / "director-2.pem"

    async def refused(server):
        with pytest.raises(DirectorKeyError, match=r"does not name the key in .*director\.pem as a director"):
            await server.import_anchor(file)
        return await _versions(server)

    async def taken(server):
        with pytest.raises(DirectorKeyError, match=r"cannot read .*director-2.pem"):
            await server.import_anchor(file)
        path.touch(mode=0o600)
        path.write_bytes(following.pem())
        await server.import_anchor(file)
        offer = messages.Offer("x", bytes(16), 0, 0, (2, bytes(32)), codes.OFFER_NONE, None, None, None)
        return messages.open_offer(server._desk.authority.signer.sign_offer(offer), [following.key], verify)

    assert _alone(refused, bench, fleet) == [1]
    assert _alone(taken, bench, fleet, next_director_key=path).device == "x"
    with pytest.raises(DirectorKeyError):
        _alone(_versions, bench, fleet)
    # The first key is history: nothing asks for it any more.
    assert _alone(_versions, bench, fleet, director_key=path) == [1, 2]


def test_another_first_anchor_or_a_changed_row_is_refused_at_start(bench, fleet):
    """What is configured and what is stored are one chain, and every step is judged again."""
    first = (fleet.folder / "anchor").read_bytes()

    async def add(server):
        await server.import_anchor(_anchor(fleet, 2))

    _alone(add, bench, fleet)
    (fleet.folder / "anchor").write_bytes(_anchor(fleet, 1))
    assert _alone(_versions, bench, fleet) == [1, 2]  # the same content, signed again
    (fleet.folder / "anchor").write_bytes(_anchor(fleet, 1, barred=[bytes(32)]))
    with pytest.raises(ConfigurationError, match="pawl server anchors add"):
        _alone(_versions, bench, fleet)
    (fleet.folder / "anchor").write_bytes(first)
    forged = make_anchor(make_keys(), version=2)
    with closing(sqlite3.connect(fleet.folder / "server" / "pawl.sqlite")) as connection, connection:
        connection.execute("UPDATE anchors SET file = ? WHERE digest != ?", (forged, fleet.anchor.digest))
    with pytest.raises(TrustError):
        _alone(_versions, bench, fleet)


async def _hello(link, nonce):
    await link.publish(BENCH.topic("hello"), BENCH.hello(nonce))


async def _offer(link, director):
    """Return the next offer that a device finds, under this director's key."""
    topic, payload = await link.next()
    assert topic == BENCH.offer_topic
    return messages.open_offer(payload, [director.key], verify)


async def _walk(link, anchor):
    """Follow the retained anchors as a device does, until there is none; return the last one."""
    while True:
        link.subscribe(topics.anchor(anchor.version + 1))
        try:
            _, payload = await asyncio.wait_for(link.next(timeout_s=1), 5)
        except TimeoutError:
            return anchor
        anchor = trust.successor(anchor, payload, verify)


def test_devices_walk_the_chain_and_offers_name_its_end(bench, fleet):
    """Published before the first offer that names it, and again on a broker that lost everything."""
    following = KeyPair()
    path = fleet.folder / "director-2.pem"
    path.touch(mode=0o600)
    path.write_bytes(following.pem())

    async def scenario(broker):
        async with running(bench, fleet, next_director_key=path) as server, connected(bench) as link:
            events = server.events()
            await server.import_anchor(_anchor(fleet, 2))
            await server.import_anchor(_anchor(fleet, 3, director=following))
            assert await until(events, AnchorImported) == [AnchorImported(version=2)]
            link.subscribe(BENCH.offer_topic)
            await _hello(link, b"n" * 16)
            offer = await _offer(link, following)
            last = await _walk(link, fleet.anchor)
            assert offer.anchor == (last.version, last.digest) and last.version == 3
            broker.stop()
            (bench.settings.folder / "mosquitto.db").unlink()
            broker.start()
            async with connected(bench, "bench-2") as other:
                # The server comes back when it comes back: this device waits for what it publishes then.
                for version in (1, 2, 3):
                    other.subscribe(topics.anchor(version))
                files = [await other.next() for _ in range(3)]
                chain = [(topics.anchor(one.version), one.file) for one in await server.anchors()]
                assert sorted(files) == chain

    with bench.broker() as broker:
        run(lambda: scenario(broker))


def test_the_anchors_are_on_the_broker_before_an_offer_is(fleet):
    """In order, and once a connection: after a reconnect they come before the next offer again."""
    sent = []

    async def publish(message):
        sent.append(message.topic)

    async def scenario():
        watchers = Watchers(queue_max=10)
        publisher = AnchorPublisher(fleet.chain, publish, retry_s=0.01)
        async with open_store(Store(fleet.folder / "pawl.sqlite", watchers.tell)) as store:
            async with store.writing() as transaction:
                await transaction.enroll(Device(enrolment=BENCH.enrolment))
            outbox = OutboxSender(store, publish, retry_s=0.01, prepare=publisher.ensure)
            sender = asyncio.create_task(outbox.run())
            for step in (lambda: None, lambda: None, publisher.on_reconnected):
                step()
                events = watchers.watch()
                async with store.writing() as transaction:
                    offer = Outgoing(topic=BENCH.offer_topic, payload=b"offer", device="bench-1")
                    await transaction.write(Changes(offers={"bench-1": offer}), NOW_S)
                outbox.wake()
                await until(events, OfferSent)
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)

    fleet.chain.read_again(_anchor(fleet, 2))
    run(scenario)
    anchors, offer = [topics.anchor(1), topics.anchor(2)], BENCH.offer_topic
    assert sent == [*anchors, offer, offer, *anchors, offer]


def test_an_import_that_nobody_waits_for_any_more_is_done_whole(bench, fleet):
    """Database and process go by the same anchor, though the request was given up."""

    async def scenario(server):
        asked = asyncio.create_task(server.import_anchor(_anchor(fleet, 2)))
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert await server.import_anchor(_anchor(fleet, 3)) == 3
        assert await _versions(server) == [1, 2, 3]

    _alone(scenario, bench, fleet)


def test_a_release_that_a_new_anchor_bars_is_offered_no_more(bench, fleet):
    """Its open assignments fail with the reason, visibly; import, assignment and rollouts are refused with it."""

    async def scenario():
        async with running(bench, fleet) as server, connected(bench) as link:
            events = server.events()
            link.subscribe(BENCH.offer_topic)
            await _hello(link, b"n" * 16)
            raw = make_release(fleet.keys)
            digest = await server.import_release(raw)
            await server.groups.set_devices("all", ["bench-1"])
            await server.rollouts.create(group_by_group(digest, ["all"]), "spring")
            while (await _offer(link, fleet.keys.director)).action != codes.OFFER_INSTALL:
                pass
            await server.import_anchor(_anchor(fleet, 2, barred=[digest]))
            settled = (await until(events, AssignmentSettled))[-1]
            assert (settled.state, settled.reason) == (AssignmentState.FAILED, "barred")
            assert (await _offer(link, fleet.keys.director)).action == codes.OFFER_NONE
            paused = (await until(events, RolloutChanged))[-1]
            assert (paused.state, paused.reason) == (
                RolloutState.PAUSED,
                "phase 1 (group all): 1 of 1 devices failed (bench-1: barred), 1 stop it",
            )
            for call in (server.import_release(raw), server.assign("bench-1", digest)):
                with pytest.raises(ManifestError) as caught:
                    await call
                assert caught.value.code == codes.REASON_BARRED
            assert (await server.assignment("bench-1")).state == AssignmentState.FAILED

    with bench.broker():
        run(scenario)


def test_a_release_that_is_not_signed_well_enough_any_more_is_offered_no_more(bench, fleet):
    """The new anchor has another release key; another release, which that key signed, is not touched."""
    renewed = KeyPair()

    async def scenario():
        async with running(bench, fleet) as server, connected(bench) as link:
            link.subscribe(BENCH.offer_topic)
            digest = await server.import_release(make_release(fleet.keys))
            await server.assign("bench-1", digest)
            await server.hold("bench-1")
            await server.import_anchor(_anchor(fleet, 2, release=renewed))
            failed = await server.assignment("bench-1")
            assert (failed.state, failed.reason) == (AssignmentState.FAILED, codes.REASON_UNAUTHORISED)
            keys = replace(fleet.keys, release=renewed)
            other = await server.import_release(make_release(keys, sequence=2))
            await server.assign("bench-1", other)
            await server.import_anchor(_anchor(fleet, 3, release=renewed, barred=[digest]))
            assert (await server.assignment("bench-1")).state == AssignmentState.ASSIGNED

    with bench.broker():
        run(scenario)


def test_a_device_can_not_publish_an_anchor(bench, fleet):
    """Only the server writes below pawl/k; what a device sends there, nobody gets."""

    async def scenario():
        async with running(bench, fleet) as server, connected(bench) as link:
            await server._anchor_publisher.ensure()
            await link.publish(topics.anchor(1), b"forged", retain=True)
            assert await link.fetch(topics.anchor(1)) == (fleet.folder / "anchor").read_bytes()
            await link.publish(topics.anchor(2), b"forged", retain=True)
            assert (await _walk(link, fleet.anchor)).version == 1

    with bench.broker():
        run(scenario)


def test_anchors_are_named_by_their_digest(bench, fleet):
    """As devices name them in hellos."""

    async def scenario(server):
        (first,) = await server.anchors()
        return b64u(first.digest)

    assert _alone(scenario, bench, fleet) == b64u(fleet.anchor.digest)
