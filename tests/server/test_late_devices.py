"""Devices that prove nothing any more are late; refusals are logged at a bounded rate."""

import asyncio
from dataclasses import replace

import pytest
from fleet_bench import NOW_S, FakeFleetDevice, make_fleet, open_store
from service_bench import BENCH, connected, run, running, until

from pawl import codes
from pawl_server.domain.changes import Changes
from pawl_server.domain.fleet import Device
from pawl_server.events import DeviceFresh, DeviceLate, MessageRefused
from pawl_server.freshness import FreshnessWatch, is_late
from pawl_server.refusal_log import WINDOW_S, RefusalLog
from pawl_server.settings import LATE_AFTER_S


@pytest.fixture
def fleet(tmp_path):
    return make_fleet(tmp_path)


@pytest.mark.parametrize(
    ("enrolled_at_s", "fresh_at_s", "late"),
    [
        (None, None, True),
        (NOW_S - LATE_AFTER_S, None, False),
        (NOW_S - LATE_AFTER_S - 1, None, True),
        (0, NOW_S - LATE_AFTER_S, False),
        (NOW_S, NOW_S - LATE_AFTER_S - 1, True),
    ],
)
def test_late_is_who_proved_nothing_for_three_check_ins(enrolled_at_s, fresh_at_s, late):
    """A new device has from its enrolment on."""
    device = Device(enrolment=BENCH.enrolment, enrolled_at_s=enrolled_at_s, fresh_at_s=fresh_at_s)
    assert is_late(device, NOW_S, LATE_AFTER_S) is late


def test_a_device_that_becomes_late_is_told_once(fleet):
    """And again only after it was fresh; the note outlives the process."""
    other = FakeFleetDevice(name="bench-2")
    now_s = [NOW_S]

    async def scenario():
        async with open_store(fleet.store) as store:
            for device in (BENCH, other):
                async with store.writing() as transaction:
                    await transaction.enroll(Device(enrolment=device.enrolment, enrolled_at_s=NOW_S))
            watch = FreshnessWatch(store, lambda: now_s[0], limit_s=LATE_AFTER_S)
            await watch.look()
            assert fleet.told == []
            now_s[0] += LATE_AFTER_S + 1
            await watch.look()
            assert fleet.told == [DeviceLate(device="bench-1"), DeviceLate(device="bench-2")]
            again = FreshnessWatch(store, lambda: now_s[0], limit_s=LATE_AFTER_S)
            await again.look()
            assert len(fleet.told) == 2
            async with store.writing() as transaction:
                device = await transaction.device("bench-1")
                fresh = replace(device, is_late=False, fresh_at_s=now_s[0])
                await transaction.write(Changes(devices={"bench-1": fresh}), now_s[0])
            now_s[0] += LATE_AFTER_S + 1
            await again.look()
            assert fleet.told[2:] == [DeviceLate(device="bench-1")]

    asyncio.run(scenario())


def test_t04_freeze(bench, fleet):
    """Hellos that are replayed keep nobody fresh; one signed report under the open nonce does."""
    now_s = [NOW_S]

    async def scenario():
        async with running(bench, fleet, clock=lambda: now_s[0], watch_pass_s=0.05) as server:
            events = server.events()
            async with connected(bench) as link:
                link.subscribe(BENCH.offer_topic)
                await link.publish(BENCH.topic("hello"), BENCH.hello(b"n" * 16))
                await link.next()
                now_s[0] += LATE_AFTER_S + 1
                await link.publish(BENCH.topic("hello"), BENCH.hello(b"n" * 16))
                offer = fleet.opened_offer((await link.next())[1])
                assert (await until(events, DeviceLate))[-1] == DeviceLate(device="bench-1")
                assert (await server.inventory.device("bench-1")).is_late
                accepted = (offer.nonce, offer.number)
                checked = BENCH.report(codes.EVENT_CHECKED, accepted=accepted)
                await link.publish(BENCH.topic("report"), checked)
                assert (await until(events, DeviceFresh))[-1] == DeviceFresh(device="bench-1")
            facts = await server.inventory.device("bench-1")
            assert not facts.is_late and facts.device.fresh_at_s == now_s[0]

    with bench.broker():
        run(scenario)


def test_refusals_are_logged_once_a_minute_with_their_repeats(caplog):
    """For each device and reason; a flood costs two lines, and what was repeated is said at the end."""
    now_s = [0.0]
    log = RefusalLog(lambda: now_s[0])
    replayed = MessageRefused(device="bench-1", where="report", reason="replayed")
    other = MessageRefused(device="", where="topic", reason="partition")
    log.take([replayed] * 1000 + [other])
    log.sweep()
    first = "refused report of bench-1: replayed"
    assert caplog.messages == [first, "refused topic of nobody known: partition"]
    now_s[0] = WINDOW_S
    log.sweep()
    assert caplog.messages[2:] == ["refused report of bench-1: replayed (999 times)"]
    log.take([replayed])
    assert len(caplog.messages) == 3
    now_s[0] = 2 * WINDOW_S
    log.take([replayed])
    assert caplog.messages[3:] == ["refused report of bench-1: replayed (2 times)"]
    now_s[0] = 9 * WINDOW_S
    log.sweep()
    assert log._windows == {} and len(caplog.messages) == 4
