"""Two server processes over one database: the one that started last writes, the other one is kept from it."""

import asyncio
import sqlite3
from contextlib import closing

import pytest
from fleet_bench import NOW_S, make_fleet
from release_factory import make_release
from service_bench import BENCH, connected, run, running, server_settings

from pawl import codes
from pawl_server.domain.changes import Changes
from pawl_server.domain.fleet import Assignment, Device
from pawl_server.service import FleetServer
from pawl_server.store import FencedError


@pytest.fixture
def fleet(tmp_path):
    return make_fleet(tmp_path)


def test_an_older_server_issues_nothing_once_a_newer_one_has_started(bench, fleet, caplog):
    """It was paused and wakes up: refused in its own transaction, it leaves the broker; numbers go on at the newer one."""

    async def scenario():
        async with running(bench, fleet, client_id="_old") as old, connected(bench) as link:
            link.subscribe(BENCH.offer_topic)
            await link.publish(BENCH.topic("hello"), BENCH.hello(b"n" * 16))
            offers = [fleet.opened_offer((await link.next())[1])]
            digest = await old.import_release(make_release(fleet.keys))
            await old.publish_release(digest)
            async with running(bench, fleet, client_id="_new") as new:
                for call in (old.assign("bench-1", digest), old.hold("bench-1"), old.enroll(BENCH.enrolment)):
                    with pytest.raises(FencedError, match="another server process"):
                        await call
                await asyncio.wait_for(asyncio.gather(*old._tasks, return_exceptions=True), 10)
                await new.assign("bench-1", digest)
                offers.append(fleet.opened_offer((await link.next())[1]))
                await new.hold("bench-1")
                offers.append(fleet.opened_offer((await link.next())[1]))
        numbers = [offer.number for offer in offers]
        assert numbers == sorted(set(numbers))
        assert [offer.action for offer in offers[1:]] == [codes.OFFER_INSTALL, codes.OFFER_HOLD]
        assert "has taken over this database" in caplog.text

    with bench.broker():
        run(scenario)


def test_a_message_that_an_older_server_was_given_is_taken_by_the_newer_one(bench, fleet):
    """The older one can't take it, so it doesn't acknowledge it: each has a session of its own."""

    async def scenario():
        async with (
            running(bench, fleet, client_id="_old") as old,
            running(bench, fleet, client_id="_new") as new,
        ):
            async with connected(bench) as link:
                link.subscribe(BENCH.offer_topic)
                await link.publish(BENCH.topic("hello"), BENCH.hello(b"n" * 16))
                offer = fleet.opened_offer((await link.next())[1])
            await asyncio.wait_for(old.store.fenced.wait(), 10)
            assert (await new.device("bench-1")).issued == (offer.nonce, offer.number)

    with bench.broker():
        run(scenario)


def test_a_store_that_never_took_the_fence_writes_no_assignment(fleet):
    """There is no way around it: who makes tokens, say, can't offer."""

    async def scenario():
        await fleet.store.open()
        try:
            async with fleet.store.writing() as transaction:
                await transaction.enroll(Device(enrolment=BENCH.enrolment))
            changes = Changes()
            changes.keep_assignment(Assignment(device="bench-1", release=bytes(32)))
            with pytest.raises(FencedError, match="took the fence"):
                await _write(fleet.store, changes)
        finally:
            await fleet.store.close()

    asyncio.run(scenario())


async def _write(store, changes):
    async with store.writing() as transaction:
        await transaction.write(changes, NOW_S)


def test_the_fence_rises_with_every_start(bench, fleet):
    """One row a name, whatever happened to the process before."""

    async def number():
        server = FleetServer(server_settings(bench, fleet), lambda: NOW_S)
        await server.open()
        await server.store.close()
        with closing(sqlite3.connect(fleet.folder / "server" / "pawl.sqlite")) as connection:
            return connection.execute("SELECT name, number FROM workers").fetchall()

    assert [asyncio.run(number()) for _ in range(3)] == [[("main", number)] for number in (1, 2, 3)]
