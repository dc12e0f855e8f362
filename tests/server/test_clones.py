"""Copies of a device and restored flashes are flagged, by what is signed; what honest devices do is not."""

import asyncio
from dataclasses import replace

import pytest
from fleet_bench import NOW_S, FakeFleetDevice, make_fleet, open_store

from pawl import codes
from pawl_server.domain.changes import Changes
from pawl_server.domain.fleet import Device, Flag
from pawl_server.ingest import Ingest
from pawl_server.inventory import Inventory
from pawl_server.mqtt.inbox import Message

BENCH = FakeFleetDevice(name="bench-1")
OTHER = FakeFleetDevice(name="bench-2")
A, B, C = b"a" * 16, b"b" * 16, b"c" * 16


class Harness:
    """An ingest over two enrolled devices; its clock can be set, its rates have all the time they need."""

    def __init__(self, folder):
        fleet = make_fleet(folder)
        self.store = fleet.store
        self.now_s = NOW_S
        self._ticks = 0
        self.ingest = Ingest(self.store, fleet.desk, lambda: self.now_s, ticks=self._tick)
        self.inventory = Inventory(self.store, lambda: self.now_s, late_after_s=100)

    def _tick(self):
        self._ticks += 1000
        return self._ticks

    async def take(self, *messages):
        """Ingest one batch."""
        await self.ingest.take(list(messages))

    async def device(self, name="bench-1"):
        """Return a device."""
        async with self.store.reading() as transaction:
            return await transaction.device(name)

    async def flag(self):
        """Return why bench-1 is flagged, or None."""
        flag = (await self.device()).flag
        return flag and flag.reason

    async def told(self):
        """Return the flags that were told, of all time."""
        async with self.store.reading() as transaction:
            events = await transaction.events.after(0, 1000)
        return [event.content["reason"] for event in events if event.kind == "device-flagged"]

    async def refused(self):
        """Return how often reports of bench-1 were refused as replayed."""
        async with self.store.reading() as transaction:
            counts = await transaction.refusals(["bench-1"])
        return sum(count for refusal, count in counts.items() if refusal.reason == "replayed")


@pytest.fixture
def run(tmp_path):
    """Run a scenario with a harness."""

    def run_it(scenario):
        async def main():
            harness = Harness(tmp_path)
            async with open_store(harness.store):
                async with harness.store.writing() as transaction:
                    for device in (BENCH, OTHER):
                        await transaction.enroll(Device(enrolment=device.enrolment))
                await scenario(harness)

        asyncio.run(main())

    return run_it


def _hello(nonce, boots=1):
    return Message(topic=BENCH.topic("hello"), payload=BENCH.hello(nonce, boots=boots), retained=False)


def _report(boots, number, *, event=codes.EVENT_STARTED, **fields):
    payload = BENCH.report(event, boots=boots, number=number, **fields)
    return Message(topic=BENCH.topic("report"), payload=payload, retained=False)


async def _checked(harness, boots, number):
    """Report that the newest offer was accepted."""
    accepted = (await harness.device()).issued
    await harness.take(_report(boots, number, event=codes.EVENT_CHECKED, accepted=accepted))


def test_two_reports_of_one_number_are_a_fork(run):
    """The second one is refused as replayed, and its device flagged; other devices aren't."""

    async def scenario(harness):
        await harness.take(_report(5, 1), _report(5, 2))
        await harness.take(_report(5, 2, event=codes.EVENT_NOTICED))
        assert (await harness.device()).flag == Flag(at_s=NOW_S, reason="report-number-forked")
        assert await harness.refused() == 1
        assert (await harness.device("bench-2")).flag is None
        assert await harness.told() == ["report-number-forked"]

    run(scenario)


def test_a_fork_within_one_batch_and_of_an_old_number(run):
    """Neither waits for the store, and the newest number isn't the only one that counts."""

    async def scenario(harness):
        await harness.take(_report(5, 1), _report(5, 1, event=codes.EVENT_NOTICED), _report(5, 2))
        assert await harness.flag() == "report-number-forked"
        await harness.inventory.clear_attention("bench-1")
        assert await harness.flag() is None
        await harness.take(_report(5, 1, event=codes.EVENT_CHECKED))
        assert await harness.flag() == "report-number-forked"
        assert await harness.told() == ["report-number-forked"] * 2

    run(scenario)


def test_a_restored_flash_is_heard_and_flagged(run):
    """Its boot count fell: what answers the newest offer counts, its highest number stays, and it is flagged."""

    async def scenario(harness):
        await harness.take(_report(9, 1))
        await harness.take(_report(3, 1), _hello(A, boots=3))
        assert await harness.flag() is None
        await _checked(harness, 3, 2)
        device = await harness.device()
        assert device.flag == Flag(at_s=NOW_S, reason="report-number-fell")
        assert (device.last_report.boots, device.fresh_at_s) == (9, NOW_S)

    run(scenario)


