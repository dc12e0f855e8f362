"""What the rollout engine costs with 100 000 devices in one group, beside counting the rows of that many devices.

Database, engine and offers are the server's own, with its signatures; of the broker nothing is measured.
"""

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any
from uuid import UUID

from benchmarks.figures import Figure
from pawl_server.carrying import Carrier
from pawl_server.domain.changes import Changes, Outgoing
from pawl_server.domain.fleet import AssignmentState, Device, Enrolment
from pawl_server.domain.plan import Phase, PhaseKind, Plan
from pawl_server.failing import FailureWatch
from pawl_server.groups import Groups
from pawl_server.judges import Judges
from pawl_server.offering import OfferDesk
from pawl_server.publishing import Publisher
from pawl_server.reconcile import Reconciler
from pawl_server.repository import Repository
from pawl_server.rollouts import Rollouts
from pawl_server.store import Store
from pawl_server.trust_chain import TrustChain
from pawl_tools.site import CLASS, VENDOR, Site
from pawl_tools.toolchain import Toolchain

DEVICES = 100_000
ENDED_ROLLOUTS = 5
REPORTS = 200
_BUNDLE_MAX_BYTES = 1 << 20
_IMAGE = b"image" * 2000
_PERCENTS = (1, 5, 20, 50, 100)
_REPEATS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """The parts of a server that move rollouts, over one database."""

    database: Path
    store: Store
    groups: Groups
    rollouts: Rollouts
    reconciler: Reconciler
    release: bytes


def measure(programs: Toolchain) -> list[Figure]:
    """Return one figure for each step that an operator or the engine waits for."""
    with tempfile.TemporaryDirectory(prefix="pawl-bench-") as folder:
        return asyncio.run(_measure(Site(Path(folder), programs, int(time.time()))))


async def _measure(site: Site) -> list[Figure]:
    async with opened(site) as engine:
        reference_ms = _counting_ms(engine.database)
        return [
            Figure(
                name=f"{DEVICES} devices: {name}",
                value=value_ms,
                unit="ms",
                reference="counting the devices",
                reference_value=reference_ms,
            )
            for name, value_ms in (await steps(engine)).items()
        ]


async def steps(engine: Engine) -> dict[str, float]:
    """Return how many ms each step takes, in the order in which they are done."""
    plan = plan_for(engine.release)
    found = {
        "dry run of a rollout in 5 phases": await _ms(lambda: engine.rollouts.preview(plan)),
        "creating it": await _ms(lambda: engine.rollouts.create(plan, "bench")),
        "first pass, which asks 400": await _ms(engine.reconciler.reconcile),
        "pass with nothing to do": await _median_ms(engine.reconciler.reconcile),
    }
    await report(engine)
    found["pass after 200 reports"] = await _ms(engine.reconciler.reconcile)
    found["how far it is"] = await _median_ms(lambda: engine.rollouts.get("bench"))
    add_ended(engine.database)
    found["page of rollouts, 5 ended ones too"] = await _median_ms(lambda: engine.rollouts.page(0, 100))
    found["pass with nothing to do, 5 ended ones too"] = await _median_ms(engine.reconciler.reconcile)
    return found


@asynccontextmanager
async def opened(site: Site) -> AsyncIterator[Engine]:
    """Make the database with its devices, their group and a release that counts as published."""
    database = site.folder / "pawl.sqlite"
    store = Store(database)
    engine = _engine(site, store, database)
    release = _repository(site).add(site.release(_IMAGE, 2, (2,)))
    await store.open()
    try:
        await store.take_fence()
        async with store.writing() as transaction:
            await transaction.add_release(replace(release, imported_at_s=int(time.time())))
            await transaction.enroll(_device(site))
        fill(database)
        await engine.groups.set_filter("field", f'class == "{UUID(bytes=CLASS)}" and not late')
        yield replace(engine, release=release.digest)
    finally:
        await store.close()


