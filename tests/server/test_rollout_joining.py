"""Who a rollout takes: at its creation, later, and never; over a real store."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rollout_bench import DEVICES, everybody, run

from pawl_server.domain.changes import Changes
from pawl_server.domain.fleet import QUARANTINE_FAILURES
from pawl_server.domain.joining import phase_of_newcomer
from pawl_server.domain.plan import Phase, PhaseKind
from pawl_server.domain.rollout import RolloutEvent
from pawl_server.rollouts import group_by_group
from pawl_server.store import ConflictError

ALL = [device.name for device in DEVICES]
CANARY = Phase(kind=PhaseKind.GROUP, group="canary")


async def _phases(harness, name="spring"):
    members = await harness.rollouts.members(name, "", 100)
    return {member.device: member.phase for member in members}


async def _quarantine(harness, name):
    async with harness.store.writing() as transaction:
        device = replace(await transaction.device(name), failures=QUARANTINE_FAILURES)
        await transaction.write(_only(device), harness.now_s)


def _only(device):
    return Changes(devices={device.name: device})


def test_a_device_that_comes_to_a_group_joins_the_phase_of_that_group(tmp_path):
    """Or the last one, if that takes everybody; one that leaves its group stays."""

    async def scenario(harness):
        await harness.groups.set_devices("canary", ["bench-1"])
        await harness.groups.set_devices("production", ["bench-2"])
        await harness.create(harness.plan(CANARY, everybody()))
        assert await _phases(harness) == {"bench-1": 0, "bench-2": 1}
        await harness.groups.set_devices("canary", ["bench-3"])
        await harness.groups.set_devices("production", ["bench-3", "bench-4"])
        await harness.seen()
        assert await _phases(harness) == {"bench-1": 0, "bench-2": 1, "bench-3": 0, "bench-4": 1}

    run(tmp_path, scenario)


def test_a_phase_of_a_number_takes_nobody_who_comes_later(tmp_path):
    """It has as many devices as it was meant to have."""

    async def scenario(harness):
        await harness.groups.set_devices("production", ["bench-2"])
        await harness.create(harness.plan(CANARY, Phase(kind=PhaseKind.COUNT, size=1)))
        await harness.groups.set_devices("production", ["bench-2", "bench-3"])
        await harness.seen()
        assert await _phases(harness) == {"bench-1": 0, "bench-2": 0}

    run(tmp_path, scenario)


def test_a_device_is_in_one_rollout_at_a_time_and_the_oldest_takes_it(tmp_path):
    """The next one has it when that has ended; of two that wait, the older one."""

    async def scenario(harness):
        await harness.create()
        wide = harness.plan(groups=("production",), stays_open=True)
        await harness.rollouts.create(wide, "summer")
        await harness.rollouts.create(replace(wide, release=harness.release.digest), "winter")
        await harness.reconciler.reconcile()
        assert await _phases(harness, "summer") == await _phases(harness, "winter") == {}
        await harness.rollouts.command("spring", RolloutEvent.CANCEL)
        await harness.reconciler.reconcile()
        assert sorted(await _phases(harness, "summer")) == ["bench-3", "bench-4", "bench-5"]
        assert await _phases(harness, "winter") == {}

    run(tmp_path, scenario)


def test_a_quarantined_device_is_not_taken_until_that_is_cleared(tmp_path):
    """Not at the creation and not later."""

    async def scenario(harness):
        await _quarantine(harness, "bench-1")
        await harness.create()
        assert sorted(await _phases(harness)) == ALL[1:]
        await harness.seen()
        assert sorted(await _phases(harness)) == ALL[1:]
        async with harness.store.writing() as transaction:
            device = replace(await transaction.device("bench-1"), failures=0)
            await transaction.write(_only(device), harness.now_s)
        await harness.seen()
        assert sorted(await _phases(harness)) == ALL

    run(tmp_path, scenario)


def test_who_is_excluded_leaves_unless_it_was_asked(tmp_path):
    """What was begun with a device is ended with it."""

    async def scenario(harness):
        await harness.create()
        await harness.seen()
        await harness.groups.exclude("canary", "bench-1")
        await harness.groups.exclude("production", "bench-5")
        assert await harness.seen() == ("running", "open open waiting waiting")
        assert sorted(await _phases(harness)) == ALL[:-1]

    run(tmp_path, scenario)


def test_no_ended_rollout_goes_on_with_a_device_that_another_one_has(tmp_path):
    """Neither by a retry nor by rolling it back: that other one has to be cancelled first."""

    async def scenario(harness):
        plan = harness.plan(everybody(failure_count=2, success_percent=80), recovery=harness.recovery.digest)
        await harness.create(plan)
        await harness.seen()
        for name in ALL[1:]:
            await harness.succeed(name)
        await harness.fail("bench-1")
        assert (await harness.seen())[0] == "done"
        await harness.rollouts.create(group_by_group(harness.release.digest, ["canary"]), "summer")
        for event in (RolloutEvent.RETRY, RolloutEvent.ROLL_BACK):
            with pytest.raises(ConflictError, match="bench-1 is in rollout summer"):
                await harness.rollouts.command("spring", event)
        await harness.rollouts.command("summer", RolloutEvent.CANCEL)
        await harness.rollouts.command("spring", RolloutEvent.RETRY)
        assert await harness.seen() == ("running", "open succeeded succeeded succeeded succeeded")

    run(tmp_path, scenario)


def test_a_preview_names_everybody_and_changes_nothing(tmp_path):
    """The same devices in the same phases as the rollout that is created then, named or not."""

    async def scenario(harness):
        await harness.rollouts.create(group_by_group(harness.release.digest, ["canary"]), "first")
        await _quarantine(harness, "bench-4")
        await harness.groups.exclude("production", "bench-5")
        await harness.groups.pin("production", "bench-1")
        await harness.groups.set_devices("more", ["bench-3", "bench-2"])
        await harness.rollouts.command("first", RolloutEvent.CANCEL)
        await harness.rollouts.create(group_by_group(harness.release.digest, ["more"]), "second")
        plan = harness.plan(groups=("production", "more"))
        preview = await harness.rollouts.preview(plan)
        assert preview.phases == [["bench-1"]]
        assert preview.left_out == {
            "bench-2": "in rollout second, which hasn't ended",
            "bench-3": "in rollout second, which hasn't ended",
            "bench-4": "quarantined",
            "bench-5": "excluded from group production",
        }
        await harness.rollouts.create(plan)
        assert await _phases(harness, "rollout-3") == {"bench-1": 0}

    run(tmp_path, scenario)


@pytest.mark.parametrize("name", [None, "spring"])
def test_a_preview_shares_devices_out_as_the_rollout_does(tmp_path, name):
    """Whose turn it is when depends on the rollout's name, given or not."""

    async def scenario(harness):
        plan = harness.plan(
            Phase(kind=PhaseKind.COUNT, size=1), Phase(kind=PhaseKind.PERCENT, size=60), everybody()
        )
        preview = await harness.rollouts.preview(plan, name)
        created = await harness.rollouts.create(plan, name)
        phases = await _phases(harness, created.name)
        assert preview.phases == [
            sorted(one for one in phases if phases[one] == number) for number in range(3)
        ]
        assert [len(phase) for phase in preview.phases] == [1, 2, 2]

    run(tmp_path, scenario)


