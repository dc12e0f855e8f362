"""The store on a real SQLite file: what is written is read back, and a transaction is kept whole or not at all."""

import asyncio
import sqlite3
from dataclasses import replace

import pytest
from fleet_bench import NOW_S, FakeFleetDevice, KeyPair, open_store

from pawl_server.domain.changes import Changes, Outgoing, Refusal
from pawl_server.domain.fleet import (
    Assignment,
    AssignmentState,
    Device,
    Flag,
    OfferMark,
    Ratchet,
    Release,
    ReportNumber,
)
from pawl_server.domain.outcomes import SignedReport
from pawl_server.store import ConflictError, Store

UINT64_MAX = 2**64 - 1
DIGEST = b"d" * 32
RELEASE = Release(
    digest=DIGEST,
    sequence=UINT64_MAX,
    version="1.0",
    index_digest=b"i" * 32,
    size_bytes=9,
    imported_at_s=NOW_S,
)
NEW = Device(enrolment=FakeFleetDevice(name="bench-1").enrolment)
SEEN = replace(
    NEW,
    assigned=DIGEST,
    nonce=b"n" * 16,
    next_number=3,
    boots=UINT64_MAX,
    running=1,
    ratchet=Ratchet(sequence=1 << 63, digest=DIGEST),
    last_report=ReportNumber(boots=UINT64_MAX, number=UINT64_MAX),
    last_seen_s=NOW_S,
    first_number=2,
    enrolled_at_s=NOW_S,
    fresh_at_s=NOW_S,
    is_late=True,
    flag=Flag(at_s=NOW_S, reason="report-number-fell"),
    hello=b"hello",
)
ASSIGNMENT = Assignment(
    device="bench-1",
    release=DIGEST,
    state=AssignmentState.OFFERED,
    attempt=2,
    failures=1,
    reason=80,
    offered=OfferMark(nonce=b"n" * 16, number=2, boots=UINT64_MAX),
)


def _run(folder, scenario):
    """Run a coroutine function over an opened store that knows one device and one release."""

    async def main():
        async with open_store(Store(folder / "pawl.sqlite")) as store:
            async with store.writing() as transaction:
                await transaction.add_release(RELEASE)
                await transaction.enroll(NEW)
            return await scenario(store)

    return asyncio.run(main())


async def _write(store, changes):
    async with store.writing() as transaction:
        await transaction.write(changes, NOW_S)


async def _write_and_fail(store, changes):
    async with store.writing() as transaction:
        await transaction.write(changes, NOW_S)
        raise RuntimeError


def _offer(payload, device="bench-1"):
    return Outgoing(topic="pawl/d/1/x/offer", payload=payload, device=device)


def _report(number):
    return SignedReport(
        digest=bytes([number]) * 32,
        device="bench-1",
        id=ReportNumber(boots=1, number=number),
        accepted=None,
        ratchet=None,
        event=1,
        reason=0,
    )


def test_what_is_written_is_read_back_after_a_restart(tmp_path):
    """Devices, assignments and releases survive, with the largest numbers of the wire."""

    async def write(store):
        changes = Changes(devices={"bench-1": SEEN})
        changes.keep_assignment(ASSIGNMENT)
        await _write(store, changes)

    async def read(store):
        async with store.reading() as transaction:
            return (
                await transaction.device("bench-1"),
                await transaction.assignments(["bench-1", "other"]),
                await transaction.release(DIGEST),
                await transaction.device("other"),
            )

    _run(tmp_path, write)
    assert _run(tmp_path, read) == (SEEN, {"bench-1": ASSIGNMENT}, RELEASE, None)


def test_the_database_waits_for_the_disk_and_checks_references(tmp_path):
    """WAL, full synchronisation, foreign keys and a busy timeout are what the store relies on."""

    async def scenario(store):
        async with store._connect(is_writing=False) as connection:
            names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            return [(await connection.exec_driver_sql(f"PRAGMA {name}")).scalar() for name in names]

    assert _run(tmp_path, scenario) == ["wal", 2, 1, 5000]


def test_assigning_another_release_keeps_what_is_known_of_the_first(tmp_path):
    """Failures are counted per release; only the current assignment is the device's."""

    async def scenario(store):
        changes = Changes(devices={"bench-1": SEEN})
        changes.keep_assignment(ASSIGNMENT)
        await _write(store, changes)
        other = replace(RELEASE, digest=b"o" * 32)
        async with store.writing() as transaction:
            await transaction.add_release(other)
            following = Changes(devices={"bench-1": replace(SEEN, assigned=other.digest)})
            following.keep_assignment(Assignment(device="bench-1", release=other.digest))
            await transaction.write(following, NOW_S)
            return (
                (await transaction.assignments(["bench-1"]))["bench-1"].release,
                await transaction.assignment("bench-1", DIGEST),
            )

    assert _run(tmp_path, scenario) == (b"o" * 32, ASSIGNMENT)


