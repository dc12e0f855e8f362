"""Databases of before: brought to today's tables with all that they hold, or left as they were."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from zipfile import ZipFile

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, event, select

from pawl_server.domain.fleet import AssignmentState, Flag, OfferMark, Ratchet, ReportNumber
from pawl_server.store import SchemaError, Store, migrating, schema, tables

VERSION_2 = (Path(__file__).parent / "version_2.sql").read_text()
UINT64_MAX = 2**64 - 1
OLD, NEW = b"\x11" * 32, b"\x12" * 32


@pytest.fixture
def path(tmp_path):
    return tmp_path / "pawl.sqlite"


@pytest.fixture
def version_2(path):
    """A database of version 2, with a fleet in it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(VERSION_2)
    return path


def _open(path, read=None):
    """Open a store, let a coroutine function read, and close it."""

    async def main():
        store = Store(path)
        await store.open()
        try:
            if read is None:
                return None
            async with store.reading() as transaction:
                return await read(transaction)
        finally:
            await store.close()

    return asyncio.run(main())


def _dump(path):
    """Return all that a database holds, as SQL."""
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def _rows(path, statement):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def _made(path):
    """Return how tables and indexes were made, but for the blanks."""
    made = _rows(path, "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE '%alembic%' ORDER BY name")
    return [(name, sql and sql.split()) for name, sql in made]


def _differences(path):
    with create_engine(f"sqlite:///{path}").connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return compare_metadata(context, tables.metadata)


def _begin(connection):
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _engine(path):
    """Return an engine whose transactions are as those of the store."""
    engine = create_engine(f"sqlite:///{path}")

    def prepare(connection, _record):
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", _begin)
    return engine


def test_an_empty_database_gets_todays_tables(path):
    """By the same migrations as an old one; opened again, it stays as it is."""
    _open(path)
    assert _differences(path) == []
    before = _dump(path)
    _open(path)
    assert _dump(path) == before


def test_an_old_database_gets_todays_tables(version_2):
    """The same ones, to the letter, as a new one has; its references hold."""
    _open(version_2)
    assert _differences(version_2) == []
    fresh = version_2.with_name("fresh.sqlite")
    _open(fresh)
    assert _made(version_2) == _made(fresh)
    assert _rows(version_2, "PRAGMA foreign_key_check") == []


