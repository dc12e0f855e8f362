"""What grows for ever is pruned in batches; what still protects the server from a replay is not."""

import asyncio
import time
from dataclasses import replace

import pytest
from fleet_bench import NOW_S, FakeFleetDevice, make_fleet, open_store
from sqlalchemy import event, insert, select

from pawl import codes
from pawl_server.configuration import ConfigurationError, load
from pawl_server.domain.changes import Changes
from pawl_server.domain.fleet import Device
from pawl_server.events import MessageRefused
from pawl_server.ingest import Ingest
from pawl_server.mqtt.inbox import Message
from pawl_server.retention import Retention
from pawl_server.settings import RetentionSettings
from pawl_server.store import tables
from pawl_server.store.retention import BATCH_DEVICES, BATCH_ROWS

DEVICES = [FakeFleetDevice(name=f"bench-{number}") for number in (1, 2)]
BENCH = DEVICES[0]
FEW = RetentionSettings(
    history_rows_per_device=3, reports_per_device=3, events_kept=4, answers_kept_s=10, candidates_kept_s=20
)


class Harness:
    """An ingest over two enrolled devices, and what prunes."""

    def __init__(self, folder, kept=FEW):
        self.fleet = make_fleet(folder)
        self.store = self.fleet.store
        self.ingest = Ingest(self.store, self.fleet.desk, lambda: NOW_S)
        self.retention = Retention(self.store, lambda: NOW_S, kept)

    async def prepare(self):
        """Enroll the devices."""
        async with self.store.writing() as transaction:
            for device in DEVICES:
                await transaction.enroll(Device(enrolment=device.enrolment))

    async def hello(self, nonce):
        """Open a nonce; return what names the newest offer."""
        await self.ingest.take([_message("hello", BENCH.hello(nonce))])
        async with self.store.reading() as transaction:
            return (await transaction.device("bench-1")).issued

    async def report(self, payload):
        """Let a report arrive; return why it was refused, or None."""
        before = len(self.fleet.told)
        await self.ingest.take([_message("report", payload)])
        refused = [one.reason for one in self.fleet.told[before:] if isinstance(one, MessageRefused)]
        return refused[0] if refused else None

    async def report_times(self, first, count):
        """Report as often, with numbers from this one on, without an accepted offer."""
        for number in range(first, first + count):
            assert await self.report(BENCH.report(codes.EVENT_NOTICED, boots=9, number=number)) is None

    async def insert(self, table, rows):
        """Put rows in, as they are."""
        async with self.store.writing() as transaction:
            await transaction._connection.execute(insert(table), rows)

    async def values(self, column, *conditions):
        """Return a column, in order."""
        async with self.store.reading() as transaction:
            query = select(column).where(*conditions).order_by(column)
            return list(await transaction._connection.scalars(query))


def _message(kind, payload):
    return Message(topic=BENCH.topic(kind), payload=payload, retained=False)


def _run(folder, scenario, kept=FEW):
    async def main():
        harness = Harness(folder, kept)
        async with open_store(harness.store):
            await harness.prepare()
            return await scenario(harness)

    return asyncio.run(main())


def _history(device, count):
    row = {"device": device, "at_s": 1, "release": b"r", "state": "failed", "reason": "", "attempt": 1}
    return [row] * count


def test_of_each_device_the_newest_history_is_kept(tmp_path):
    """Each has its own; a device with less keeps all."""

    async def scenario(harness):
        await harness.insert(tables.history, _history("bench-1", 5) + _history("bench-2", 2))
        await harness.insert(tables.history, _history("bench-1", 1))
        await harness.retention.look()
        return await harness.values(tables.history.c.id)

    assert _run(tmp_path, scenario) == [4, 5, 6, 7, 8]


def test_a_report_that_accepted_the_newest_offer_can_not_come_twice(tmp_path):
    """Its number fell since, and all that refuses it is its digest: it stays, however many came after it."""

    async def scenario(harness):
        issued = await harness.hello(b"n" * 16)
        answer = BENCH.report(codes.EVENT_CHECKED, boots=2, accepted=issued)
        assert await harness.report(answer) is None
        await harness.report_times(1, 6)
        await harness.retention.look()
        assert len(await harness.values(tables.reports.c.id)) == 4
        return await harness.report(answer)

    assert _run(tmp_path, scenario) == "replayed"