def test_a_step_that_fails_leaves_nothing(tmp_path):
    """Rows before the fault are undone with it."""

    async def scenario(store):
        changes = Changes(devices={"bench-1": SEEN}, offers={"bench-1": _offer(b"1")})
        with pytest.raises(RuntimeError):
            await _write_and_fail(store, changes)
        async with store.reading() as transaction:
            return await transaction.device("bench-1"), await transaction.unsent()

    assert _run(tmp_path, scenario) == (NEW, [])


def test_a_release_that_was_never_imported_can_not_be_assigned(tmp_path):
    """The database itself refuses it."""

    async def scenario(store):
        with pytest.raises(Exception, match="FOREIGN KEY"):
            await _write(store, Changes(devices={"bench-1": replace(SEEN, assigned=b"x" * 32)}))

    _run(tmp_path, scenario)


def test_only_the_newest_unsent_offer_of_a_device_is_kept(tmp_path):
    """An older one would be refused by its number anyway; other devices keep theirs."""

    async def scenario(store):
        async with store.writing() as transaction:
            await transaction.enroll(
                Device(enrolment=FakeFleetDevice(name="bench-2", keys=KeyPair()).enrolment)
            )
        await _write(store, Changes(offers={"bench-1": _offer(b"1"), "bench-2": _offer(b"2", "bench-2")}))
        await _write(store, Changes(offers={"bench-1": _offer(b"3")}))
        async with store.reading() as transaction:
            return [one.message.payload for one in await transaction.unsent()]

    assert _run(tmp_path, scenario) == [b"2", b"3"]


def test_marking_a_replaced_offer_sent_keeps_the_newer_one(tmp_path):
    """An id is never used again, also when the table was empty in between."""

    async def scenario(store):
        await _write(store, Changes(offers={"bench-1": _offer(b"1")}))
        async with store.reading() as transaction:
            (old,) = await transaction.unsent()
        await _write(store, Changes(offers={"bench-1": _offer(b"2")}))
        async with store.writing() as transaction:
            await transaction.mark_sent([old.id])
        async with store.writing() as transaction:
            (left,) = await transaction.unsent()
            await transaction.mark_sent([left.id])
            return left.message.payload, await transaction.unsent()

    assert _run(tmp_path, scenario) == (b"2", [])


def test_refusals_add_up(tmp_path):
    """One row a device, place and reason; its count rises over batches."""
    refusal = Refusal(device="", where="topic", reason="partition")

    async def scenario(store):
        changes = Changes()
        changes.refusals[refusal] += 2
        await _write(store, changes)
        await _write(store, changes)
        async with store.reading() as transaction:
            return await transaction.refusals()

    assert _run(tmp_path, scenario) == {refusal: 4}


def test_a_report_is_kept_once(tmp_path):
    """The database refuses a signed content that it has."""

    async def scenario(store):
        await _write(store, Changes(reports=[_report(1), _report(2)]))
        with pytest.raises(Exception, match="UNIQUE"):
            await _write(store, Changes(reports=[_report(2)]))

    _run(tmp_path, scenario)
    with sqlite3.connect(tmp_path / "pawl.sqlite") as connection:
        rows = connection.execute("SELECT device, received_at_s FROM reports").fetchall()
    connection.close()
    assert rows == [("bench-1", NOW_S)] * 2


def test_enrolling_again_changes_nothing_and_another_key_is_a_conflict(tmp_path):
    """A name belongs to the device that had it first, with what is known of it."""

    async def scenario(store):
        await _write(store, Changes(devices={"bench-1": replace(SEEN, assigned=None)}))
        async with store.writing() as transaction:
            await transaction.enroll(NEW)
        with pytest.raises(ConflictError):
            async with store.writing() as transaction:
                await transaction.enroll(
                    Device(enrolment=FakeFleetDevice(name="bench-1", keys=KeyPair()).enrolment)
                )
        async with store.reading() as transaction:
            return await transaction.device("bench-1")

    assert _run(tmp_path, scenario) == replace(SEEN, assigned=None)


def test_writers_wait_for_each_other(tmp_path):
    """What a transaction read still holds when it writes: 20 concurrent increments are 20."""

    async def increment(store):
        async with store.writing() as transaction:
            device = await transaction.device("bench-1")
            await asyncio.sleep(0)
            changed = replace(device, next_number=device.next_number + 1)
            await transaction.write(Changes(devices={"bench-1": changed}), NOW_S)

    async def scenario(store):
        await asyncio.gather(*[increment(store) for _ in range(20)])
        async with store.reading() as transaction:
            return (await transaction.device("bench-1")).next_number

    assert _run(tmp_path, scenario) == 20
