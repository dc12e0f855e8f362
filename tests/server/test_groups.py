"""Groups: who is in one, by name or by filter; pins and exclusions; what keeps one from being deleted."""

import asyncio

import pytest
from fleet_bench import NOW_S, FakeFleetDevice, make_fleet, open_store
from sqlalchemy import insert, select

from pawl_server.domain.fleet import Device
from pawl_server.errors import InvalidError, UnknownError
from pawl_server.groups import GROUP_DEVICES_MAX, Groups
from pawl_server.store import ConflictError, tables
from pawl_server.store.groups import Group

DEVICES = [FakeFleetDevice(name=f"bench-{number}") for number in range(1, 7)]
NAMES = [device.name for device in DEVICES]


def _run(folder, scenario):
    async def main():
        store = make_fleet(folder).store
        async with open_store(store):
            async with store.writing() as transaction:
                for device in DEVICES:
                    await transaction.enroll(Device(enrolment=device.enrolment))
            return await scenario(Groups(store, lambda: NOW_S), store)

    return asyncio.run(main())


async def _devices(groups, name):
    return await groups.devices(name, "", 100)


def test_a_static_group_has_the_devices_that_are_named(tmp_path):
    """Each once; set again, it has the new ones only."""

    async def scenario(groups, _):
        await groups.set_devices("canary", ["bench-2", "bench-1", "bench-2"])
        assert await _devices(groups, "canary") == ["bench-1", "bench-2"]
        await groups.set_devices("canary", ["bench-3"])
        assert await _devices(groups, "canary") == ["bench-3"]
        await groups.set_devices("canary", [])
        assert await _devices(groups, "canary") == []

    _run(tmp_path, scenario)


def test_a_group_of_a_device_that_nobody_enrolled_is_refused(tmp_path):
    """And nothing is changed."""

    async def scenario(groups, _):
        await groups.set_devices("canary", ["bench-1"])
        with pytest.raises(UnknownError, match="no device ghost is enrolled"):
            await groups.set_devices("canary", ["bench-2", "ghost"])
        assert await _devices(groups, "canary") == ["bench-1"]
        for name_one in (groups.pin, groups.exclude):
            with pytest.raises(UnknownError, match="ghost"):
                await name_one("canary", "ghost")

    _run(tmp_path, scenario)


@pytest.mark.parametrize("name", ["", "1st", "Canary", "a b", "a" * 64, "a\n"])
def test_names_of_groups_are_bounded(tmp_path, name):
    """By the rule of rollouts' names."""

    async def scenario(groups, _):
        for setting in (groups.set_devices(name, []), groups.set_filter(name, 'id == "bench-1"')):
            with pytest.raises(InvalidError) as refused:
                await setting
            assert refused.value.field == "name"

    _run(tmp_path, scenario)


def test_a_static_group_is_bounded(tmp_path):
    """Larger ones are for filters."""

    async def scenario(groups, _):
        with pytest.raises(InvalidError, match="use a filter"):
            await groups.set_devices("all", [f"d{number}" for number in range(GROUP_DEVICES_MAX + 1)])

    _run(tmp_path, scenario)


def test_what_is_asked_of_an_unknown_group_is_refused(tmp_path):
    """By its name."""

    async def scenario(groups, _):
        for asked in (
            groups.get("ghosts"),
            groups.devices("ghosts", "", 10),
            groups.delete("ghosts"),
            groups.pin("ghosts", "bench-1"),
            groups.unpin("ghosts", "bench-1"),
            groups.exclude("ghosts", "bench-1"),
            groups.include("ghosts", "bench-1"),
        ):
            with pytest.raises(UnknownError, match="no group ghosts"):
                await asked

    _run(tmp_path, scenario)


def test_pages_of_groups_and_of_devices_follow_each_other(tmp_path):
    """In order of their names."""

    async def scenario(groups, _):
        for name in ("c", "a", "b"):
            await groups.set_devices(name, NAMES)
        assert [group.name for group in await groups.page("", 2)] == ["a", "b"]
        assert [group.name for group in await groups.page("b", 2)] == ["c"]
        assert await groups.devices("a", "bench-2", 2) == ["bench-3", "bench-4"]

    _run(tmp_path, scenario)


def test_an_exclusion_outweighs_a_pin_and_both_outlast_other_members(tmp_path):
    """Until they are taken back; each may be said twice."""

    async def scenario(groups, _):
        await groups.set_devices("canary", ["bench-1", "bench-2"])
        for _ in range(2):
            await groups.pin("canary", "bench-3")
            await groups.pin("canary", "bench-4")
            await groups.exclude("canary", "bench-1")
            await groups.exclude("canary", "bench-4")
        assert await _devices(groups, "canary") == ["bench-2", "bench-3"]
        await groups.set_devices("canary", ["bench-1", "bench-5"])
        assert await _devices(groups, "canary") == ["bench-3", "bench-5"]
        view = await groups.get("canary")
        assert (view.group, view.count) == (Group(name="canary", filter=None), 2)
        assert (view.pinned, view.excluded) == (["bench-3", "bench-4"], ["bench-1", "bench-4"])
        for _ in range(2):
            await groups.unpin("canary", "bench-3")
            await groups.include("canary", "bench-1")
            await groups.include("canary", "bench-4")
        assert await _devices(groups, "canary") == ["bench-1", "bench-4", "bench-5"]

    _run(tmp_path, scenario)


def test_a_deleted_group_is_gone_with_its_pins(tmp_path):
    """One of the same name begins anew."""

    async def scenario(groups, _):
        await groups.set_devices("canary", ["bench-1"])
        await groups.pin("canary", "bench-2")
        await groups.exclude("canary", "bench-3")
        await groups.delete("canary")
        assert await groups.page("", 10) == []
        await groups.set_devices("canary", ["bench-3"])
        assert await _devices(groups, "canary") == ["bench-3"]

    _run(tmp_path, scenario)


