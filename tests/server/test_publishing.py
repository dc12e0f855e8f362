"""What the broker is given of a release, and what is taken back: seen by a fresh subscriber of a real broker."""

import asyncio

import fleet_bench
import pytest
from fleet_bench import make_fleet
from release_factory import make_anchor, make_release
from service_bench import run, running
from shelf_bench import AT_ONCE, SETTLED, Shelf, retained, shelf

from pawl import bundle, index, suit, topics
from pawl.compat import sha256
from pawl.index import b64u
from pawl_server import parts
from pawl_server.domain.fleet import AssignmentState
from pawl_server.publishing import is_ready
from pawl_server.settings import PublishLimits
from pawl_tools import release

APP, OTHER, DATA = (bytes(n * n * step % 251 for n in range(9000)) for step in (3, 5, 7))


@pytest.fixture
def fleet(tmp_path):
    return make_fleet(tmp_path)


def _parts(fleet, digest):
    """Return what the broker must have of a release."""
    return {part.topic: part.payload for part in parts.parts_of(fleet.repository.unjudged(digest))}


def test_every_index_and_block_is_published(fleet):
    """Of both slots' images and of the data, each under its own index."""
    raw = make_release(fleet.keys, image=release.Payload(app=(APP, OTHER), data=DATA))
    opened = bundle.Bundle(suit.Envelope(raw))
    found = {part.topic: part.payload for part in parts.parts_of(opened)}
    for image in (APP, OTHER, DATA):
        uri = next(content.uri for content in opened.contents if bytes(content.image) == image)
        listing = index.read(found[topics.index(index.digest_of(uri))], uri, len(image))
        assert sha256(found[topics.index(index.digest_of(uri))]) == index.digest_of(uri)
        for variant in listing.variants:
            blocks = [
                listing.decode(variant, n, found[topics.block(index.digest_of(uri), variant.number, n)])
                for n in range(listing.blocks)
            ]
            assert b"".join(bytes(block) for block in blocks) == image
    assert list(found)[-1] == topics.release(opened.envelope.digest)
    assert bytes(found[topics.release(opened.envelope.digest)]) == opened.wire_envelope()


def test_a_release_of_a_rollout_that_ended_is_withdrawn_whole(bench, fleet):
    """The envelope first, then indexes and blocks of both slots and of the data; nothing is left, and the row says so."""

    async def scenario():
        async with shelf(bench, fleet) as own:
            digest = await own.import_release(image=release.Payload(app=(APP, OTHER), data=DATA))
            rollout = await own.roll_out(digest)
            await own.publisher.publish(digest)
            await own.withdraw()
            assert await retained(bench) == _parts(fleet, digest)
            await own.end(rollout)
            own.sent.clear()
            await own.withdraw()
            assert await retained(bench) == {}
            assert own.sent[0] == (topics.release(digest), False)
            assert {topic for topic, _ in own.sent} == set(_parts(fleet, digest))
            assert await own.row(digest) == (False, None)

    with bench.broker():
        run(scenario)


@pytest.mark.parametrize("state", ["awaiting-approval", "running", "paused", "rolling-back"])
def test_a_rollout_that_has_not_ended_keeps_release_and_recovery(bench, fleet, state):
    """Its devices come back from a recovery within one check-in: it lies ready."""

    async def scenario():
        async with shelf(bench, fleet) as own:
            bad, recovery = (
                await own.import_release(image=APP),
                await own.import_release(image=OTHER, sequence=2),
            )
            rollout = await own.roll_out(bad, recovery=recovery, state=state)
            for digest in (bad, recovery):
                await own.publisher.publish(digest)
            await own.withdraw()
            both = _parts(fleet, bad) | _parts(fleet, recovery)
            assert await retained(bench) == both
            await own.end(rollout)
            await own.withdraw()
            assert await retained(bench) == {}

    with bench.broker():
        run(scenario)


def test_a_release_that_a_device_may_be_downloading_stays(bench, fleet):
    """Assigned by hand, or by a rollout that ended: as long as the assignment is open, held too, and is the current one."""

    async def scenario():
        async with shelf(bench, fleet) as own:
            digest, other = (
                await own.import_release(image=APP),
                await own.import_release(image=OTHER, sequence=2),
            )
            await own.publisher.publish(digest)
            await own.assign(digest)
            for state in (AssignmentState.ASSIGNED, AssignmentState.OFFERED, AssignmentState.HELD):
                await own.settle(digest, state)
                await own.withdraw()
                assert await own.row(digest) == (True, own.now_s), state
            await own.assign(other)
            await own.withdraw()
            assert await retained(bench) == {}
            await own.publisher.restore()
            assert await retained(bench) == _parts(fleet, other)
            for state in SETTLED:
                await own.assign(other)
                await own.publisher.ensure(other)
                await own.settle(other, state)
                await own.withdraw()
                assert await retained(bench) == {}, state

    with bench.broker():
        run(scenario)


