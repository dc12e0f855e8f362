"""Batches of real messages, good and bad, against a real store: rows, offers, events and counts."""

import asyncio
from dataclasses import replace

import pytest
from fleet_bench import NOW_S, FakeFleetDevice, KeyPair, confirmed, make_fleet, open_store
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from release_factory import make_release

from pawl import cbor, codes
from pawl.identity import partition_of
from pawl_server.domain import director
from pawl_server.domain.changes import Changes
from pawl_server.domain.fleet import AssignmentState, Device
from pawl_server.events import AssignmentSettled, HelloReceived, MessageRefused, OfferMade, ReportReceived
from pawl_server.inbound import RefusedError, read_address, read_hello, read_report
from pawl_server.ingest import Ingest
from pawl_server.mqtt.inbox import Message

NONCE = b"n" * 16
BENCH = FakeFleetDevice(name="bench-1")
OTHER = FakeFleetDevice(name="bench-2")


def _message(topic, payload, *, retained=False):
    return Message(topic=topic, payload=payload, retained=retained)


def _hello(device, nonce=NONCE, **fields):
    return _message(device.topic("hello"), device.hello(nonce, **fields))


def _report(sender, event, **fields):
    return _message(sender.topic("report"), sender.report(event, **fields))


class Harness:
    """An ingest over two enrolled devices and one imported release."""

    def __init__(self, folder):
        self.fleet = make_fleet(folder)
        self.store = self.fleet.store
        self.ingest = Ingest(self.store, self.fleet.desk, lambda: NOW_S + 0.9)
        self.release = self.fleet.repository.add(make_release(self.fleet.keys))

    async def prepare(self):
        """Enroll both devices."""
        async with self.store.writing() as transaction:
            for device in (BENCH, OTHER):
                await transaction.enroll(Device(enrolment=device.enrolment))

    async def assign(self):
        """Assign the release to bench-1."""
        async with self.store.writing() as transaction:
            await transaction.add_release(replace(self.release, imported_at_s=NOW_S))
            device = await transaction.device("bench-1")
            changes = Changes(devices={"bench-1": replace(device, assigned=self.release.digest)})
            changes.keep_assignment(director.assign(None, "bench-1", self.release.digest))
            await transaction.write(changes, NOW_S)

    async def take(self, *messages):
        """Ingest one batch."""
        return await self.ingest.take(list(messages))

    async def offers(self):
        """Return (topic, offer) of what is queued."""
        async with self.store.reading() as transaction:
            queued = await transaction.unsent()
        return [(one.message.topic, self.fleet.opened_offer(one.message.payload)) for one in queued]

    async def device(self, name="bench-1"):
        """Return a device."""
        async with self.store.reading() as transaction:
            return await transaction.device(name)

    async def assignment(self):
        """Return what bench-1 is assigned."""
        async with self.store.reading() as transaction:
            return (await transaction.assignments(["bench-1"])).get("bench-1")

    async def refusals(self):
        """Return the counts of what was refused."""
        async with self.store.reading() as transaction:
            return {
                (one.device, one.where, one.reason): n for one, n in (await transaction.refusals()).items()
            }


def _run(folder, scenario):
    async def main():
        harness = Harness(folder)
        async with open_store(harness.store):
            await harness.prepare()
            return await scenario(harness)

    return asyncio.run(main())


def test_a_hello_opens_a_nonce_and_queues_its_offer(tmp_path):
    """Facts and offer are written together."""

    async def scenario(harness):
        events = await harness.take(_hello(BENCH, boots=4, running=codes.RUNNING_B))
        device = await harness.device()
        assert (device.nonce, device.next_number, device.boots, device.running) == (NONCE, 1, 4, 1)
        assert (device.last_seen_s, device.ratchet.sequence) == (NOW_S, 0)
        ((topic, offer),) = await harness.offers()
        assert topic == BENCH.offer_topic
        assert (offer.device, offer.nonce, offer.number, offer.time) == ("bench-1", NONCE, 0, NOW_S)
        assert (offer.action, offer.anchor) == (codes.OFFER_NONE, (1, harness.fleet.anchor.digest))
        assert events == [
            HelloReceived(device="bench-1", boots=4, running=1),
            OfferMade(device="bench-1", number=0, action=codes.OFFER_NONE, release=None),
        ]

    _run(tmp_path, scenario)


def test_an_assigned_device_is_offered_its_release(tmp_path):
    """With the attempt, and remembered as offered."""

    async def scenario(harness):
        await harness.assign()
        await harness.take(_hello(BENCH))
        ((_, offer),) = await harness.offers()
        assert (offer.action, offer.digest, offer.attempt) == (codes.OFFER_INSTALL, harness.release.digest, 1)
        assert (await harness.assignment()).state == AssignmentState.OFFERED

    _run(tmp_path, scenario)