def test_a_report_whose_offer_is_not_the_newest_any_more_goes_and_is_still_refused(tmp_path):
    """By its number, with the nonce repeated, too: an offer's number never comes again."""

    async def scenario(harness):
        issued = await harness.hello(b"n" * 16)
        answer = BENCH.report(codes.EVENT_CHECKED, boots=2, accepted=issued)
        await harness.report(answer)
        await harness.report_times(1, 6)
        await harness.hello(b"m" * 16)
        await harness.retention.look()
        assert await harness.values(tables.reports.c.id) == [5, 6, 7]
        refused = [await harness.report(answer)]
        await harness.hello(b"n" * 16)
        return [*refused, await harness.report(answer)]

    assert _run(tmp_path, scenario) == ["replayed"] * 2


def test_a_pruned_report_is_refused_by_its_number(tmp_path):
    """Nothing that was taken once is taken again."""

    async def scenario(harness):
        first = BENCH.report(codes.EVENT_STARTED, boots=1)
        await harness.report(first)
        await harness.report_times(1, 4)
        await harness.retention.look()
        assert await harness.values(tables.reports.c.id) == [3, 4, 5]
        return await harness.report(first)

    assert _run(tmp_path, scenario) == "replayed"


@pytest.mark.parametrize("number", [2**63 - 1, 2**63, 2**64 - 1])
def test_an_accepted_number_that_no_offer_has_stops_no_batch(tmp_path, number):
    """A device may sign what it likes."""

    async def scenario(harness):
        payload = BENCH.report(codes.EVENT_NOTICED, accepted=(b"n" * 16, number))
        assert await harness.report(payload) is None
        await harness.report_times(1, 4)
        await harness.retention.look()
        return len(await harness.values(tables.reports.c.id))

    assert _run(tmp_path, scenario) == 3


def test_the_newest_events_are_kept(tmp_path):
    """Also after all of them were pruned once: ids go on."""
    row = {"at_s": 1, "kind": "x", "content": {}}

    async def scenario(harness):
        await harness.insert(tables.events, [row] * (BATCH_ROWS + 10))
        await harness.retention.look()
        return await harness.values(tables.events.c.id)

    newest = BATCH_ROWS + 10
    assert _run(tmp_path, scenario) == [newest - 3, newest - 2, newest - 1, newest]


def test_answers_and_candidates_go_when_they_are_old(tmp_path):
    """Answers by when they were asked for, candidates by when they were seen last."""

    def candidate(name, seen_s):
        return {
            "device": name,
            "vendor": b"v",
            "class_id": b"c",
            "first_seen_s": 1,
            "last_seen_s": seen_s,
        }

    async def scenario(harness):
        ages = [*[11] * (BATCH_ROWS + 5), 10, 0]
        answers = [
            {"token": "t", "key": f"{number:04}", "request": b"", "at_s": NOW_S - age}
            for number, age in enumerate(ages)
        ]
        await harness.insert(tables.answers, answers)
        await harness.insert(tables.candidates, [candidate("old", NOW_S - 21), candidate("new", NOW_S - 20)])
        await harness.retention.look()
        return await harness.values(tables.answers.c.key), await harness.values(tables.candidates.c.device)

    assert _run(tmp_path, scenario) == ([f"{BATCH_ROWS + 5:04}", f"{BATCH_ROWS + 6:04}"], ["new"])