async def _add_rollout(store, name, state, **plan):
    async with store.writing() as transaction:
        connection = transaction._connection
        if (await connection.execute(select(tables.releases))).first() is None:
            release = {
                "digest": bytes(32),
                "sequence": 1,
                "version": "1.0",
                "index_digest": bytes(32),
                "size_bytes": 1,
                "imported_at_s": NOW_S,
                "is_retained": False,
                "is_recovery": False,
            }
            await connection.execute(insert(tables.releases), [release])
        row = {
            "name": name,
            "release": bytes(32),
            "plan": plan,
            "state": state,
            "reason": "",
            "created_at_s": NOW_S,
            "changed_at_s": NOW_S,
        }
        await connection.execute(insert(tables.rollouts), [row])


@pytest.mark.parametrize(
    "plan",
    [
        {"groups": ["field", "canary"], "phases": []},
        {
            "groups": ["field"],
            "phases": [{"kind": "percent", "group": ""}, {"kind": "group", "group": "canary"}],
        },
    ],
    ids=["target", "phase"],
)
def test_a_group_that_a_rollout_uses_is_not_deleted(tmp_path, plan):
    """The rollout is named; one that has ended doesn't matter."""

    async def scenario(groups, store):
        for name in ("canary", "other"):
            await groups.set_devices(name, ["bench-1"])
        await _add_rollout(store, "past", "done", **plan)
        await _add_rollout(store, "spring", "paused", **plan)
        with pytest.raises(ConflictError, match=r"rollout spring uses group canary .* cancel it"):
            await groups.delete("canary")
        assert await _devices(groups, "canary") == ["bench-1"]
        await groups.delete("other")

    _run(tmp_path, scenario)


def test_matching_answers_for_several_groups_in_one_statement(tmp_path):
    """A member that is pinned, too, is there once; a group that isn't has nobody."""

    async def scenario(groups, store):
        await groups.set_devices("a", ["bench-1", "bench-2"])
        await groups.set_devices("b", ["bench-2"])
        await groups.pin("b", "bench-6")
        await groups.pin("a", "bench-1")
        await groups.exclude("a", "bench-2")
        await groups.set_devices("c", ["bench-3"])
        async with store.reading() as transaction:
            query = await transaction.groups.matching(["a", "b", "ghosts"], NOW_S)
            found = sorted(tuple(row) for row in await transaction._connection.execute(query))
            nobody = await transaction.groups.matching([], NOW_S)
            assert (await transaction._connection.execute(nobody)).all() == []
        assert found == [("a", "bench-1"), ("b", "bench-2"), ("b", "bench-6")]

    _run(tmp_path, scenario)


def test_a_group_with_a_filter_has_who_matches_now(tmp_path):
    """Also who matches since; the text is kept in its normal form."""

    async def scenario(groups, store):
        group = await groups.set_filter("site", 'tag.site=="b1"   and id like "bench-*"')
        assert group == Group(name="site", filter='tag.site == "b1" and id like "bench-*"')
        assert await _devices(groups, "site") == []
        async with store.writing() as transaction:
            rows = [{"device": name, "key": "site", "value": "b1"} for name in NAMES[:3]]
            await transaction._connection.execute(insert(tables.device_tags), rows)
        assert await _devices(groups, "site") == NAMES[:3]
        assert (await groups.get("site")).count == 3

    _run(tmp_path, scenario)


def test_pins_and_exclusions_outlast_another_filter(tmp_path):
    """And members don't: a group with a filter has no others."""

    async def scenario(groups, _):
        await groups.set_devices("canary", ["bench-1", "bench-2"])
        await groups.pin("canary", "bench-6")
        await groups.exclude("canary", "bench-4")
        await groups.set_filter("canary", 'id in ("bench-3", "bench-4")')
        assert await _devices(groups, "canary") == ["bench-3", "bench-6"]
        await groups.set_filter("canary", 'id in ("bench-4", "bench-5", "bench-6")')
        assert await _devices(groups, "canary") == ["bench-5", "bench-6"]
        assert (await groups.get("canary")).count == 2
        await groups.set_devices("canary", ["bench-4"])
        assert await _devices(groups, "canary") == ["bench-6"]

    _run(tmp_path, scenario)


def test_a_filter_that_is_none_is_refused(tmp_path):
    """With the character that is wrong; the group stays as it was."""

    async def scenario(groups, _):
        await groups.set_devices("canary", ["bench-1"])
        with pytest.raises(InvalidError, match=r"(?m)^ +\^$") as refused:
            await groups.set_filter("canary", 'id == "bench-1" or')
        assert refused.value.field == "filter"
        assert await _devices(groups, "canary") == ["bench-1"]

    _run(tmp_path, scenario)


def test_static_groups_and_filters_are_one_statement_together(tmp_path):
    """A class name is looked for with every vendor that there is."""

    async def scenario(groups, store):
        await groups.set_devices("a", ["bench-1"])
        await groups.set_filter("b", 'not id in ("bench-1", "bench-2", "bench-3")')
        await groups.set_filter("c", 'class == "no such class"')
        await groups.pin("c", "bench-2")
        async with store.reading() as transaction:
            query = await transaction.groups.matching(["a", "b", "c"], NOW_S)
            found = sorted(tuple(row) for row in await transaction._connection.execute(query))
            assert len(await transaction.vendors()) == 1
        assert found == [
            ("a", "bench-1"),
            ("b", "bench-4"),
            ("b", "bench-5"),
            ("b", "bench-6"),
            ("c", "bench-2"),
        ]

    _run(tmp_path, scenario)
