"""A rollout that was stopped offers nothing from that moment on, though the engine hasn't come to its devices yet."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from rollout_bench import DEVICES, Phase, PhaseKind, group_by_group, run

from pawl import codes
from pawl_server.domain.changes import Changes
from pawl_server.domain.fleet import AssignmentState, Device
from pawl_server.domain.plan import Window


async def _actions(harness):
    """Return what each offer that waits for the broker asks for, by device."""
    async with harness.store.reading() as transaction:
        queued = await transaction.unsent()
    return {one.message.device: harness.fleet.opened_offer(one.message.payload).action for one in queued}


@pytest.mark.parametrize("command", ["pause", "cancel", "roll-back"])
def test_who_says_hello_after_the_command_is_told_to_hold(tmp_path, command):
    """Also to one that repeats its hello; what the engine does then is the same as ever."""

    async def scenario(harness):
        await harness.create(harness.plan(recovery=harness.recovery.digest))
        await harness.seen()
        await harness.rollouts.command("spring", command)
        for _ in range(2):
            await harness.hello("bench-1")
            assert (await harness.offer("bench-1")).action == codes.OFFER_HOLD
        expected = {"pause": "held", "cancel": "withdrawn", "roll-back": "withdrawn"}[command]
        assert (await harness.seen())[1] == " ".join([expected] * 5)

    run(tmp_path, scenario)


@pytest.mark.parametrize("command", ["pause", "cancel", "roll-back"])
def test_an_offer_that_waits_for_the_broker_is_taken_back(tmp_path, command):
    """A broker that was away gets none of them when it comes back."""

    async def scenario(harness):
        await harness.create(harness.plan(recovery=harness.recovery.digest))
        await harness.seen()
        await harness.succeed("bench-1")
        assert set((await _actions(harness)).values()) == {codes.OFFER_INSTALL, codes.OFFER_NONE}
        await harness.rollouts.command("spring", command)
        assert await _actions(harness) == {"bench-1": codes.OFFER_NONE}

    run(tmp_path, scenario)


def test_a_recovery_goes_on_until_it_is_cancelled_itself(tmp_path):
    """Rolling back stops the release, not the way back."""

    async def scenario(harness):
        await harness.create(harness.plan(recovery=harness.recovery.digest))
        await harness.seen()
        await harness.succeed("bench-1")
        await harness.rollouts.command("spring", "roll-back")
        await harness.seen()
        await harness.hello("bench-1")
        assert (await harness.offer("bench-1")).digest == harness.recovery.digest
        await harness.rollouts.command("spring", "cancel")
        assert "bench-1" not in await _actions(harness)
        await harness.hello("bench-1")
        assert (await harness.offer("bench-1")).action == codes.OFFER_HOLD

    run(tmp_path, scenario)


def test_a_resume_asks_again_who_was_told_to_hold(tmp_path):
    """Though no pass of the engine came in between."""

    async def scenario(harness):
        await harness.create(harness.plan())
        await harness.seen()
        await harness.rollouts.command("spring", "pause")
        await harness.hello("bench-1")
        assert (await harness.assignment("bench-1")).state is AssignmentState.HELD
        await harness.rollouts.command("spring", "resume")
        assert (await harness.seen())[1] == "open open open open open"
        assert (await harness.offer("bench-1")).action == codes.OFFER_INSTALL

    run(tmp_path, scenario)


def test_a_stop_does_not_wait_for_a_broker_that_is_away(tmp_path):
    """What another rollout needs can't be published; who is paused is told to hold all the same."""

    async def scenario(harness):
        for name, group in (("spring", "canary"), ("summer", "production")):
            await harness.create(group_by_group(harness.release.digest, [group]), name)
        await harness.seen()
        harness.start_again()
        harness.reconciler.on_reconnected()
        is_away = asyncio.Event()

        async def publish(_message):
            await is_away.wait()

        harness.publisher._publish = publish
        await harness.rollouts.command("spring", "pause")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(harness.reconciler.reconcile(), 1)
        assert (await harness.assignment("bench-1")).state is AssignmentState.HELD

    run(tmp_path, scenario)


@pytest.mark.parametrize("is_urgent", [True, False])
def test_a_command_ends_the_rest_after_a_long_pass(tmp_path, is_urgent):
    """News of devices doesn't: others must have the database for a while."""

    async def scenario(harness):
        rest = asyncio.create_task(harness.reconciler._rest(60.0, None))
        await asyncio.sleep(0)
        harness.reconciler.wake(is_urgent=is_urgent)
        done, _ = await asyncio.wait([rest], timeout=0.3)
        assert bool(done) is is_urgent
        rest.cancel()

    run(tmp_path, scenario)


def test_a_rollout_that_cannot_be_carried_out_keeps_no_other_one_from_it(tmp_path):
    """Such as one with a device in a zone that the machine doesn't know any more; what it was is raised in the end."""
    window = Window(days=(0,), start_minute=0, duration_minutes=60)

    async def scenario(harness):
        canary = Phase(kind=PhaseKind.GROUP, group="canary", windows=(window,))
        await harness.create(harness.plan(canary, groups=("canary",)))
        production = Phase(kind=PhaseKind.GROUP, group="production")
        await harness.create(harness.plan(production, groups=("production",)), "summer")
        moved = replace(await harness.device("bench-1"), timezone="Nowhere/Gone")
        async with harness.store.writing() as transaction:
            await transaction.write(Changes(devices={"bench-1": moved}), harness.now_s)
        with pytest.raises(ValueError, match="Nowhere/Gone"):
            await harness.reconciler.reconcile()
        assert (await harness.assignment("bench-3")).state is AssignmentState.OFFERED

    run(tmp_path, scenario)


MANY = 450  # more than two transactions hold


async def _crowd(harness):
    """Enroll many more devices, and ask all of them."""
    names = [f"crowd-{number}" for number in range(MANY)]
    async with harness.store.writing() as transaction:
        for name in names:
            enrolment = replace(DEVICES[0].enrolment, device=name)
            await transaction.enroll(Device(enrolment=enrolment))
    await harness.groups.set_devices("crowd", names)
    await harness.create(group_by_group(harness.release.digest, ["crowd"]))
    await harness.seen()
    return names


@pytest.mark.parametrize(("resumed", "held"), [(False, MANY), (True, 200)])
def test_a_large_stop_goes_on_until_somebody_resumes(tmp_path, resumed, held):
    """In many transactions, each of which looks whether it is still wanted."""

    async def scenario(harness):
        names = await _crowd(harness)
        await harness.rollouts.command("spring", "pause")
        writing, commands = harness.store.writing, ["resume"] if resumed else []

        @asynccontextmanager
        async def interrupted():
            async with writing() as transaction:
                yield transaction
            if commands:
                await harness.rollouts.command("spring", commands.pop())

        harness.store.writing = interrupted
        state, progress = await harness.seen()
        assert state == ("running" if resumed else "paused")
        assert set(progress.split()) == {"open" if resumed else "held"}
        async with harness.store.reading() as transaction:
            states = [one.state for name in names for one in await transaction.history.page(name, None, 9)]
        assert states.count(AssignmentState.HELD) == held

    run(tmp_path, scenario, offers_per_s=1000)