def test_no_transaction_deletes_more_than_a_batch(tmp_path):
    """Over more devices than a page has, with more rows than a batch: others write in between, and all is done."""
    deleted, waited_s = [0], []

    def count(_connection, cursor, statement, *_):
        if statement.startswith("DELETE"):
            deleted[-1] += cursor.rowcount

    async def fill(harness):
        async with harness.store.writing() as transaction:
            for number in range(BATCH_DEVICES + 1):
                one = Device(enrolment=replace(BENCH.enrolment, device=f"many-{number:04}"))
                await transaction.enroll(one)
        names = [f"many-{number:04}" for number in range(BATCH_DEVICES + 1)]
        many = [row for name in names for row in _history(name, 6)]
        await harness.insert(tables.history, many + _history("bench-1", BATCH_ROWS + 7))

    async def write_until(harness, pruning):
        while not pruning.done():
            started_s = time.perf_counter()
            async with harness.store.writing() as transaction:
                await transaction.write(Changes(), NOW_S)
            waited_s.append(time.perf_counter() - started_s)
            await asyncio.sleep(0.005)

    async def scenario(harness):
        await fill(harness)
        engine = harness.store._engine.sync_engine
        event.listen(engine, "after_cursor_execute", count)
        event.listen(engine, "commit", lambda _connection: deleted.append(0))
        pruning = asyncio.create_task(harness.retention.look())
        await write_until(harness, pruning)
        await pruning
        return await harness.values(tables.history.c.id)

    assert len(_run(tmp_path, scenario)) == 3 * (BATCH_DEVICES + 2)
    assert sum(deleted) == 3 * (BATCH_DEVICES + 1) + BATCH_ROWS + 4
    assert 0 < max(deleted) <= BATCH_ROWS
    assert len(waited_s) > len([number for number in deleted if number])
    assert max(waited_s) < 3


def test_the_task_goes_on_after_a_fault(tmp_path, caplog):
    """It is logged, and the next pass finds the same rows."""

    async def pruned(harness):
        return await harness.values(tables.history.c.id) == [3, 4, 5]

    async def scenario(harness):
        await harness.insert(tables.history, _history("bench-1", 5))
        async with harness.store.writing() as transaction:
            await transaction._connection.exec_driver_sql("ALTER TABLE history RENAME TO away")
        task = asyncio.create_task(harness.retention.run())
        await _until(lambda: _is("old rows were not deleted" in caplog.text))
        async with harness.store.writing() as transaction:
            await transaction._connection.exec_driver_sql("ALTER TABLE away RENAME TO history")
        await _until(lambda: pruned(harness))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    _run(tmp_path, scenario, replace(FEW, pass_s=1))


async def _is(fact):
    return fact


async def _until(holds):
    for _ in range(200):
        if await holds():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("10 seconds weren't enough")


@pytest.mark.parametrize("name", ["history_rows_per_device", "reports_per_device", "events_kept", "pass_s"])
@pytest.mark.parametrize("value", [0, -1, 2**31])
def test_a_limit_that_keeps_nothing_or_no_database_counts_is_refused(name, value):
    """The newest row is always there; the error names the setting."""
    with pytest.raises(ValueError, match=f"{name} must be 1 to 2147483647"):
        RetentionSettings(**{name: value})


def _configured(folder, text):
    (folder / "server.toml").write_text(f"""\
data = "data"
trust = "trust.cbor"
director_key = "director"
[api]
address = "127.0.0.1"
port = 8000
[broker]
host = "127.0.0.1"
port = 8883
authority = "a"
certificate = "c"
key = "k"
{text}
""")
    return load(folder).server.retention


def test_what_is_kept_can_be_configured(tmp_path):
    """Each by its name; without the table, and without a name, it is what it always was."""
    assert _configured(tmp_path, "") == RetentionSettings()
    some = _configured(tmp_path, "[retention]\nreports_per_device = 7\nanswers_kept_s = 60")
    assert some == RetentionSettings(reports_per_device=7, answers_kept_s=60)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[retention]\nreports_per_devices = 7", r"retention\.reports_per_devices is no setting"),
        ("[retention]\nevents_kept = 0", "events_kept must be 1 to"),
        ('[retention]\nevents_kept = "many"', r"retention\.events_kept must be a whole number"),
    ],
)
def test_a_misspelt_retention_is_refused(tmp_path, text, says):
    """By the name of the setting."""
    with pytest.raises(ConfigurationError, match=says):
        _configured(tmp_path, text)