def test_what_was_published_just_now_stays_for_the_grace_time(bench, fleet):
    """By hand, say, before anybody is asked."""

    async def scenario():
        async with shelf(bench, fleet, PublishLimits(grace_s=600, settle_s=0)) as own:
            digest = await own.import_release()
            await own.publisher.publish(digest)
            own.now_s += 599
            await own.withdraw()
            assert await retained(bench) == _parts(fleet, digest)
            own.now_s += 1
            await own.withdraw()
            assert await retained(bench) == {}

    with bench.broker():
        run(scenario)


def test_content_that_a_needed_release_shares_stays(bench, fleet):
    """Two releases of one image have one index: the needed one is whole afterwards, the other one's envelope is gone."""

    async def scenario():
        async with shelf(bench, fleet) as own:
            old = await own.import_release(image=release.Payload(app=(APP,), data=DATA))
            new = await own.import_release(image=release.Payload(app=(APP,), data=OTHER), sequence=2)
            await own.roll_out(new)
            for digest in (old, new):
                await own.publisher.publish(digest)
            await own.withdraw()
            assert await retained(bench) == _parts(fleet, new)
            assert await own.row(old) == (False, None)

    with bench.broker():
        run(scenario)


def test_what_another_process_publishes_while_this_one_withdraws_is_whole_in_the_end(bench, fleet):
    """They share an image: what the other one had just put there is cleared, so it counts as unpublished."""

    async def scenario():
        async with shelf(bench, fleet) as own:
            other = Shelf(fleet, own.link, AT_ONCE)
            old, new = [await own.import_release(image=APP, sequence=number) for number in (1, 2)]
            await own.publisher.publish(old)
            publish = own.link.publish

            async def meanwhile(topic, payload, **how):
                own.link.publish = publish
                await other.roll_out(new)
                await other.publisher.publish(new)
                await publish(topic, payload, **how)

            own.link.publish = meanwhile
            await own.publisher.withdraw_unneeded()
            assert await retained(bench) != _parts(fleet, new)
            await other.publisher.ensure(new)
            assert await retained(bench) == _parts(fleet, new)

    with bench.broker():
        run(scenario)


def test_two_unneeded_releases_of_one_image_both_go(bench, fleet):
    """Neither keeps what they share for the other."""

    async def scenario():
        async with shelf(bench, fleet) as own:
            for digest in [await own.import_release(sequence=number) for number in (1, 2)]:
                await own.publisher.publish(digest)
            await own.withdraw()
            assert await retained(bench) == {}

    with bench.broker():
        run(scenario)


@pytest.mark.parametrize("after", [0, 1, 4])
def test_a_kill_while_withdrawing_converges(bench, fleet, after):
    """The link ends after some messages: the next server withdraws the rest, by the row alone."""

    async def scenario():
        async with shelf(bench, fleet) as own:
            digest = await own.import_release(image=APP)
            await own.publisher.publish(digest)
            clear, own.left = own.link.publish, after

            async def cut(topic, payload, **how):
                if own.left == 0:
                    raise ConnectionError("killed")
                own.left -= 1
                await clear(topic, payload, **how)

            own.link.publish = cut
            with pytest.raises(ConnectionError):
                await own.publisher.withdraw_unneeded()
            assert await own.row(digest) == (True, None)
            assert await retained(bench) != {}
        async with shelf(bench, fleet) as other:
            await other.publisher.forget()
            await other.withdraw()
            assert await retained(bench) == {}
            assert await other.row(digest) == (False, None)

    with bench.broker():
        run(scenario)


def test_a_kill_while_publishing_leaves_nothing_behind(bench, fleet):
    """The row says that the broker may have some of it before the first byte goes there."""

    async def scenario():
        async with shelf(bench, fleet) as own:
            digest = await own.import_release(image=APP)
            publish, said = own.link.publish, []

            async def cut(topic, payload, **how):
                said.append(await own.row(digest))
                if len(said) == 2:
                    raise ConnectionError("killed")
                await publish(topic, payload, **how)

            own.link.publish = cut
            with pytest.raises(ConnectionError):
                await own.publisher.publish(digest)
            assert said[0] == (True, None)
            assert await retained(bench) != {}
        async with shelf(bench, fleet) as other:
            await other.withdraw()
            assert await retained(bench) == {}

    with bench.broker():
        run(scenario)


