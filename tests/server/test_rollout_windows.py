"""Maintenance windows by the clocks on devices' walls, over a real store: who is asked when, and who is stopped."""

from dataclasses import replace
from datetime import UTC, datetime

from rollout_bench import everybody, run

from pawl import codes
from pawl_server.domain.changes import Changes
from pawl_server.domain.plan import Window

NIGHT = Window(days=tuple(range(7)), start_minute=2 * 60, duration_minutes=120)
ZONES = {
    "bench-1": "UTC",
    "bench-2": "Europe/Berlin",
    "bench-3": "Asia/Tokyo",
    "bench-4": "America/New_York",
    "bench-5": "UTC",
}


async def _place(harness):
    async with harness.store.writing() as transaction:
        devices = await transaction.devices(list(ZONES))
        moved = {name: replace(device, timezone=ZONES[name]) for name, device in devices.items()}
        await transaction.write(Changes(devices=moved), harness.now_s)


def _at(hour, minute=0, day=15):
    return int(datetime(2027, 1, day, hour, minute, tzinfo=UTC).timestamp())


def test_each_is_asked_in_its_own_night_and_stopped_at_its_end(tmp_path):
    """Berlin is an hour ahead of UTC in winter, Tokyo nine; New York five behind."""

    async def scenario(harness):
        await _place(harness)
        await harness.create(harness.plan(everybody(windows=(NIGHT,))))
        for when, seen in (
            (_at(0, 59), "waiting waiting waiting waiting waiting"),
            (_at(1), "waiting open waiting waiting waiting"),
            (_at(2), "open open waiting waiting open"),
            (_at(3), "open held waiting waiting open"),
            (_at(4), "held held waiting waiting held"),
            (_at(7), "held held waiting open held"),
            (_at(17), "held held open held held"),
            (_at(1, day=16), "held open held held held"),
        ):
            harness.now_s = when
            assert await harness.seen() == ("running", seen), when

    run(tmp_path, scenario)


def test_outside_of_the_window_the_offer_says_hold(tmp_path):
    """Also to one that comes with a new hello; inside, it goes on, as the same try."""

    async def scenario(harness):
        await _place(harness)
        await harness.create(harness.plan(everybody(windows=(NIGHT,))))
        harness.now_s = _at(2)
        await harness.seen()
        assert (await harness.offer("bench-1")).action == codes.OFFER_INSTALL
        harness.now_s = _at(4)
        await harness.seen()
        assert (await harness.offer("bench-1")).action == codes.OFFER_HOLD
        await harness.started("bench-1")
        assert (await harness.offer("bench-1")).action == codes.OFFER_HOLD
        why = (await harness.rollouts.applying_to("bench-1")).why
        assert (
            why
            == f"in rollout spring, phase 1 (100 percent): waits for its window, which opens in {22 * 3600} s"
        )
        harness.now_s = _at(2, day=16)
        await harness.seen()
        assert (await harness.offer("bench-1")).action == codes.OFFER_INSTALL
        [member] = [one for one in await harness.rollouts.members("spring", "", 9) if one.device == "bench-1"]
        assert member.tries == 1

    run(tmp_path, scenario)


def test_who_succeeds_or_fails_outside_of_its_window_is_heard(tmp_path):
    """It was on its way: what a device did counts whenever it says so."""

    async def scenario(harness):
        await _place(harness)
        await harness.create(harness.plan(everybody(windows=(NIGHT,), failure_count=1)))
        harness.now_s = _at(2)
        await harness.seen()
        harness.now_s = _at(5)
        await harness.succeed("bench-1")
        assert (await harness.seen())[1].startswith("succeeded held")
        await harness.fail("bench-5")
        assert await harness.seen() == ("paused", "succeeded held waiting waiting failed")

    run(tmp_path, scenario)


def test_silence_goes_on_while_a_window_is_closed(tmp_path):
    """One that is asked every night and says nothing fails in the second, and for good after its one more try."""

    async def scenario(harness):
        await harness.create(harness.plan(everybody(windows=(NIGHT,), failure_count=9)))
        seen = []
        for day in range(15, 20):
            harness.now_s = _at(2, day=day)
            await harness.seen()
            harness.now_s += 60
            seen.append((await harness.seen())[1].split()[0])
        assert seen == ["open", "waiting", "open", "failed", "failed"]
        assert (await harness.seen())[0] == "paused"

    run(tmp_path, scenario)


def test_while_a_rollout_is_paused_nobody_becomes_silent(tmp_path):
    """A resume gives everybody the whole time again."""

    async def scenario(harness):
        await harness.create(harness.plan(everybody()))
        await harness.seen()
        await harness.rollouts.command("spring", "pause")
        await harness.seen()
        harness.now_s += 7 * 86400
        await harness.rollouts.command("spring", "resume")
        for _ in range(3):
            assert (await harness.seen())[1] == "open open open open open"
            harness.now_s += 60

    run(tmp_path, scenario)
