"""Two worker processes over one database and one broker: shared slices, kills, and one that sleeps through its term."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections import defaultdict
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import worker_process
from fleet_bench import NOW_S, FakeFleetDevice, make_fleet
from release_factory import make_anchor
from service_bench import BENCH, connected, running, server_settings

from pawl import codes, topics
from pawl.identity import partition_of
from pawl_server.domain.fleet import Device
from pawl_server.domain.leases import ENGINE, FORMER_SESSION, INGEST, OUTBOX, PARTITIONS_EACH, up_filters
from pawl_server.ingest_slices import client_id
from pawl_server.mqtt import former_session
from pawl_server.mqtt.link import MqttLink
from pawl_server.service import FleetServer
from pawl_server.settings import ServerSettings
from pawl_server.store import Store

WAIT_S = 30
DEVICES = 25
REPORTS = 20
WORKER = Path(worker_process.__file__)


@pytest.fixture
def fleet(tmp_path):
    return make_fleet(tmp_path)


def _slice_of(device):
    return INGEST[partition_of(device.name) // PARTITIONS_EACH]


class Site:
    """The workers of a database, as processes; what the database says."""

    def __init__(self, bench, fleet):
        self.settings = server_settings(bench, fleet, lease_term_s=worker_process.TERM_S)
        self.processes = {}
        self._logs = fleet.folder

    def start(self, name):
        """Start a worker, and return when it has begun."""
        arguments = worker_process.arguments(replace(self.settings, worker=name))
        with (self._logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, WORKER, arguments], stdout=subprocess.PIPE, stderr=log, text=True
            )
        self.processes[name] = process
        assert process.stdout.readline() == "begun\n", self.log(name)

    def log(self, name):
        """Return what a worker complained of."""
        return (self._logs / f"{name}.log").read_text()

    def signal(self, name, number):
        """Send a signal to a worker; one that is killed is waited for."""
        self.processes[name].send_signal(number)
        if number == signal.SIGKILL:
            self.processes.pop(name).communicate()

    def stop(self):
        """End what runs."""
        for name in list(self.processes):
            self.signal(name, signal.SIGKILL)

    def rows(self, query):
        """Return what the database answers."""
        with closing(sqlite3.connect(self.settings.database, timeout=WAIT_S)) as connection:
            return connection.execute(query).fetchall()

    @contextmanager
    def locked(self):
        """Keep every worker from writing."""
        with closing(sqlite3.connect(self.settings.database, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    def works_of(self, name):
        """Return the works that a worker has the lease of."""
        return {work for work, worker in self.rows("SELECT work, worker FROM leases") if worker == name}

    async def until_shared(self):
        """Return when both have half of the slices."""
        await _until(lambda: all(len(self.works_of(name) & set(INGEST)) == 4 for name in ("main", "w2")))


async def _until(fact):
    async with asyncio.timeout(WAIT_S):
        while not fact():  # noqa: ASYNC110  # the database is asked
            await asyncio.sleep(0.05)


@contextmanager
def _site(bench, fleet):
    site = Site(bench, fleet)
    with bench.broker():
        try:
            yield site
        finally:
            site.stop()


async def _enroll(settings, devices):
    settings.folder.mkdir(exist_ok=True)
    store = Store(settings.database)
    await store.open()
    async with store.writing() as transaction:
        for device in devices:
            await transaction.enroll(Device(enrolment=device.enrolment))
    await store.close()


class Field:
    """Speaks for all devices at the broker, over the server's listener, and keeps the offers."""

    def __init__(self, bench, fleet):
        self.offers = defaultdict(list)
        self.link = MqttLink(bench.link_settings("field"), self._take)
        self._fleet = fleet

    async def _take(self, batch):
        for message in batch:
            offer = self._fleet.opened_offer(message.payload)
            self.offers[message.topic.split("/")[3]].append((offer.nonce, offer.number, message.payload))

    async def hello(self, device, nonce):
        """Say hello, and return when the broker has it."""
        await self.link.publish(device.topic("hello"), device.hello(nonce))


@asynccontextmanager
async def _field(bench, fleet):
    field = Field(bench, fleet)
    await field.link.start(["pawl/d/+/+/offer"])
    try:
        yield field
    finally:
        await field.link.stop()