def test_a_release_that_is_needed_again_is_published_whole(bench, fleet):
    """After it was withdrawn, and while it is: who needs it waits, and finds all of it there."""

    async def scenario():
        async with shelf(bench, fleet) as own:
            digest = await own.import_release(image=APP)
            await own.publisher.ensure(digest)
            await own.withdraw()
            assert await retained(bench) == {}
            await own.publisher.ensure(digest)
            assert await retained(bench) == _parts(fleet, digest)
            own.began.clear()
            withdrawing = asyncio.create_task(own.publisher.withdraw_unneeded())
            await own.began.wait()
            version = await own.publisher.ensure(digest)
            await withdrawing
            assert (topics.release(digest), False) in own.sent
            assert await retained(bench) == _parts(fleet, digest)
            async with own.store.reading() as transaction:
                assert await is_ready(transaction, digest, version)
            # It was published after it was cleared: the note of the clearing doesn't count any more.
            await own.assign(digest)
            await own.withdraw()
            assert await own.row(digest) == (True, own.now_s)

    with bench.broker():
        run(scenario)


def test_what_was_withdrawn_since_it_was_ensured_is_not_offered(bench, fleet):
    """Who assigns asks in its own transaction, and ensures again."""

    async def scenario():
        async with shelf(bench, fleet) as own:
            digest = await own.import_release()
            version = await own.publisher.ensure(digest)
            await own.publisher.withdraw_unneeded()
            async with own.store.reading() as transaction:
                assert not await is_ready(transaction, digest, version)

    with bench.broker():
        run(scenario)


def test_a_broker_that_came_back_as_it_was_saved_is_cleared_again(bench, fleet):
    """What was withdrawn counts as gone only when the same broker has had time to save that."""

    async def scenario():
        async with shelf(bench, fleet, PublishLimits(grace_s=0, settle_s=60)) as own:
            digest = await own.import_release(image=APP)
            await own.publisher.publish(digest)
            await own.withdraw()
            own.now_s += 59
            await own.withdraw()
            assert await own.row(digest) == (True, None)
            for part in parts.parts_of(
                fleet.repository.unjudged(digest)
            ):  # as a broker that was killed has it again
                await own.publish(part)
            own.publisher.on_reconnected()
            own.now_s += 1
            await own.withdraw()
            assert await retained(bench) == {}
            assert await own.row(digest) == (True, None)
            own.now_s += 60
            await own.withdraw()
            assert await own.row(digest) == (False, None)

    with bench.broker():
        run(scenario)