def test_numbers_rise_under_every_hello_and_over_all_nonces(tmp_path):
    """Also within one batch, of which only the newest offer is left to be sent; and under a nonce that comes again."""

    async def scenario(harness):
        await harness.take(_hello(BENCH), _hello(BENCH), _hello(OTHER))
        assert [(offer.device, offer.number) for _, offer in await harness.offers()] == [
            ("bench-1", 1),
            ("bench-2", 0),
        ]
        await harness.take(_hello(BENCH), _hello(BENCH, b"m" * 16))
        numbers = {offer.device: (offer.nonce, offer.number) for _, offer in await harness.offers()}
        assert numbers["bench-1"] == (b"m" * 16, 3)
        await harness.take(_hello(BENCH))
        assert (await harness.device()).issued == (NONCE, 4)

    _run(tmp_path, scenario)


def test_a_signed_report_of_the_confirmed_release_is_success(tmp_path):
    """Hello, offer and report may even come in one batch."""

    async def scenario(harness):
        await harness.assign()
        digest = harness.release.digest
        events = await harness.take(
            _hello(BENCH), _report(BENCH, codes.EVENT_INSTALLED, boots=2, digest=digest)
        )
        assert events[-2:] == [
            ReportReceived(device="bench-1", boots=2, number=1, event="installed", reason="ok"),
            AssignmentSettled(device="bench-1", release=digest, state=AssignmentState.SUCCEEDED, reason="ok"),
        ]
        assert (await harness.assignment()).state == AssignmentState.SUCCEEDED
        await harness.take(_hello(BENCH, b"m" * 16))
        assert [offer.action for _, offer in await harness.offers()] == [codes.OFFER_NONE]

    _run(tmp_path, scenario)


def test_a_hello_is_no_success(tmp_path):
    """It is unsigned: what it says of the ratchet is for people to see."""

    async def scenario(harness):
        await harness.assign()
        ratchets = {codes.IMAGE_APP: confirmed(harness.release.digest)}
        await harness.take(_hello(BENCH, ratchets=ratchets))
        assert (await harness.device()).ratchet.digest == harness.release.digest
        assert (await harness.assignment()).state == AssignmentState.OFFERED

    _run(tmp_path, scenario)


def test_a_refusal_of_the_offer_fails_the_assignment(tmp_path):
    """By name, and the next hello is told that there is nothing to do."""

    async def scenario(harness):
        await harness.assign()
        await harness.take(_hello(BENCH))
        subject = harness.release.digest
        reason = codes.REASON_BLOCK_DIGEST
        refused = _report(BENCH, codes.EVENT_REFUSED, subject=subject, reason=reason, accepted=(NONCE, 0))
        events = await harness.take(refused)
        assert events[-1].reason == "block-digest" and events[-1].state == AssignmentState.FAILED
        await harness.take(_hello(BENCH, b"m" * 16))
        assert [offer.action for _, offer in await harness.offers()] == [codes.OFFER_NONE]

    _run(tmp_path, scenario)


def test_t29_replayed_and_forged_reports(tmp_path):
    """Again, older, under another key, in another's name: refused by name, counted, and nothing settled."""

    async def scenario(harness):
        await harness.assign()
        digest = harness.release.digest
        await harness.take(_report(BENCH, codes.EVENT_STARTED, boots=3, number=2))
        forged = {"digest": digest, "boots": 9}
        await harness.take(
            _report(BENCH, codes.EVENT_STARTED, boots=3, number=2),
            _report(BENCH, codes.EVENT_INSTALLED, boots=2, number=9, digest=digest),
            _report(BENCH, codes.EVENT_INSTALLED, keys=KeyPair(), **forged),
            _report(BENCH, codes.EVENT_INSTALLED, keys=OTHER.keys, **forged),
            _report(BENCH, codes.EVENT_INSTALLED, device="bench-2", **forged),
            _message(BENCH.topic("report"), BENCH.report(codes.EVENT_INSTALLED, **forged)[:-1]),
        )
        assert (await harness.assignment()).state == AssignmentState.ASSIGNED
        assert (await harness.device()).last_report.boots == 3
        assert await harness.refusals() == {
            ("bench-1", "report", "replayed"): 2,
            ("bench-1", "report", "unauthorised"): 2,
            ("bench-1", "report", "foreign"): 1,
            ("bench-1", "report", "malformed"): 1,
        }

    _run(tmp_path, scenario)