def _assert_no_number_twice(field):
    """The same offer may come again; another one under its number may not, and numbers rise."""
    for device, offers in field.offers.items():
        numbers = {}
        for _, number, payload in offers:
            assert numbers.setdefault(number, payload) == payload, device
        assert list(numbers) == sorted(numbers), device


def test_a_killed_workers_slices_lose_nothing_and_repeat_nothing(bench, fleet):
    """The one with engine and outbox is killed while 500 reports come: all there, once, in order; numbers never twice."""
    devices = [FakeFleetDevice(name=f"slice-{number}") for number in range(DEVICES)]
    assert {_slice_of(device) for device in devices} == set(INGEST)

    async def talk(field, device):
        for number in range(1, REPORTS + 1):
            if number % 5 == 1:
                await field.hello(device, bytes([number]) * 16)
            report = device.report(codes.EVENT_STARTED, number=number)
            await field.link.publish(device.topic("report"), report)
            await asyncio.sleep(0.05)

    async def scenario(site):
        await _enroll(site.settings, devices)
        for name in ("main", "w2"):
            await asyncio.to_thread(site.start, name)
        await site.until_shared()
        assert site.works_of("main") >= {ENGINE, OUTBOX}
        async with _field(bench, fleet) as field:
            talks = [asyncio.create_task(talk(field, device)) for device in devices]
            await asyncio.sleep(0.6)
            await asyncio.to_thread(site.signal, "main", signal.SIGKILL)
            killed_after = site.rows("SELECT count(*) FROM reports")[0][0]
            await asyncio.gather(*talks)
            await _until(lambda: site.rows("SELECT count(*) FROM reports") == [(DEVICES * REPORTS,)])
            assert 0 < killed_after < DEVICES * REPORTS
            assert site.works_of("w2") == {ENGINE, OUTBOX, *INGEST}
            last = bytes([REPORTS - 4]) * 16
            await _until(lambda: all(field.offers[one.name][-1][0] == last for one in devices))
            _assert_no_number_twice(field)
        for device in devices:
            kept = site.rows(f"SELECT number FROM reports WHERE device = '{device.name}' ORDER BY id")
            assert [int.from_bytes(number) for (number,) in kept] == list(range(1, REPORTS + 1))
        refused = {reason for (reason,) in site.rows("SELECT reason FROM refusals")}
        assert refused <= {"replayed"}  # committed, killed before it was acknowledged

    with _site(bench, fleet) as site:
        asyncio.run(scenario(site))


def test_a_worker_that_slept_through_its_term_writes_nothing(bench, fleet):
    """It wakes with an old hello in hand, which another one took meanwhile: refused; then it has a share again."""

    async def scenario(site):
        await _enroll(site.settings, [BENCH, *[FakeFleetDevice(name=f"more-{n}") for n in range(8)]])
        for name in ("main", "w2"):
            await asyncio.to_thread(site.start, name)
        await site.until_shared()
        device = next(
            one
            for one in (FakeFleetDevice(name=f"more-{n}") for n in range(8))
            if _slice_of(one) in site.works_of("w2")
        )
        nonce_of = f"SELECT hex(nonce) FROM devices WHERE id = '{device.name}'"  # a name of this test
        async with _field(bench, fleet) as field:
            with site.locked():
                await field.hello(device, b"a" * 16)
                await asyncio.sleep(0.5)  # it has heard it, and waits for the database
                site.signal("w2", signal.SIGSTOP)
            await _until(lambda: site.works_of("main") >= {ENGINE, OUTBOX, *INGEST})
            await _until(lambda: site.rows(nonce_of) == [((b"a" * 16).hex().upper(),)])
            await field.hello(device, b"b" * 16)
            await _until(lambda: site.rows(nonce_of) == [((b"b" * 16).hex().upper(),)])
            site.signal("w2", signal.SIGCONT)
            await site.until_shared()
            await _until(lambda: len(field.offers[device.name]) >= 2)
            _assert_no_number_twice(field)
            assert {nonce for nonce, *_ in field.offers[device.name]} == {b"a" * 16, b"b" * 16}
        assert site.rows(nonce_of) == [((b"b" * 16).hex().upper(),)]
        assert "isn't w2's" in site.log("w2")

    with _site(bench, fleet) as site:
        asyncio.run(scenario(site))


