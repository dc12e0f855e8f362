"""Batches of real messages, good and bad, against a real store: rows, offers, events and counts."""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from fleet_bench import NOW_S, FakeFleetDevice, KeyPair, confirmed, make_fleet, open_store
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from release_factory import make_release
from sqlalchemy.exc import IntegrityError

from pawl import cbor, codes
from pawl.identity import partition_of
from pawl_server.domain import director
from pawl_server.domain.changes import Changes
from pawl_server.domain.fleet import AssignmentState, Device, Flag
from pawl_server.events import (
    AssignmentSettled,
    DeviceFlagged,
    DeviceFresh,
    HelloReceived,
    MessageRefused,
    OfferMade,
    ReportReceived,
)
from pawl_server.inbound import RefusedError, read_address, read_hello, read_report
from pawl_server.ingest import Ingest
from pawl_server.inventory import Inventory
from pawl_server.mqtt.inbox import Message
from pawl_server.rates import HELLO_BURST, REPORT_BURST, Rate

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
        self.ticks_s = 0
        self.ingest = Ingest(self.store, self.fleet.desk, lambda: NOW_S + 0.9, ticks=lambda: self.ticks_s)
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

    async def assign_other(self):
        """Assign bench-1 another release; return its digest."""
        other = self.fleet.repository.add(make_release(self.fleet.keys, sequence=9))
        async with self.store.writing() as transaction:
            await transaction.add_release(replace(other, imported_at_s=NOW_S))
            device = await transaction.device("bench-1")
            changes = Changes(devices={"bench-1": replace(device, assigned=other.digest)})
            changes.keep_assignment(director.assign(None, "bench-1", other.digest))
            await transaction.write(changes, NOW_S)
        return other.digest

    async def refuse(self, reason, number):
        """Let bench-1 refuse the newest offer, signed."""
        accepted = (await self.device()).issued
        await self.take(
            _report(
                BENCH,
                codes.EVENT_REFUSED,
                subject=self.release.digest,
                reason=reason,
                number=number,
                accepted=accepted,
            )
        )

    async def take(self, *messages):
        """Ingest one batch; return what was told of it."""
        before = len(self.fleet.told)
        await self.ingest.take(list(messages))
        return self.fleet.told[before:]

    def do_sql(self, text):
        """Change the database beside the server."""
        with closing(sqlite3.connect(self.fleet.folder / "pawl.sqlite")) as connection:
            connection.execute(text)

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


def test_t29_a_pair_that_falls_counts_under_the_newest_offer_only(tmp_path):
    """A restored or cloned flash: taken and flagged, once; what is older than the newest offer stays refused."""

    async def scenario(harness):
        await harness.take(_report(BENCH, codes.EVENT_STARTED, boots=9), _hello(BENCH))
        await harness.take(_hello(BENCH, b"m" * 16), _hello(BENCH, b"m" * 16))
        newest = (await harness.device()).issued
        fallen = _report(BENCH, codes.EVENT_CHECKED, boots=2, accepted=newest)
        for accepted in (None, (NONCE, 0), (newest[0], newest[1] - 1), (newest[0], newest[1] + 1)):
            (refused,) = await harness.take(_report(BENCH, codes.EVENT_STARTED, boots=2, accepted=accepted))
            assert refused == MessageRefused(device="bench-1", where="report", reason="replayed")
        flagged, told = await harness.take(fallen)
        assert flagged == DeviceFlagged(device="bench-1", reason="report-number-fell")
        assert (told.boots, told.event) == (2, "checked")
        device = await harness.device()
        assert device.flag == Flag(at_s=NOW_S, reason="report-number-fell")
        assert (device.last_report.boots, device.fresh_at_s) == (9, NOW_S)
        assert [event.reason for event in await harness.take(fallen, fallen)] == ["replayed"] * 2

    _run(tmp_path, scenario)


def test_t29_a_report_and_its_hello_of_before_are_replayed_together(tmp_path):
    """The nonce comes again, the number of its offer doesn't: neither fresh nor flagged, and nothing settled."""

    async def scenario(harness):
        await harness.take(_hello(BENCH))
        checked = _report(BENCH, codes.EVENT_CHECKED, accepted=(await harness.device()).issued)
        withheld = _report(BENCH, codes.EVENT_CHECKED, number=2, accepted=(await harness.device()).issued)
        await harness.take(checked)
        await harness.take(_hello(BENCH, b"m" * 16), _report(BENCH, codes.EVENT_STARTED, boots=5))
        async with harness.store.writing() as transaction:
            stale = replace(await transaction.device("bench-1"), fresh_at_s=1)
            await transaction.write(Changes(devices={"bench-1": stale}), NOW_S)
        await harness.take(_hello(BENCH), checked, withheld)
        device = await harness.device()
        assert (device.fresh_at_s, device.flag) == (1, None)
        assert await harness.refusals() == {("bench-1", "report", "replayed"): 2}

    _run(tmp_path, scenario)