def test_bad_messages_are_counted_by_name_and_never_stop_the_others(tmp_path):
    """Topics, sizes and forms that no device uses; the good hello at the end is answered."""
    partition = partition_of("bench-1")
    bad = {
        ("", "topic", "partition"): (f"pawl/d/{(partition + 1) % 64}/bench-1/up/hello", b""),
        ("", "topic", "unknown-kind"): (f"pawl/d/{partition}/bench-1/up/shout", b""),
        ("", "topic", "unknown-device"): (f"pawl/d/{partition}/Bench_1/up/hello", b""),
        ("", "topic", "topic"): (f"pawl/d/{partition}/bench-1/up/hello/more", b""),
        ("", "hello", "unknown-device"): (f"pawl/d/{partition_of('ghost')}/ghost/up/hello", b""),
        ("bench-1", "hello", "malformed"): (BENCH.topic("hello"), b""),
        ("bench-1", "hello", "too-large"): (BENCH.topic("hello"), bytes(2049)),
        ("bench-1", "report", "too-large"): (BENCH.topic("report"), bytes(4097)),
        ("bench-1", "hello", "trailing-bytes"): (BENCH.topic("hello"), BENCH.hello(NONCE) + b"\0"),
    }

    async def scenario(harness):
        messages = [_message(topic, payload) for topic, payload in bad.values()]
        events = await harness.take(*messages, _hello(BENCH))
        assert await harness.refusals() == dict.fromkeys(bad, 1)
        assert [event for event in events if isinstance(event, MessageRefused)] == [
            MessageRefused(device=device, where=where, reason=reason) for device, where, reason in bad
        ]
        assert len(await harness.offers()) == 1

    _run(tmp_path, scenario)


def test_a_retained_hello_is_refused(tmp_path):
    """A broker that kept one would reopen its nonce at every reconnect."""

    async def scenario(harness):
        await harness.take(_message(BENCH.topic("hello"), BENCH.hello(NONCE), retained=True))
        assert (await harness.device()).nonce is None
        assert await harness.refusals() == {("bench-1", "hello", "retained"): 1}

    _run(tmp_path, scenario)


def test_the_largest_numbers_of_the_wire_are_kept(tmp_path):
    """A boot count of 64 bits doesn't stop a batch in the database."""
    most = 2**64 - 1

    async def scenario(harness):
        await harness.take(
            _hello(BENCH, boots=most),
            _report(BENCH, most, boots=most, number=most, reason=most),
        )
        device = await harness.device()
        assert (device.boots, device.last_report.number) == (most, most)

    _run(tmp_path, scenario)


def test_a_hello_that_runs_nowhere_is_malformed(tmp_path):
    """There are slot A, slot B and the recovery agent."""

    async def scenario(harness):
        await harness.take(_hello(BENCH, running=2**64 - 1))
        assert await harness.refusals() == {("bench-1", "hello", "malformed"): 1}

    _run(tmp_path, scenario)


def test_a_batch_that_is_not_committed_is_taken_again_whole(tmp_path):
    """A batch comes twice if the server dies before the acknowledgement: the report counts once."""

    async def scenario(harness):
        batch = [_hello(BENCH), _report(BENCH, codes.EVENT_STARTED)]
        await harness.take(*batch)
        await harness.take(*batch)
        assert [offer.number for _, offer in await harness.offers()] == [1]
        assert await harness.refusals() == {("bench-1", "report", "replayed"): 1}

    _run(tmp_path, scenario)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "pawl/d/07/bench-1/up/hello",
        "pawl/d/+7/bench-1/up/hello",
        "pawl/d/\u0667/bench-1/up/hello",
        "pawl/d/7/bench-1/up/hello ",
        "pawl/d/7/bench-1\n/up/hello",
        "pawl/r/7/bench-1/up/hello",
        "/pawl/d/7/bench-1/up",
        "pawl/d/7/bench-1/down/hello",
    ],
)
def test_topics_have_one_spelling(topic):
    """Whatever another parser would let pass."""
    with pytest.raises(RefusedError):
        read_address(topic)


def _reason(read, payload):
    """Return why a message is refused, or None."""
    try:
        read(payload)
    except RefusedError as error:
        return error.reason
    return None


_MUTATION = st.tuples(st.integers(0, 400), st.integers(0, 255))


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(mutations=st.lists(_MUTATION, min_size=1, max_size=6), cut=st.integers(0, 400))
def test_no_hello_or_report_raises_anything_but_a_refusal(mutations, cut):
    """An exception of another kind would stop the batch for ever."""
    for good, read in (
        (BENCH.hello(NONCE), read_hello),
        (SIGNED, lambda payload: read_report(payload, BENCH.enrolment)),
    ):
        damaged = bytearray(good)
        for at, value in mutations:
            damaged[at % len(damaged)] = value
        for payload in (bytes(damaged), bytes(damaged[:cut])):
            assert _reason(read, payload) != ""


SIGNED = BENCH.report(codes.EVENT_STARTED)
_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.binary(max_size=40), st.text(max_size=9)
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.integers(0, 20), st.text(max_size=3)), inner, max_size=4),
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=300)
@given(label=st.integers(1, 13), value=_VALUES)
def test_no_field_of_a_hello_raises_anything_but_a_refusal(label, value):
    """Well-formed CBOR of another shape in each field."""
    fields = cbor.decode(BENCH.hello(NONCE))
    fields[label] = value
    assert _reason(read_hello, cbor.encode(fields)) in {None, "malformed"}