def _engine(site: Site, store: Store, database: Path) -> Engine:
    desk = OfferDesk(authority=TrustChain(site.anchor_file, [site.folder / "keys" / "director"]))
    settings = site.server.settings
    publisher = Publisher(store, _repository(site), _forget, time.time, settings.publishing)
    return Engine(
        database=database,
        store=store,
        groups=Groups(store, time.time),
        rollouts=Rollouts(store, publisher.open, time.time),
        reconciler=Reconciler(
            store,
            Carrier(desk, time.time, offers_per_s=REPORTS // 5),
            FailureWatch(store, desk, time.time),
            publisher,
            pass_s=1,
        ),
        release=b"",
    )


def _repository(site: Site) -> Repository:
    judges = Judges(site.anchor_file, site.folder / "disagreements")
    return Repository(site.folder / "releases", judges, bundle_max_bytes=_BUNDLE_MAX_BYTES)


async def _forget(_: Outgoing) -> None:
    return


def _device(site: Site) -> Device:
    key = site.signers["root"].key
    enrolment = Enrolment(
        device="device-000000", vendor=VENDOR, class_id=CLASS, report_x=key.x, report_y=key.y
    )
    return Device(enrolment=enrolment, nonce=bytes(16), enrolled_at_s=int(time.time()))


def fill(database: Path) -> None:
    """Copy the one device until there are all."""
    with sqlite3.connect(database) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(devices)")]
        values = ", ".join("printf('device-%06d', n)" if name == "id" else f'"{name}"' for name in columns)
        connection.execute(
            "WITH RECURSIVE numbers(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM numbers WHERE n < ?) "  # noqa: S608
            f"INSERT INTO devices SELECT {values} FROM devices, numbers",
            (DEVICES - 1,),
        )
    connection.close()


def plan_for(release: bytes) -> Plan:
    """Return the plan that is measured."""
    phases = tuple(Phase(kind=PhaseKind.PERCENT, size=size, failure_count=1000) for size in _PERCENTS)
    return Plan(release=release, groups=("field",), phases=phases)


async def report(engine: Engine) -> None:
    """Let as many devices succeed as one batch of messages may say."""
    async with engine.store.writing() as transaction:
        found = (await transaction.open_assignments())[:REPORTS]
        succeeded = {
            (one.device, one.release): replace(one, state=AssignmentState.SUCCEEDED) for one in found
        }
        await transaction.write(Changes(assignments=succeeded), int(time.time()))


def add_ended(database: Path) -> None:
    """Let the rollout have predecessors that were cancelled when half of their devices had been asked."""
    with sqlite3.connect(database) as connection:
        for number in range(2, ENDED_ROLLOUTS + 2):
            _copy(connection, "rollouts", "id", number, f"name = 'ended-{number}', state = 'cancelled'")
            _copy(connection, "rollout_phases", "rollout", number)
            asked = "is_asked = 0, asked_at_s = CASE WHEN device < 'device-050000' THEN 1 END"
            _copy(connection, "rollout_members", "rollout", number, asked)
    connection.close()


def _copy(connection: sqlite3.Connection, table: str, key: str, number: int, changes: str = "") -> None:
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    given = dict(one.split(" = ", 1) for one in changes.split(", ") if one) | {key: str(number)}
    values = ", ".join(given.get(name, name) for name in columns)
    connection.execute(f"INSERT INTO {table} SELECT {values} FROM {table} WHERE {key} = 1")  # noqa: S608


def _counting_ms(database: Path) -> float:
    connection = sqlite3.connect(database)
    times_ms = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        connection.execute("SELECT count(*) FROM devices").fetchone()
        times_ms.append((time.perf_counter() - began) * 1000)
    connection.close()
    return median(times_ms)


async def _ms(step: Callable[[], Awaitable[Any]]) -> float:
    began = time.perf_counter()
    await step()
    return (time.perf_counter() - began) * 1000


async def _median_ms(step: Callable[[], Awaitable[Any]]) -> float:
    return median([await _ms(step) for _ in range(_REPEATS)])