def test_t04_a_withheld_report_is_not_fresh_when_its_nonce_comes_again(tmp_path):
    """It counts, as its number rises; but it accepted an offer of before, whatever hello is repeated now."""

    async def scenario(harness):
        await harness.take(_hello(BENCH))
        accepted = (await harness.device()).issued
        await harness.take(_hello(BENCH, b"m" * 16))
        await harness.take(_hello(BENCH), _report(BENCH, codes.EVENT_CHECKED, accepted=accepted))
        device = await harness.device()
        assert (device.last_report.number, device.fresh_at_s) == (1, None)

    _run(tmp_path, scenario)


def test_t04_only_a_signed_report_under_the_open_nonce_is_fresh(tmp_path):
    """Neither hellos nor a report that accepted nothing, or an offer of another nonce; a late device is told once."""

    async def scenario(harness):
        async with harness.store.writing() as transaction:
            late = replace(await transaction.device("bench-1"), is_late=True, fresh_at_s=5)
            await transaction.write(Changes(devices={"bench-1": late}), NOW_S)
        other = (b"o" * 16, 0)
        await harness.take(
            _hello(BENCH),
            _report(BENCH, codes.EVENT_CHECKED, number=1),
            _report(BENCH, codes.EVENT_CHECKED, number=2, accepted=other),
        )
        assert (await harness.device()).fresh_at_s == 5
        accepted = (await harness.device()).issued
        events = await harness.take(
            _report(BENCH, codes.EVENT_CHECKED, number=3, accepted=accepted),
            _report(BENCH, codes.EVENT_CHECKED, number=4, accepted=accepted),
        )
        assert events.count(DeviceFresh(device="bench-1")) == 1
        assert ((await harness.device()).fresh_at_s, (await harness.device()).is_late) == (NOW_S, False)

    _run(tmp_path, scenario)


def test_a_revert_of_another_release_settles_nothing_and_of_a_former_one_counts_there(tmp_path):
    """The report says of which release it speaks: that one's assignment is settled, though another one is current."""

    async def scenario(harness):
        await harness.assign()
        await harness.take(_hello(BENCH))
        first = harness.release.digest
        stranger = _report(
            BENCH, codes.EVENT_REVERTED, boots=2, subject=b"x" * 32, reason=codes.REASON_TRIALS
        )
        await harness.take(stranger)
        assert (await harness.assignment()).state == AssignmentState.OFFERED
        other = await harness.assign_other()
        reverted = _report(BENCH, codes.EVENT_REVERTED, boots=3, subject=first, reason=codes.REASON_TRIALS)
        events = await harness.take(reverted)
        assert events[-1] == AssignmentSettled(
            device="bench-1", release=first, state=AssignmentState.FAILED, reason="trials"
        )
        assert (await harness.assignment()).release == other
        assert (await harness.assignment()).is_open
        async with harness.store.reading() as transaction:
            former = await transaction.assignment("bench-1", first)
        assert director.assign(former, "bench-1", first).attempt == 2

    _run(tmp_path, scenario)


def test_the_count_that_a_quarantined_device_stored_is_asked_for_next(tmp_path):
    """Signed refusal, then the hello's entry for this release; after the last attempt it is final."""

    async def scenario(harness):
        await harness.assign()
        digest = harness.release.digest
        failed = [(digest, 2, codes.REASON_TRIALS), (b"o" * 32, 3, codes.REASON_TRIALS)]
        await harness.take(_hello(BENCH, failed=failed))
        assert (await harness.assignment()).failures == 0
        await harness.refuse(codes.REASON_QUARANTINED, number=1)
        await harness.take(_hello(BENCH, b"m" * 16, failed=failed))
        again = director.assign(await harness.assignment(), "bench-1", digest)
        assert again.attempt == 3
        async with harness.store.writing() as transaction:
            await transaction.write(Changes(assignments={("bench-1", digest): again}), NOW_S)
        await harness.take(_hello(BENCH, b"k" * 16))
        ((_, offer),) = await harness.offers()
        assert (offer.action, offer.attempt) == (codes.OFFER_INSTALL, 3)
        await harness.refuse(codes.REASON_QUARANTINE_FINAL, number=2)
        with pytest.raises(director.FinalError, match="quarantine-final"):
            director.assign(await harness.assignment(), "bench-1", digest)

    _run(tmp_path, scenario)


