"""A rollout that takes itself back: who has the bad release is brought the recovery release, and nobody else is."""

import pytest
from rollout_bench import BY_NAME, Phase, PhaseKind, everybody, run

from pawl import codes, topics
from pawl.index import b64u
from pawl_server.domain.rollout import RolloutEvent, RolloutStateError

CANARY = Phase(kind=PhaseKind.GROUP, group="canary", failure_count=1)


def _plan(harness, *phases, **changes):
    return harness.plan(*(phases or (CANARY, everybody())), recovery=harness.recovery.digest, **changes)


def test_a_failure_brings_back_who_has_it_and_production_never_saw_it(tmp_path):
    """The recovery is published before anybody is asked for it."""

    async def scenario(harness):
        await harness.create(_plan(harness))
        await harness.seen()
        await harness.succeed("bench-1")
        await harness.fail("bench-2")
        assert await harness.seen() == ("rolling-back", "recovering failed withdrawn withdrawn withdrawn")
        assert "bench-2: trials" in await harness.reason()
        assert harness.published[-1] == topics.release(harness.recovery.digest)
        assert (await harness.offer("bench-1")).digest == harness.recovery.digest
        await harness.succeed("bench-1", harness.recovery.digest)
        assert await harness.seen() == ("rolled-back", "recovered failed withdrawn withdrawn withdrawn")
        for name in ("bench-3", "bench-4", "bench-5"):
            assert await harness.assignment(name) is None
        with pytest.raises(RolloutStateError):
            await harness.rollouts.command("spring", RolloutEvent.RESUME)

    run(tmp_path, scenario)


def test_who_is_on_its_way_is_stopped_and_who_confirms_late_is_brought_back_too(tmp_path):
    """While it goes back, and after it ended."""

    async def scenario(harness):
        await harness.create(_plan(harness, everybody(failure_count=1)))
        await harness.seen()
        await harness.fail("bench-1")
        assert await harness.seen() == ("rolled-back", "failed withdrawn withdrawn withdrawn withdrawn")
        assert (await harness.offer("bench-2")).action == codes.OFFER_NONE
        await harness.succeed("bench-2")
        assert await harness.seen() == ("rolled-back", "failed recovering withdrawn withdrawn withdrawn")
        assert (await harness.offer("bench-2")).digest == harness.recovery.digest
        await harness.succeed("bench-2", harness.recovery.digest)
        assert await harness.seen() == ("rolled-back", "failed recovered withdrawn withdrawn withdrawn")
        await harness.succeed("bench-1")
        assert (await harness.seen())[1].startswith("recovering recovered")

    run(tmp_path, scenario)


def test_one_that_confirms_between_withdrawal_and_the_end_is_brought_back(tmp_path):
    """The rollout ends when it is back as well."""

    async def scenario(harness):
        await harness.create(_plan(harness, everybody(failure_count=1)))
        await harness.seen()
        await harness.succeed("bench-1")
        await harness.fail("bench-2")
        assert await harness.seen() == ("rolling-back", "recovering failed withdrawn withdrawn withdrawn")
        await harness.succeed("bench-3")
        assert await harness.seen() == ("rolling-back", "recovering failed recovering withdrawn withdrawn")
        await harness.succeed("bench-1", harness.recovery.digest)
        assert (await harness.seen())[0] == "rolling-back"
        await harness.succeed("bench-3", harness.recovery.digest)
        assert await harness.seen() == ("rolled-back", "recovered failed recovered withdrawn withdrawn")

    run(tmp_path, scenario)


def test_a_recovery_that_fails_is_tried_again_or_needs_people(tmp_path):
    """By the same table of reasons as the way there; silence counts on the way back, too."""

    async def scenario(harness):
        await harness.create(_plan(harness, everybody()))
        await harness.seen()
        for name in ("bench-1", "bench-2"):
            await harness.succeed(name)
        await harness.rollouts.command("spring", RolloutEvent.ROLL_BACK)
        assert (await harness.seen())[1] == "recovering recovering withdrawn withdrawn withdrawn"
        await harness.fail("bench-1", codes.REASON_TRIALS, harness.recovery.digest)
        await harness.fail("bench-2", codes.REASON_BLOCK_DIGEST, harness.recovery.digest)
        state, progress = await harness.seen()
        assert (state, progress) == ("rolling-back", "unrecovered recovering withdrawn withdrawn withdrawn")
        assert (await harness.device("bench-1")).attention_reason == "unrecovered: trials"
        assert (await harness.offer("bench-2")).action == codes.OFFER_NONE
        harness.now_s += 3600
        await harness.seen()
        assert (await harness.offer("bench-2")).digest == harness.recovery.digest
        for _ in range(3):
            harness.now_s += 2 * 86400
            state, progress = await harness.seen()
        assert (state, progress) == ("rolled-back", "unrecovered unrecovered withdrawn withdrawn withdrawn")
        assert (await harness.device("bench-2")).attention_reason == "unrecovered: silent"
        why = await harness.reason()
        await harness.rollouts.command("spring", RolloutEvent.RETRY)
        assert await harness.seen() == ("rolling-back", "recovering recovering withdrawn withdrawn withdrawn")
        assert (await harness.offer("bench-1")).attempt == 2
        for name in ("bench-1", "bench-2"):
            await harness.succeed(name, harness.recovery.digest)
        assert await harness.seen() == ("rolled-back", "recovered recovered withdrawn withdrawn withdrawn")
        assert await harness.reason() == why

    run(tmp_path, scenario)