def test_a_session_that_goes_on_after_another_began_is_flagged(run):
    """Both hold the key; the hello alone proves nothing."""

    async def scenario(harness):
        await harness.take(_hello(A))
        await harness.take(_hello(B))
        await harness.take(_hello(A))
        assert await harness.flag() is None
        await _checked(harness, 1, 1)
        assert await harness.flag() == "two-sessions"

    run(scenario)


def test_the_first_flag_stays_until_it_is_cleared(run):
    """Others are not told besides; after that, the next one is."""

    async def scenario(harness):
        await harness.take(_report(5, 1), _report(5, 1, event=codes.EVENT_NOTICED))
        harness.now_s += 60
        await harness.take(_hello(A))
        await _checked(harness, 3, 1)
        assert (await harness.device()).flag == Flag(at_s=NOW_S, reason="report-number-forked")
        assert await harness.told() == ["report-number-forked"]
        await harness.inventory.clear_attention("bench-1")
        await _checked(harness, 3, 2)
        assert (await harness.device()).flag == Flag(at_s=NOW_S + 60, reason="report-number-fell")

    run(scenario)


def test_a_flag_changes_nothing_else(run):
    """A flagged device is answered and heard as before."""

    async def scenario(harness):
        await harness.take(_report(5, 1), _report(5, 1, event=codes.EVENT_NOTICED))
        await harness.take(_hello(A))
        before = await harness.device()
        await _checked(harness, 5, 2)
        device = await harness.device()
        assert before.issued is not None
        assert (device.last_report.number, device.fresh_at_s) == (2, NOW_S)

    run(scenario)


async def _repeated_hellos(harness):
    await harness.take(_hello(A), _hello(A))
    await harness.take(_hello(A))
    await _checked(harness, 1, 1)
    await harness.take(_hello(B))
    await harness.take(_hello(B))
    await _checked(harness, 1, 2)


async def _delivered_twice(harness):
    """The server ended before the acknowledgement: all of it comes again, in its order."""
    first = [_hello(A), _report(1, 1), _hello(B), _report(2, 1), _hello(C, boots=2)]
    await harness.take(*first)
    await harness.take(*first)
    await harness.take(*first[2:])
    await _checked(harness, 2, 2)


async def _an_older_state_of_the_broker(harness):
    """It sends again what it had sent, then the device comes with a new nonce."""
    before = [_hello(A), _report(1, 1), _hello(B), _report(1, 2)]
    await harness.take(*before)
    await harness.take(_hello(C), _report(1, 3))
    await harness.take(*before)
    await harness.take(_hello(b"d" * 16))
    await _checked(harness, 1, 4)


async def _in_another_order(harness):
    """Reports of one boot overtake each other; one of them even answers the newest offer."""
    await harness.take(_hello(A))
    accepted = (await harness.device()).issued
    late = _report(1, 1, event=codes.EVENT_CHECKED, accepted=accepted)
    await harness.take(_report(1, 3), _report(1, 2), late, late)


async def _many_boots(harness):
    for boots in range(1, 9):
        await harness.take(_report(boots, 1), _hello(bytes([boots]) * 16, boots=boots))
        await _checked(harness, boots, 2)


@pytest.mark.parametrize(
    "life",
    [_repeated_hellos, _delivered_twice, _an_older_state_of_the_broker, _in_another_order, _many_boots],
    ids=lambda life: life.__name__.strip("_"),
)
def test_what_honest_devices_and_brokers_do_is_not_flagged(run, life):
    """Nobody has to look at a device for it."""

    async def scenario(harness):
        await life(harness)
        assert await harness.flag() is None
        assert await harness.told() == []
        assert (await harness.device()).fresh_at_s == NOW_S

    run(scenario)


def test_nobody_without_the_key_brings_about_a_flag(run):
    """Hellos in any order and reports that others signed: refused or shown, and no flag."""

    async def scenario(harness):
        await harness.take(_report(9, 1))
        forged = _report(9, 1, event=codes.EVENT_NOTICED, keys=OTHER.keys)
        for nonce, boots in ((A, 9), (B, 1), (A, 5), (B, 5), (C, 1), (A, 2)):
            await harness.take(_hello(nonce, boots=boots), forged)
        assert await harness.flag() is None

    run(scenario)


def test_a_flag_is_cleared_with_what_else_calls_for_attention(run):
    """Failures and their reason, too."""

    async def scenario(harness):
        async with harness.store.writing() as transaction:
            troubled = replace(
                await transaction.device("bench-1"),
                flag=Flag(at_s=5, reason="two-sessions"),
                failures=3,
                attention_at_s=4,
                attention_reason="trials",
            )
            await transaction.write(Changes(devices={"bench-1": troubled}), NOW_S)
        await harness.inventory.clear_attention("bench-1")
        device = await harness.device()
        assert (device.flag, device.failures, device.attention_at_s, device.attention_reason) == (
            None,
            0,
            None,
            None,
        )

    run(scenario)