def test_notices_and_claims_are_kept_and_settle_nothing(tmp_path):
    """A lost ratchet, an accepted anchor, and the hello as it came."""

    async def scenario(harness):
        await harness.assign()
        hello = _hello(BENCH, anchor=(4, bytes(32)))
        notices = [
            _report(BENCH, codes.EVENT_NOTICED, number=number, reason=reason)
            for number, reason in enumerate((codes.REASON_RATCHET_LOST, codes.REASON_ANCHOR_ACCEPTED))
        ]
        await harness.take(hello, *notices)
        assert (await harness.assignment()).state == AssignmentState.OFFERED
        assert (await harness.device()).hello == hello.payload
        async with harness.store.reading() as transaction:
            reports = await transaction.reports.newest("bench-1", 10)
        assert [(one.event, one.reason) for one in reports] == [
            (codes.EVENT_NOTICED, codes.REASON_ANCHOR_ACCEPTED),
            (codes.EVENT_NOTICED, codes.REASON_RATCHET_LOST),
        ]

    _run(tmp_path, scenario)


def test_a_suit_report_of_another_shape_is_malformed(tmp_path):
    """Also inside a report that the device signed."""

    async def scenario(harness):
        await harness.take(_report(BENCH, codes.EVENT_INSTALLED, suit_report=b"\xa0"))
        assert await harness.refusals() == {("bench-1", "report", "malformed"): 1}

    _run(tmp_path, scenario)


PARTITION = partition_of("bench-1")
GHOST = FakeFleetDevice(name="ghost")
FORGED = {"boots": 9, "number": 1}


def _raw(kind, payload, *, retained=False):
    return _message(BENCH.topic(kind), payload, retained=retained)