def test_a_recovery_that_cannot_be_published_stops_the_fleet_and_says_so(tmp_path):
    """It goes back as soon as it can be."""

    async def scenario(harness):
        await harness.create(_plan(harness, everybody()))
        await harness.seen()
        await harness.succeed("bench-1")
        [file] = (tmp_path / "releases").glob(b64u(harness.recovery.digest) + "*")
        content = file.read_bytes()
        file.write_bytes(b"damaged")
        await harness.rollouts.command("spring", RolloutEvent.ROLL_BACK)
        assert await harness.seen() == (
            "rolling-back",
            "succeeded withdrawn withdrawn withdrawn withdrawn",
        )
        assert "recovery release can't be published" in await harness.reason()
        file.write_bytes(content)
        harness.now_s += 61  # it is looked at again once a minute
        assert (await harness.seen())[1].startswith("recovering withdrawn")

    run(tmp_path, scenario)


def test_cancelled_on_the_way_back_everybody_stays_where_it_is(tmp_path):
    """Offers are withdrawn there as well."""

    async def scenario(harness):
        await harness.create(_plan(harness, everybody()))
        await harness.seen()
        await harness.succeed("bench-1")
        await harness.rollouts.command("spring", RolloutEvent.ROLL_BACK)
        await harness.seen()
        await harness.rollouts.command("spring", RolloutEvent.CANCEL)
        assert await harness.seen() == ("cancelled", "withdrawn withdrawn withdrawn withdrawn withdrawn")
        assert (await harness.offer("bench-1")).action == codes.OFFER_NONE

    run(tmp_path, scenario)


def test_a_device_that_another_rollout_asked_meanwhile_is_left_to_that_one(tmp_path):
    """What is newer than the bad release needs no recovery."""

    async def scenario(harness):
        await harness.create(_plan(harness, everybody(failure_count=1)))
        await harness.seen()
        await harness.fail("bench-1")
        assert (await harness.seen())[0] == "rolled-back"
        newer = await harness.import_release(sequence=7)
        await harness.create(harness.plan(release=newer.digest), "summer")
        assert (await harness.seen("summer"))[1] == "open open open open open"
        await harness.succeed("bench-2")
        assert (await harness.seen())[1] == "failed displaced withdrawn withdrawn withdrawn"
        assert (await harness.offer("bench-2")).digest == newer.digest

    run(tmp_path, scenario)


def test_one_that_was_away_for_a_week_is_brought_back_when_it_speaks(tmp_path):
    """It was given up, twice silent: what it says, signed, is enough to be asked once more; a hello isn't."""

    async def scenario(harness):
        await harness.create(_plan(harness, everybody(failure_count=1)))
        await harness.seen()
        await harness.started("bench-1")
        await harness.succeed("bench-1")
        await harness.fail("bench-2")
        for _ in range(7):
            state, progress = await harness.seen()
            harness.now_s += 86400
        assert (state, progress) == ("rolled-back", "unrecovered failed withdrawn withdrawn withdrawn")
        await harness.hello("bench-1")
        assert (await harness.seen())[1].startswith("unrecovered")
        await harness.started("bench-1")
        await harness.seen()
        assert (await harness.seen())[1].startswith("recovering")
        assert (await harness.offer("bench-1")).digest == harness.recovery.digest
        await harness.succeed("bench-1", harness.recovery.digest)
        assert (await harness.seen())[1].startswith("recovered")
        assert (await harness.device("bench-1")).attention_reason is None

    run(tmp_path, scenario)


def test_a_device_that_confirmed_something_newer_is_not_brought_back(tmp_path):
    """Though nothing is assigned to it any more, because a third release was taken back from it."""

    async def scenario(harness):
        await harness.create(_plan(harness, everybody(failure_count=9)))
        await harness.seen()
        for name in BY_NAME:
            await harness.succeed(name)
        assert (await harness.seen())[0] == "done"
        for name, sequence in (("summer", 7), ("autumn", 8)):
            newer = await harness.import_release(sequence=sequence)
            await harness.create(harness.plan(release=newer.digest), name)
            await harness.seen(name)
            if name == "summer":
                await harness.succeed("bench-1", newer.digest)
            await harness.rollouts.command(name, RolloutEvent.CANCEL)
            await harness.seen(name)
        assert (await harness.device("bench-1")).assigned is None
        await harness.rollouts.command("spring", RolloutEvent.ROLL_BACK)
        assert (await harness.seen())[1] == "displaced recovering recovering recovering recovering"

    run(tmp_path, scenario)