def test_the_comparison_finds_what_is_missing(path):
    """Otherwise the two tests above would say nothing."""
    _open(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP INDEX history_by_device")
        connection.execute("ALTER TABLE devices DROP COLUMN agent")
    assert {difference[0] for difference in _differences(path)} == {"add_index", "add_column"}


def test_the_first_migration_makes_the_tables_of_version_2(path, version_2):
    """Exactly: a database that is adopted can't be told from one that began with it."""
    other = path.with_name("other.sqlite")
    with _engine(other).begin() as connection:
        config = migrating.configuration(connection)
        migrating.command.upgrade(config, migrating.BASELINE)
    assert _made(other) == _made(version_2)


def test_a_start_knows_which_migration_is_the_newest(path):
    """Without importing Alembic: that takes longer than the rest of the start."""
    assert migrating.known()[0] == schema.HEAD
    _open(path)
    code = f"""
import asyncio, sys
from pathlib import Path
from pawl_server.store import Store
async def main():
    store = Store(Path({str(path)!r}))
    await store.open()
    await store.close()
asyncio.run(main())
sys.exit("alembic" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_an_installed_server_has_the_migrations(tmp_path, path):
    """They are in the wheel, and found wherever it lies; a percent sign in the path means nothing."""
    root = Path(__file__).parents[2]
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path]
    subprocess.run(build, cwd=root, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "100%s"
    ZipFile(wheel).extractall(installed)
    code = f"""
import asyncio
from pathlib import Path
from pawl_server import store
assert store.__file__.startswith({str(installed)!r})
asyncio.run(store.Store(Path({str(path)!r})).open())
"""
    settings = {**os.environ, "PYTHONPATH": str(installed)}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=settings, check=True, timeout=60)
    assert _differences(path) == []


def test_devices_and_what_they_are_assigned_are_kept(version_2):
    """With the largest numbers of the wire; what is new has its first value."""

    async def read(transaction):
        devices = await transaction.devices([f"bench-{number}" for number in range(1, 7)])
        return devices, await transaction.every_assignment(list(devices))

    devices, assignments = _open(version_2, read)
    seen, flagged = devices["bench-1"], devices["bench-6"]
    assert len(devices) == 6 and len(assignments) == 7
    assert (seen.assigned, seen.issued, seen.boots) == (NEW, (b"n" * 16, 4), UINT64_MAX)
    assert seen.ratchet == Ratchet(sequence=1, digest=OLD)
    assert (seen.last_report, seen.fresh_at_s) == (ReportNumber(boots=4, number=9), 1_700_000_800)
    assert (seen.timezone, seen.failures, seen.attention_at_s, seen.confirmed_version) == (
        "UTC",
        0,
        None,
        None,
    )
    assert (flagged.flag, flagged.is_late) == (Flag(at_s=1_700_000_500, reason="report-number-fell"), True)
    failed = assignments["bench-4", OLD]
    assert (failed.state, failed.attempt, failed.failures) == (AssignmentState.FAILED, 2, 1)
    assert failed.offered == OfferMark(nonce=b"n" * 16, number=4, boots=UINT64_MAX)


def test_releases_may_all_be_on_the_broker(version_2):
    """When they were published was forgotten at every reconnect: who withdraws one that isn't there does no harm."""

    async def read(transaction):
        return await transaction.releases()

    releases = _open(version_2, read)
    assert [(one.sequence, one.published_at_s) for one in releases] == [
        (UINT64_MAX, None),
        (2, 1_700_000_100),
    ]
    assert {(one.is_retained, one.is_recovery) for one in releases} == {(True, False)}


def test_a_release_of_before_is_known_as_a_recovery_once_it_is_imported_again(version_2):
    """The rest of its row stays."""

    async def main():
        store = Store(version_2)
        await store.open()
        try:
            async with store.writing() as transaction:
                before = await transaction.release(OLD)
                await transaction.add_release(
                    _with(before, is_recovery=True, is_retained=False, imported_at_s=5)
                )
                return before, await transaction.release(OLD)
        finally:
            await store.close()

    before, after = asyncio.run(main())
    assert after == _with(before, is_recovery=True)


def _with(release, **changes):
    return type(release)(**{name: getattr(release, name) for name in release.__slots__} | changes)


def test_what_was_queued_reported_and_refused_is_kept(version_2):
    """And an id of the outbox is still never used again."""
    _open(version_2)
    assert _rows(version_2, "SELECT id, device FROM outbox") == [(57, "bench-2")]
    assert _rows(version_2, "SELECT seq FROM sqlite_sequence WHERE name IN ('outbox', 'rollouts')") in (
        [(58,), (4,)],
        [(4,), (58,)],
    )
    assert _rows(version_2, "SELECT id, device FROM reports") == [(40, "bench-1"), (41, "bench-1")]
    assert _rows(version_2, 'SELECT device, "where", count FROM refusals') == [("", "topic", 3)]
    assert _rows(version_2, "SELECT name, created_at_s FROM tokens") == [("ann", 1_700_000_000)]
    assert _rows(version_2, "SELECT count(*) FROM anchors") == [(1,)]


def test_reports_since_the_newest_offer_count_as_answers_to_it(version_2):
    """Which they accepted wasn't kept: these are never pruned while that offer is the newest."""
    _open(version_2)
    assert _rows(version_2, "SELECT id, accepted_number FROM reports") == [(40, None), (41, 4)]


def test_the_number_of_the_newest_process_goes_on(version_2):
    """The one that was running is refused by number, should it still write."""

    async def main():
        store = Store(version_2)
        await store.open()
        await store.take_fence()
        await store.close()

    asyncio.run(main())
    assert _rows(version_2, "SELECT name, number FROM workers") == [("main", 8)]


def test_groups_have_their_devices(version_2):
    """Each named one is a member; no group has a filter."""
    _open(version_2)
    assert _rows(version_2, "SELECT name, filter FROM groups ORDER BY name") == [
        (name, None) for name in ("canary", "empty", "field", "lab")
    ]
    assert _rows(version_2, 'SELECT "group", device, kind FROM group_members ORDER BY device') == [
        ("canary", "bench-1", "member"),
        ("field", "bench-2", "member"),
        ("field", "bench-3", "member"),
        ("lab", "bench-4", "member"),
        ("lab", "bench-5", "member"),
    ]


def test_rollouts_go_on_as_plans(version_2):
    """A phase for each group, in order; the first failure stops it, as before."""
    _open(version_2)
    column = tables.rollouts.c
    with create_engine(f"sqlite:///{version_2}").connect() as connection:
        rollouts = connection.execute(select(tables.rollouts).order_by(column.id)).mappings().all()
    assert [(one["name"], one["state"]) for one in rollouts] == [
        ("winter", "done"),
        ("spring", "running"),
        ("lab-1", "paused"),
        ("summer", "cancelled"),
    ]
    assert rollouts[2]["reason"] == "group lab: bench-4 failed: trials"
    spring = rollouts[1]
    assert (spring["release"], spring["recovery"], spring["created_at_s"]) == (NEW, None, 1_700_001_002)
    plan = spring["plan"]
    assert (plan["release"], plan["groups"]) == (NEW.hex(), ["canary", "field", "empty"])
    assert [phase["group"] for phase in plan["phases"]] == ["canary", "field", "empty"]
    assert {
        (phase["kind"], phase["success_percent"], phase["failure_count"]) for phase in plan["phases"]
    } == {("group", 100, 1)}


def test_phases_have_begun_as_far_as_devices_were_asked(version_2):
    """Those of a rollout that is done have all passed."""
    _open(version_2)
    assert _rows(version_2, "SELECT * FROM rollout_phases ORDER BY rollout, position") == [
        (1, 0, 1_700_001_001, 1_700_002_001, 0),
        (1, 1, 1_700_001_001, 1_700_002_001, 0),
        (2, 0, 1_700_001_002, 1_700_002_002, 0),
        (2, 1, 1_700_001_002, None, 0),
        (2, 2, None, None, 0),
        (3, 0, 1_700_001_003, None, 0),
        (4, 0, None, None, 0),
        (4, 1, None, None, 0),
    ]


def test_members_keep_how_far_they_are(version_2):
    """Who was asked is silent from now on only, and who failed isn't asked again by itself."""
    before_s = int(time.time())
    _open(version_2)
    columns = "rollout, device, phase, is_asked, tries, not_before_s, is_final, is_recovering"
    assert _rows(version_2, f"SELECT {columns} FROM rollout_members ORDER BY rollout, device") == [
        (1, "bench-1", 0, 1, 1, 0, 0, 0),
        (1, "bench-2", 1, 1, 1, 0, 0, 0),
        (2, "bench-1", 0, 1, 1, 0, 0, 0),
        (2, "bench-2", 1, 1, 1, 0, 0, 0),
        (2, "bench-3", 1, 0, 0, 0, 0, 0),
        (3, "bench-4", 0, 1, 1, 0, 1, 0),
        (3, "bench-5", 0, 1, 1, 0, 0, 0),
        (4, "bench-6", 1, 0, 0, 0, 0, 0),
    ]
    asked = dict(_rows(version_2, "SELECT rollout || ' ' || device, asked_at_s FROM rollout_members"))
    now = {name: asked.pop(name) for name in ("2 bench-2", "3 bench-5")}
    assert all(before_s <= at_s <= time.time() for at_s in now.values())
    assert asked == {
        "1 bench-1": 1_700_002_001,
        "1 bench-2": 1_700_002_001,
        "2 bench-1": 1_700_002_002,
        "2 bench-3": None,
        "3 bench-4": 1_700_002_003,
        "4 bench-6": None,
    }


@pytest.mark.parametrize(
    ("statements", "says"),
    [
        (["CREATE TABLE devices (id TEXT)"], r"version 1.*pawl server init"),
        (["CREATE TABLE schema (version INTEGER)"], r"version 0.*pawl server init"),
        (
            ["CREATE TABLE schema (version INTEGER)", "INSERT INTO schema VALUES (99)"],
            r"version 99.*pawl server init",
        ),
        (
            [
                "CREATE TABLE alembic_version (version_num TEXT)",
                "INSERT INTO alembic_version VALUES ('0009_x')",
            ],
            r"0009_x.*newer server",
        ),
        (["CREATE TABLE alembic_version (version_num TEXT)"], r"0 revisions.*newer server"),
    ],
)
def test_a_database_of_another_server_is_refused(path, statements, says):
    """By name and with the next step; nothing in it is changed."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)
    before = _dump(path)
    with pytest.raises(SchemaError, match=says):
        _open(path)
    assert _dump(path) == before


def _break_at(engine, number, fail):
    """Call `fail` before the statement of this number; return how many there were, in a list."""
    count = [0]

    def before(*_arguments):
        count[0] += 1
        if count[0] == number:
            fail()

    event.listen(engine, "before_cursor_execute", before)
    return count


def _fail():
    raise RuntimeError("broken")


def test_a_migration_that_fails_anywhere_leaves_the_old_database(version_2):
    """Every statement in turn; afterwards it is migrated as if nothing had been."""
    before = _dump(version_2)
    number = 1
    while True:
        engine = _engine(version_2)
        count = _break_at(engine, number, _fail)
        try:
            with engine.begin() as connection:
                schema.prepare(connection)
            break
        except RuntimeError:
            assert _dump(version_2) == before
        finally:
            engine.dispose()
        number += 4
    assert count[0] > 50
    assert _differences(version_2) == []


@pytest.mark.parametrize("number", [20, 50])
def test_a_server_that_is_killed_while_it_migrates_leaves_the_old_database(version_2, number):
    """SIGKILL in the middle; the next start migrates it."""
    before = _dump(version_2)
    code = f"""
import asyncio, os, signal
from pathlib import Path
from sqlalchemy import event
from pawl_server.store import Store
count = [0]
def kill(*_arguments):
    count[0] += 1
    if count[0] == {number}:
        os.kill(os.getpid(), signal.SIGKILL)
store = Store(Path({str(version_2)!r}))
event.listen(store._engine.sync_engine, "before_cursor_execute", kill)
asyncio.run(store.open())
"""
    killed = subprocess.run([sys.executable, "-c", code], check=False, timeout=60, env=os.environ)
    assert killed.returncode == -signal.SIGKILL
    assert _dump(version_2) == before
    _open(version_2)
    assert _differences(version_2) == []