@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
@given(groups=st.fixed_dictionaries({name: st.sets(st.sampled_from(ALL)) for name in "abc"}))
def test_the_statement_puts_newcomers_where_the_domain_says(groups, tmp_path_factory):
    """For devices in any groups at once."""

    async def scenario(harness):
        phases = (
            Phase(kind=PhaseKind.GROUP, group="a"),
            Phase(kind=PhaseKind.GROUP, group="b"),
            everybody(),
        )
        for name in groups:
            await harness.groups.set_devices(name, [])
        plan = harness.plan(*phases, groups=("c",), stays_open=True)
        await harness.create(plan)
        for name, devices in groups.items():
            await harness.groups.set_devices(name, sorted(devices))
        await harness.reconciler.reconcile()
        expected = {}
        for device in ALL:
            of_device = [name for name, devices in groups.items() if device in devices]
            phase = phase_of_newcomer(plan, of_device)
            if phase is not None:
                expected[device] = phase
        assert await _phases(harness) == expected

    run(tmp_path_factory.mktemp("join"), scenario)


def test_a_rollout_that_was_cancelled_in_the_middle_of_a_pass_takes_nobody(tmp_path):
    """What the pass read before the command is old."""

    async def scenario(harness):
        plan = group_by_group(harness.release.digest, ["canary"])
        before = await harness.create(plan)
        await harness.groups.set_devices("canary", ALL)
        await harness.rollouts.command("spring", "cancel")
        await harness.reconciler._let_in(before)
        assert len(await harness.rollouts.members("spring", "", 10)) == 2

    run(tmp_path, scenario)
