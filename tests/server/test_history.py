"""What became of a device's assignments: one entry for each change, in the transaction that makes it."""

import asyncio
from dataclasses import replace

import pytest
from fleet_bench import NOW_S, FakeFleetDevice, make_fleet, open_store

from pawl import codes
from pawl_server.domain.changes import Changes
from pawl_server.domain.fleet import Assignment, AssignmentState, Device, Release
from pawl_server.domain.reasons import SILENT
from pawl_server.store.history import HistoryEntry

BENCH, OTHER = FakeFleetDevice(name="bench-1"), FakeFleetDevice(name="bench-2")
DIGEST, NEXT = b"d" * 32, b"e" * 32
ASSIGNED = Assignment(device="bench-1", release=DIGEST)
OFFERED = replace(ASSIGNED, state=AssignmentState.OFFERED)
FAILED = replace(OFFERED, state=AssignmentState.FAILED, reason=codes.REASON_TRIALS, failures=1)


def _release(digest):
    return Release(
        digest=digest, sequence=1, version="1", index_digest=bytes(32), size_bytes=1, imported_at_s=1
    )


def _run(folder, scenario):
    async def main():
        async with open_store(make_fleet(folder).store) as store:
            async with store.writing() as transaction:
                for digest in (DIGEST, NEXT):
                    await transaction.add_release(_release(digest))
                for device in (BENCH, OTHER):
                    await transaction.enroll(Device(enrolment=device.enrolment))
            return await scenario(store)

    return asyncio.run(main())


async def _write(store, *assignments, at_s=NOW_S):
    changes = Changes()
    for assignment in assignments:
        changes.keep_assignment(assignment)
    async with store.writing() as transaction:
        await transaction.write(changes, at_s)


async def _page(store, device="bench-1", after_id=None, limit=10):
    async with store.reading() as transaction:
        return await transaction.history.page(device, after_id, limit)


def test_every_change_is_an_entry_and_what_stays_the_same_is_none(tmp_path):
    """State, attempt or reason; a failure counted or an offer marked moves nothing. The newest is first."""

    async def scenario(store):
        await _write(store, ASSIGNED)
        await _write(store, ASSIGNED)
        await _write(store, OFFERED, at_s=NOW_S + 1)
        await _write(store, replace(OFFERED, failures=1))
        await _write(store, FAILED, at_s=NOW_S + 2)
        await _write(store, replace(FAILED, reason=SILENT), at_s=NOW_S + 3)
        await _write(store, replace(ASSIGNED, attempt=2), at_s=NOW_S + 4)
        return await _page(store)

    found = _run(tmp_path, scenario)
    assert [(one.at_s - NOW_S, one.state, one.reason, one.attempt) for one in found] == [
        (4, "assigned", "", 2),
        (3, "failed", "silent", 1),
        (2, "failed", "trials", 1),
        (1, "offered", "", 1),
        (0, "assigned", "", 1),
    ]
    assert {(one.device, one.release) for one in found} == {("bench-1", DIGEST)}


def test_a_batch_is_told_apart_by_device_and_release(tmp_path):
    """Several in one transaction, of which some are new and some unchanged."""
    others = Assignment(device="bench-2", release=DIGEST)

    async def scenario(store):
        await _write(store, ASSIGNED, others)
        await _write(store, ASSIGNED, replace(ASSIGNED, release=NEXT), replace(others, state=FAILED.state))
        return await _page(store), await _page(store, "bench-2")

    mine, other = _run(tmp_path, scenario)
    assert [(one.release, one.state) for one in mine] == [(NEXT, "assigned"), (DIGEST, "assigned")]
    assert [(one.state, one.reason) for one in other] == [("failed", "ok"), ("assigned", "")]


def test_pages_go_on_where_the_last_one_ended(tmp_path):
    """Every entry once, also if one came in between."""

    async def scenario(store):
        for attempt in range(1, 6):
            await _write(store, replace(ASSIGNED, attempt=attempt))
        first = await _page(store, limit=2)
        await _write(store, replace(ASSIGNED, attempt=6))
        second = await _page(store, after_id=first[-1].id, limit=2)
        rest = await _page(store, after_id=second[-1].id)
        return [one.attempt for one in (*first, *second, *rest)]

    assert _run(tmp_path, scenario) == [5, 4, 3, 2, 1]


def test_a_step_that_fails_leaves_no_history(tmp_path):
    """It is written in the same transaction as the state that it tells."""

    async def fail(store):
        async with store.writing() as transaction:
            await transaction.write(Changes(assignments={("bench-1", DIGEST): ASSIGNED}), NOW_S)
            assert isinstance((await transaction.history.page("bench-1", None, 1))[0], HistoryEntry)
            raise RuntimeError

    async def scenario(store):
        with pytest.raises(RuntimeError):
            await fail(store)
        return await _page(store)

    assert _run(tmp_path, scenario) == []
