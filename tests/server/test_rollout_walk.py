"""Random walks through rollouts over a real store: any plan, devices and operators as chance wants, and an engine that dies."""

import asyncio
import shutil
from dataclasses import dataclass, replace
from functools import partial

import pytest
from fleet_bench import NOW_S, make_fleet, open_store
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from release_factory import make_release
from rollout_bench import BY_NAME, GROUPS, Harness, make_releases
from rollout_walk import HOUR_S, MortalStore, Walk

from pawl import codes
from pawl_server.domain import reasons
from pawl_server.domain.plan import Phase, PhaseKind, Plan, Window
from pawl_server.domain.rollout import RolloutEvent

NIGHT = Window(days=tuple(range(7)), start_minute=22 * 60, duration_minutes=6 * 60)
FATES = (
    codes.REASON_OK,
    codes.REASON_OK,
    codes.REASON_BLOCK_DIGEST,
    codes.REASON_TRIALS,
    reasons.SILENT,
)
COMMANDS = [event for event in RolloutEvent if event not in {RolloutEvent.FAILURE, RolloutEvent.COMPLETION}]


@st.composite
def _phases(draw, **whom):
    return Phase(
        **whom,
        success_percent=draw(st.sampled_from([100, 60, 1])),
        failure_count=draw(st.sampled_from([1, 2])),
        soak_s=draw(st.sampled_from([0, HOUR_S, 24 * HOUR_S])),
        concurrency=draw(st.sampled_from([None, 1, 2])),
        starts_at_s=draw(st.sampled_from([None, None, None, NOW_S + 30 * HOUR_S])),
        windows=draw(st.sampled_from([(), (NIGHT,)])),
    )


@st.composite
def _plans(draw, release, recovery):
    canary = draw(_phases(kind=PhaseKind.GROUP, group="canary"))
    half = draw(_phases(kind=PhaseKind.COUNT, size=1))
    rest = draw(_phases(kind=PhaseKind.PERCENT, size=100))
    return Plan(
        release=release,
        recovery=draw(st.sampled_from([None, recovery, recovery])),
        groups=tuple(GROUPS),
        phases=draw(st.sampled_from([(rest,), (canary, rest), (canary, half, rest)])),
        silence_s=draw(st.sampled_from([6 * HOUR_S, 24 * HOUR_S])),
        tries_max=draw(st.integers(1, 3)),
        stays_open=draw(st.booleans()),
        needs_approval=draw(st.sampled_from([False, False, True])),
    )


_DEVICES = st.sampled_from(sorted(BY_NAME))
_LATE = st.lists(_DEVICES, unique=True, max_size=3)
_ROLLOUTS = st.sampled_from(["spring", "spring", "summer"])
_MOVES = st.one_of(
    st.tuples(st.just("engine"), st.sampled_from([None, None, 1, 2, 3])),
    st.tuples(st.just("round"), st.lists(st.sampled_from(FATES), min_size=5, max_size=5)),
    st.tuples(st.just("round"), st.lists(st.sampled_from(FATES), min_size=5, max_size=5)),
    st.tuples(st.just("answer"), _DEVICES, st.sampled_from(FATES)),
    st.tuples(st.just("confirm_late"), _DEVICES),
    st.tuples(st.just("pass_time"), st.sampled_from([0.2, 1, 5, 25])),
    st.tuples(st.just("command"), _ROLLOUTS, st.sampled_from(COMMANDS)),
    st.tuples(st.just("create"), st.just("summer")),
    st.tuples(st.sampled_from(["exclude", "include"]), st.sampled_from(sorted(GROUPS)), _DEVICES),
    st.tuples(st.just("hello"), _DEVICES),
)


@dataclass(frozen=True, kw_only=True)
class Start:
    """A fleet whose devices have said hello, to be copied by every walk."""

    fleet: object
    releases: tuple
    newer: object


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Make keys, releases and devices once: only the database is of one walk alone."""
    fleet = make_fleet(tmp_path_factory.mktemp("fleet"))
    releases = make_releases(fleet)
    newer = fleet.repository.add(make_release(fleet.keys, sequence=9))

    async def prepare():
        harness = Harness(fleet, releases)
        async with open_store(fleet.store):
            await harness.prepare()
            async with fleet.store.writing() as transaction:
                await transaction.add_release(replace(newer, imported_at_s=NOW_S))

    asyncio.run(prepare())
    return Start(fleet=fleet, releases=releases, newer=newer)


async def _walk(start, folder, plans, moves, late):
    shutil.copy(start.fleet.folder / "pawl.sqlite", folder)
    told = []
    store = MortalStore(folder / "pawl.sqlite", told.extend, lambda: NOW_S)
    harness = Harness(replace(start.fleet, store=store, told=told), start.releases)
    walk = Walk(harness, [*start.releases, start.newer])
    async with open_store(store):
        await walk.begin(plans["spring"])
        for move in moves:
            await _make(walk, plans, *move)
        await walk.finish(late)


async def _make(walk, plans, move, *values):
    match move:
        case "pass_time":
            walk.harness.now_s += int(values[0] * HOUR_S)
        case "create":
            await walk.create(plans[values[0]], values[0])
        case "exclude" | "include":
            await getattr(walk.harness.groups, move)(*values)
        case "hello":
            await walk.harness.hello(*values)
        case _:
            await getattr(walk, move)(*values)


@settings(deadline=None, max_examples=4, suppress_health_check=list(HealthCheck))
@given(data=st.data(), moves=st.lists(_MOVES, min_size=5, max_size=25))
def test_no_walk_breaks_a_promise_and_every_one_ends(data, moves, start, tmp_path_factory):
    """Never too many, too early, outside a window, or after a stop; and every device ends, whatever dies on the way."""
    release, recovery = start.releases
    plans = {
        "spring": data.draw(_plans(release.digest, recovery.digest)),
        "summer": replace(data.draw(_plans(start.newer.digest, None)), recovery=None),
    }
    walk = partial(_walk, start, tmp_path_factory.mktemp("walk"), plans, moves, data.draw(_LATE))
    asyncio.run(walk())