@asynccontextmanager
async def _two(bench, fleet):
    """Run the server, and a worker beside it in the same process, with half of the slices each."""
    async with running(bench, fleet) as main:
        w2 = FleetServer(server_settings(bench, fleet, worker="w2"), lambda: NOW_S)
        await w2.start()
        try:
            await _until(lambda: len(w2.held) == len(INGEST) / 2)
            yield main, w2
        finally:
            await w2.stop()


def test_an_anchor_that_another_process_imported_is_in_its_offers(bench, fleet):
    """Before the first transaction that offers; and the process that sends offers publishes it before them."""

    async def scenario():
        async with _two(bench, fleet) as (main, w2):
            devices = [FakeFleetDevice(name=f"more-{n}") for n in range(8)]
            device = next(one for one in devices if _slice_of(one) in w2.held)
            await main.enroll(device.enrolment)
            await main.import_anchor(make_anchor(fleet.keys, version=2))
            assert w2._desk.authority.reference.version == 1
            async with connected(bench, device.name) as link:
                link.subscribe(device.offer_topic)
                await link.publish(device.topic("hello"), device.hello(b"n" * 16))
                offer = fleet.opened_offer((await link.next())[1])
                assert offer.anchor == (2, bytes(main._chain.newest.digest))
                assert await link.fetch(topics.anchor(2))
                # And the other way about: it does everything, and hears of an import by somebody else.
                await main.stop()
                await _until(lambda: w2.held.keys() >= {OUTBOX, ENGINE, *INGEST})
                importer = FleetServer(server_settings(bench, fleet, worker="w3"), lambda: NOW_S)
                await importer.open()
                await importer.import_anchor(make_anchor(fleet.keys, version=3))
                await importer.store.close()
                assert await link.fetch_when_there(topics.anchor(3))

    with bench.broker():
        asyncio.run(scenario())


def test_what_the_session_of_before_holds_is_heard_first(bench, fleet):
    """An upgrade: reports that were acknowledged to devices, then reports that came meanwhile; the session is gone then."""
    settings = server_settings(bench, fleet)
    devices = [FakeFleetDevice(name=f"slice-{number}") for number in range(30)]

    async def publish(field, numbers):
        for number in numbers:
            for device in devices:
                report = device.report(codes.EVENT_STARTED, number=number)
                await field.link.publish(device.topic("report"), report)

    def kept():
        with closing(sqlite3.connect(settings.database)) as connection:
            found = connection.execute("SELECT device, number FROM reports ORDER BY id").fetchall()
        return {one.name: [int.from_bytes(n) for name, n in found if name == one.name] for one in devices}

    async def scenario():
        await _enroll(settings, devices)
        async with _field(bench, fleet) as field:
            former = MqttLink(
                replace(bench.link_settings(), client_id=former_session.CLIENT_ID), _never_called
            )
            former.inbox.close()
            await former.start(list(former_session.TOPICS))
            await former.stop()
            await publish(field, range(1, 11))
            starting = asyncio.create_task(_start(bench, fleet))
            await publish(field, range(11, 20))
            server = await starting
            await publish(field, range(20, 21))
            await _until(lambda: all(numbers[-1:] == [20] for numbers in kept().values()))
            assert FORMER_SESSION not in server.held
            await server.stop()
        assert kept() == {one.name: list(range(1, 21)) for one in devices}
        again = MqttLink(replace(bench.link_settings(), client_id=former_session.CLIENT_ID), _never_called)
        await again.start()
        assert not again.had_session
        await again.stop()

    with bench.broker():
        asyncio.run(scenario())


async def _start(bench, fleet):
    server = FleetServer(server_settings(bench, fleet), lambda: NOW_S)
    await server.start()
    return server


async def _never_called(batch):
    raise AssertionError(batch)


def test_sessions_are_the_servers_and_bounded():
    """Each slice's id can be no device's; together they have no more unacknowledged than one session had."""
    assert len(INGEST) * ServerSettings.__dataclass_fields__["slice_receive_max"].default <= 1000
    for number in range(len(INGEST)):
        assert client_id(number).startswith("_") and len(up_filters(number)) == PARTITIONS_EACH