def test_a_reconnect_while_withdrawing_clears_all_again(bench, fleet):
    """A broker that was replaced in the middle has the first half still."""

    async def scenario():
        async with shelf(bench, fleet) as own:
            digest = await own.import_release(image=APP)
            await own.publisher.publish(digest)
            publish = own.link.publish

            async def once(topic, payload, **how):
                own.link.publish = publish
                own.publisher.on_reconnected()
                await publish(topic, payload, **how)

            own.sent.clear()
            own.link.publish = once
            await own.withdraw()
            assert own.sent[: len(own.sent) // 2] == own.sent[len(own.sent) // 2 :]
            assert await own.row(digest) == (True, None)
            await own.withdraw()
            assert await own.row(digest) == (False, None)

    with bench.broker():
        run(scenario)


def test_a_barred_release_is_withdrawn_too(bench, fleet):
    """What no judge accepts any more must not lie there for ever."""

    async def scenario():
        async with shelf(bench, fleet) as own:
            digest = await own.import_release()
            await own.publisher.publish(digest)
            fleet.repository.follow(make_anchor(fleet.keys, version=2, barred=[digest]))
            await own.withdraw()
            assert await retained(bench) == {}

    with bench.broker():
        run(scenario)


def test_a_release_whose_file_is_gone_stays_until_it_is_imported_again(bench, fleet, caplog):
    """Nobody knows what lies there of it: it is said, not tried at every pass, and others are withdrawn."""

    async def scenario():
        async with shelf(bench, fleet) as own:
            lost = await own.import_release(image=APP)
            other = await own.import_release(image=OTHER, sequence=2)
            for digest in (lost, other):
                await own.publisher.publish(digest)
            path = fleet.folder / "releases" / (b64u(lost) + ".pawl")
            raw = path.read_bytes()
            path.unlink()
            await own.withdraw()
            await own.withdraw()
            assert await retained(bench) == _lying(raw)
            assert [record.levelname for record in caplog.records] == ["WARNING"]
            assert lost.hex() in caplog.text and "import it again" in caplog.text
            assert (await own.row(lost))[0] and not (await own.row(other))[0]
            fleet.repository.add(raw)
            own.now_s += 60
            await own.withdraw()
            assert await retained(bench) == {}

    with bench.broker():
        run(scenario)


def test_nothing_is_cleared_while_a_needed_release_can_not_be_read(bench, fleet):
    """What it shares with the others isn't known, and it couldn't be published again."""

    async def scenario():
        async with shelf(bench, fleet) as own:
            needed, other = (
                await own.import_release(image=APP),
                await own.import_release(image=APP, sequence=2),
            )
            await own.roll_out(needed)
            for digest in (needed, other):
                await own.publisher.publish(digest)
            there = await retained(bench)
            (fleet.folder / "releases" / (b64u(needed) + ".pawl")).unlink()
            await own.withdraw()
            assert await retained(bench) == there

    with bench.broker():
        run(scenario)


def test_what_can_not_be_published_is_not_read_again_at_every_pass(bench, fleet):
    """Until it is imported again, another anchor judges, or a minute is over; then it is published."""

    async def scenario():
        async with shelf(bench, fleet) as own:
            digest = await own.import_release()
            await own.assign(digest)
            path = fleet.folder / "releases" / (b64u(digest) + ".pawl")
            raw = path.read_bytes()
            for mend in (
                lambda: own.publisher.mended(digest),
                lambda: fleet.repository.follow(make_anchor(fleet.keys, version=2)),
                lambda: setattr(own, "now_s", own.now_s + 60),
            ):
                path.unlink()
                await own.publisher.forget()
                told = await own.publisher.restore()
                assert told[digest].reason == "its file is gone: import the release again"
                path.write_bytes(raw)
                assert await own.publisher.restore() == told
                mend()
                assert await own.publisher.restore() == {}
                assert await own.row(digest) == (True, own.now_s)

    with bench.broker():
        run(scenario)


def test_one_that_can_not_be_published_keeps_no_other_from_it(bench, fleet):
    """A barred release that a device is still asked for is told; who is asked for another one gets it."""

    async def scenario():
        async with shelf(bench, fleet) as own:
            barred, good = (
                await own.import_release(image=APP),
                await own.import_release(image=OTHER, sequence=2),
            )
            await own.assign(barred)
            await own.assign(good, fleet_bench.FakeFleetDevice(name="bench-2"))
            fleet.repository.follow(make_anchor(fleet.keys, version=2, barred=[barred]))
            told = await own.publisher.restore()
            assert list(told) == [barred] and "barred" in told[barred].reason
            assert await retained(bench) == _parts(fleet, good)

    with bench.broker():
        run(scenario)


def test_a_row_of_before_recoveries_were_known_is_mended_when_it_is_published(bench, fleet):
    """The manifest says what it is."""

    async def scenario():
        async with shelf(bench, fleet) as own:
            digest = await own.import_release(recovers=((bytes(32), 10),))
            for is_published in (False, True):
                async with own.store.reading() as transaction:
                    assert (await transaction.release(digest)).is_recovery
                if is_published:
                    break
                async with own.store.writing() as transaction:
                    await transaction.retained.begin(digest, is_recovery=False)
                await own.publisher.publish(digest)

    with bench.broker():
        run(scenario)


def _lying(raw):
    return {part.topic: part.payload for part in parts.parts_of(bundle.Bundle(suit.Envelope(raw)))}


def test_the_running_server_withdraws_and_keeps_the_anchors(bench, fleet):
    """What was assigned by hand goes when the device is assigned another release; anchors stay for ever."""

    async def scenario():
        async with running(bench, fleet, publishing=AT_ONCE, reconcile_pass_s=0.05) as server:
            first = await server.import_release(make_release(fleet.keys, image=APP))
            second = await server.import_release(make_release(fleet.keys, image=OTHER, sequence=2))
            await server.assign("bench-1", first)
            await server.assign("bench-1", second)
            wanted = {*_lying_of(server, second), topics.anchor(1)}
            for _ in range(200):
                if not (await server.inventory.release(b64u(first))).is_retained:
                    break
                await asyncio.sleep(0.05)
            assert set(await retained(bench)) == wanted
            assert not (await server.inventory.release(b64u(first))).is_retained
            assert (await server.inventory.release(b64u(second))).is_retained

    with bench.broker():
        run(scenario)


def _lying_of(server, digest):
    return [part.topic for part in parts.parts_of(server._repository.unjudged(digest))]