# What no device says: (device, where, reason) that it is counted by, and the message. Reports (3, 1) and (3, 2) came before.
REFUSED = {
    "another partition": (
        ("", "topic", "partition"),
        _message(f"pawl/d/{(PARTITION + 1) % 64}/bench-1/up/hello", BENCH.hello(NONCE)),
    ),
    "another kind": (("", "topic", "unknown-kind"), _message(f"pawl/d/{PARTITION}/bench-1/up/shout", b"")),
    "no device id": (("", "topic", "unknown-device"), _message(f"pawl/d/{PARTITION}/Bench_1/up/hello", b"")),
    "another topic": (("", "topic", "topic"), _message(f"pawl/d/{PARTITION}/bench-1/up/hello/more", b"")),
    "nobody's hello": (("", "hello", "unknown-device"), _message(GHOST.topic("hello"), GHOST.hello(NONCE))),
    "nobody's report": (("", "report", "unknown-device"), _report(GHOST, codes.EVENT_STARTED)),
    "nobody's log": (("", "log", "unknown-device"), _message(GHOST.topic("log"), cbor.encode([]))),
    "malformed hello": (("bench-1", "hello", "malformed"), _raw("hello", b"")),
    "hello of another kind": (
        ("bench-1", "hello", "malformed"),
        _raw("hello", BENCH.report(codes.EVENT_STARTED)),
    ),
    "oversized hello": (("bench-1", "hello", "too-large"), _raw("hello", bytes(2049))),
    "hello and more": (("bench-1", "hello", "trailing-bytes"), _raw("hello", BENCH.hello(NONCE) + b"\0")),
    "retained hello": (("bench-1", "hello", "retained"), _raw("hello", BENCH.hello(NONCE), retained=True)),
    "malformed report": (("bench-1", "report", "malformed"), _raw("report", b"\x80")),
    "report cut off": (
        ("bench-1", "report", "malformed"),
        _raw("report", BENCH.report(codes.EVENT_STARTED)[:-1]),
    ),
    "oversized report": (("bench-1", "report", "too-large"), _raw("report", bytes(4097))),
    "retained report": (
        ("bench-1", "report", "retained"),
        _raw("report", BENCH.report(codes.EVENT_STARTED, **FORGED), retained=True),
    ),
    "signed by nobody known": (
        ("bench-1", "report", "unauthorised"),
        _report(BENCH, codes.EVENT_STARTED, keys=KeyPair(), **FORGED),
    ),
    "signed by another device": (
        ("bench-1", "report", "unauthorised"),
        _report(BENCH, codes.EVENT_STARTED, keys=OTHER.keys, **FORGED),
    ),
    "another device's report": (
        ("bench-1", "report", "unauthorised"),
        _raw("report", OTHER.report(codes.EVENT_STARTED, **FORGED)),
    ),
    "in another name": (
        ("bench-1", "report", "foreign"),
        _report(BENCH, codes.EVENT_STARTED, device="bench-2", **FORGED),
    ),
    "out of order": (
        ("bench-1", "report", "replayed"),
        _report(BENCH, codes.EVENT_INSTALLED, boots=2, number=9, digest=bytes(32)),
    ),
    "replayed": (("bench-1", "report", "replayed"), None),
    "malformed log": (("bench-1", "log", "malformed"), _raw("log", b"\xa0")),
    "oversized log": (("bench-1", "log", "too-large"), _raw("log", bytes(4097))),
    "retained log": (("bench-1", "log", "retained"), _raw("log", cbor.encode([]), retained=True)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_device_says_is_refused_by_name_and_stops_nobody(tmp_path, name):
    """Counted, shown at its device, told; its device is as before, and the good hello after it is answered."""
    (device, where, reason), message = REFUSED[name]

    async def scenario(harness):
        told = [_report(BENCH, codes.EVENT_STARTED, boots=3, number=number) for number in (1, 2)]
        await harness.take(*told)
        before = await harness.device()
        refused = message or told[0]
        events = await harness.take(refused)
        assert events == [MessageRefused(device=device, where=where, reason=reason)]
        assert await harness.device() == before
        await harness.take(refused, _hello(OTHER), refused)
        assert [offer.device for _, offer in await harness.offers()] == ["bench-2"]
        assert await harness.refusals() == {(device, where, reason): 3}
        if device:
            inventory = Inventory(harness.store, lambda: NOW_S, late_after_s=100)
            shown = (await inventory.device(device)).refusals
            assert {(one.where, one.reason): count for one, count in shown.items()} == {(where, reason): 3}
            assert not (await inventory.device("bench-2")).refusals

    _run(tmp_path, scenario)


def test_a_storm_of_hellos_is_answered_at_a_bounded_rate(tmp_path):
    """20 at once, then one a second: beyond, refused and counted at that device; others don't notice."""

    async def scenario(harness):
        await harness.take(*[_hello(BENCH)] * 50, _hello(OTHER))
        device = await harness.device()
        assert device.next_number == HELLO_BURST
        assert await harness.refusals() == {("bench-1", "hello", "rate"): 50 - HELLO_BURST}
        assert (await harness.device("bench-2")).next_number == 1
        harness.ticks_s += 1
        await harness.take(_hello(BENCH, b"m" * 16), _hello(BENCH, b"m" * 16))
        device = await harness.device()
        assert (device.nonce, device.next_number) == (b"m" * 16, HELLO_BURST + 1)
        harness.ticks_s += 3600
        await harness.take(*[_hello(BENCH)] * 50)
        assert (await harness.device()).next_number == 2 * HELLO_BURST + 1

    _run(tmp_path, scenario)


def test_a_storm_of_logs_and_hellos_does_not_keep_reports_out(tmp_path):
    """They have a room of their own, which a device doesn't fill in a night; a storm of them is bounded, too."""

    async def scenario(harness):
        log = _raw("log", cbor.encode([]))
        reports = [_report(BENCH, codes.EVENT_STARTED, number=n) for n in range(1, REPORT_BURST + 11)]
        await harness.take(*[log] * 30, *reports)
        assert (await harness.device()).last_report.number == REPORT_BURST
        assert await harness.refusals() == {("bench-1", "log", "rate"): 10, ("bench-1", "report", "rate"): 10}

    _run(tmp_path, scenario)


def test_an_hour_of_hellos_that_waited_at_the_broker_is_survived(tmp_path):
    """The server was away: some are refused, and the hello that the device repeats a minute later is answered."""

    async def scenario(harness):
        await harness.take(*[_hello(BENCH)] * 60, _hello(BENCH, b"m" * 16))
        assert (await harness.device()).nonce == NONCE
        harness.ticks_s += 64
        await harness.take(_hello(BENCH, b"m" * 16))
        ((_, offer),) = await harness.offers()
        assert offer.nonce == b"m" * 16

    _run(tmp_path, scenario)


def test_a_batch_that_could_not_be_written_is_not_counted_against_its_senders(tmp_path):
    """It comes again, and is taken then."""

    async def scenario(harness):
        batch = [_hello(BENCH)] * HELLO_BURST
        for _ in range(2):
            harness.do_sql(
                "CREATE TRIGGER full BEFORE UPDATE ON devices BEGIN SELECT RAISE(ABORT, 'full'); END"
            )
            with pytest.raises(IntegrityError, match="full"):
                await harness.take(*batch)
            harness.do_sql("DROP TRIGGER full")
        await harness.take(*batch)
        assert await harness.refusals() == {}
        assert (await harness.device()).next_number == HELLO_BURST

    _run(tmp_path, scenario)


def test_a_rate_forgets_who_is_quiet():
    """What it keeps is bounded by who spoke lately, not by who ever did."""
    rate = Rate(burst=2, a_second=1)
    for second in range(10):
        for number in range(1000):
            assert rate.take(f"{second}-{number}", second * 100)
    assert len(rate.state_of([])) == 0
    assert len(rate._full_at_s) <= 2048
    assert rate.take("9-999", 900)
    assert not rate.take("9-999", 900)


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
