"""Devices and groups over HTTP: found by filter, described, looked after, grouped; and what is no filter, by its character."""

from dataclasses import replace

import pytest
from api_bench import run_api
from fleet_bench import NOW_S, FakeFleetDevice

from pawl import codes
from pawl_server.domain import director
from pawl_server.domain.changes import Changes
from pawl_server.domain.fleet import QUARANTINE_FAILURES, AssignmentState, Flag


async def _enroll(api, count):
    for number in range(1, count + 1):
        device = FakeFleetDevice(name=f"bench-{number}")
        await api.ask("POST", "/enrolments", 201, json=device.enrolment_file())


async def _change(api, name, **fields):
    """Write what only devices and rollouts do."""
    device = replace(await api.service.device(name), **fields)
    async with api.service.store.writing() as transaction:
        await transaction.write(Changes(devices={name: device}), NOW_S)


def _names(page):
    return [one["device"] for one in page["devices"]]


def test_devices_are_found_by_what_operators_say_of_them(tmp_path):
    """Tags are set, kept and deleted one by one; the time zone is a known one."""

    async def scenario(api):
        await _enroll(api, 3)
        for number, site in ((1, "b1"), (2, "b2")):
            body = {"tags": {"site": site, "owner": "x"}, "timezone": "Europe/Berlin"}
            shown = await api.ask("PATCH", f"/devices/bench-{number}", json=body)
            assert (shown["tags"], shown["timezone"]) == (body["tags"], "Europe/Berlin")
        shown = await api.ask("PATCH", "/devices/bench-2", json={"tags": {"owner": None}})
        assert (shown["tags"], shown["timezone"]) == ({"site": "b2"}, "Europe/Berlin")
        for text, names in (
            ('tag.site in ("b1", "b2")', ["bench-1", "bench-2"]),
            ('tag.owner == "x"', ["bench-1"]),
            ("not has tag.site", ["bench-3"]),
        ):
            found = await api.ask("GET", "/devices", params={"filter": text})
            count = await api.ask("GET", "/device-counts", params={"filter": text})
            assert (_names(found), count) == (names, {"count": len(names)})
        first = await api.ask("GET", "/devices", params={"filter": "has tag.site", "limit": 1})
        again = {"filter": "has tag.site", "limit": 1, "after": first["next"]}
        assert _names(await api.ask("GET", "/devices", params=again)) == ["bench-2"]
        assert await api.ask("GET", "/device-counts") == {"count": 3}

    run_api(tmp_path, scenario)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"tags": {"Site": "x"}}, "tags.Site.[key]"),
        ({"tags": {"site": ""}}, "tags.site"),
        ({"tags": {"site": 1}}, "tags.site"),
        ({"tags": {"site": "a\nb"}}, "tags.site"),
        ({"tags": None}, "tags"),
        ({"timezone": "Mars"}, "timezone"),
        ({"timezone": None}, "timezone"),
        ({"name": "x"}, "name"),
    ],
)
def test_what_cannot_be_said_of_a_device_is_named(tmp_path, body, field):
    """And nothing else of it is kept."""

    async def scenario(api):
        await _enroll(api, 1)
        refused = await api.ask("PATCH", "/devices/bench-1", 422, json=body)
        assert refused["field"] == field
        shown = await api.ask("GET", "/devices/bench-1")
        assert (shown["tags"], shown["timezone"]) == ({}, "UTC")
        await api.ask("PATCH", "/devices/ghost", 404, json={"timezone": "UTC"})

    run_api(tmp_path, scenario)


@pytest.mark.parametrize(("text", "position"), [("class ==", 8), ('colour == "red"', 0), ("late late", 5)])
def test_what_is_no_filter_is_shown_at_its_character(tmp_path, text, position):
    """Wherever a filter may stand."""

    async def scenario(api):
        for method, path, request in (
            ("GET", "/devices", {"params": {"filter": text}}),
            ("GET", "/device-counts", {"params": {"filter": text}}),
            ("PUT", "/groups/field", {"json": {"filter": text}}),
        ):
            refused = await api.ask(method, path, 422, **request)
            assert (refused["field"], refused["position"]) == ("filter", position)
            shown, pointer, *_ = refused["detail"].splitlines()
            assert (shown.strip(), pointer) == (text, " " * position + "^")

    run_api(tmp_path, scenario)


def test_who_needs_a_look_is_listed_until_somebody_looked(tmp_path):
    """With the cause; a device in quarantine is let out."""

    async def scenario(api):
        await _enroll(api, 4)
        await _change(api, "bench-2", flag=Flag(at_s=7, reason="forked"))
        failed = {"failures": QUARANTINE_FAILURES, "attention_at_s": 9, "attention_reason": "trials"}
        await _change(api, "bench-3", **failed)
        page = await api.ask("GET", "/attention")
        causes = {one["device"]: [note["cause"] for note in one["attention"]] for one in page["devices"]}
        assert causes == {"bench-2": ["flagged"], "bench-3": ["failed", "quarantined"]}
        shown = await api.ask("GET", "/devices/bench-3")
        assert (shown["quarantined"], shown["failures"]) == (True, QUARANTINE_FAILURES)
        first = await api.ask("GET", "/attention?limit=1")
        assert _names(await api.ask("GET", f"/attention?after={first['next']}")) == ["bench-3"]
        for name in ("bench-2", "bench-3"):
            await api.ask("DELETE", f"/devices/{name}/attention", 204)
        assert (await api.ask("GET", "/attention"))["devices"] == []
        assert (await api.ask("GET", "/devices/bench-3"))["quarantined"] is False
        await api.ask("DELETE", "/devices/ghost/attention", 404)

    run_api(tmp_path, scenario)


def test_the_history_of_a_device_begins_with_the_newest(tmp_path):
    """Page by page; of a device that there is."""

    async def scenario(api):
        digest = await api.prepare()
        assert (await api.ask("GET", "/devices/bench-1/history"))["history"] == []
        release = (await api.service.inventory.release(digest)).digest
        assigned = director.assign(None, "bench-1", release)
        for one in (assigned, replace(assigned, state=AssignmentState.FAILED, reason=codes.REASON_TRIALS)):
            async with api.service.store.writing() as transaction:
                await transaction.write(Changes(assignments={("bench-1", release): one}), NOW_S)
        first = await api.ask("GET", "/devices/bench-1/history?limit=1")
        rest = await api.ask("GET", f"/devices/bench-1/history?after={first['next']}")
        told = [(one["release"], one["state"], one["reason"]) for one in first["history"] + rest["history"]]
        assert told == [(digest, "failed", "trials"), (digest, "assigned", "")]
        await api.ask("GET", "/devices/ghost/history", 404)
        assert (await api.ask("GET", "/devices/bench-1/history?after=x", 422))["field"] == "after"

    run_api(tmp_path, scenario)


def test_groups_by_name_and_by_filter(tmp_path):
    """Who is pinned or excluded stays so when the rest is said anew."""

    async def scenario(api):
        await _enroll(api, 5)
        named = await api.ask("PUT", "/groups/canary", json={"devices": ["bench-2", "bench-1"]})
        assert named == {"name": "canary", "filter": None, "count": 2, "pinned": [], "excluded": []}
        await api.ask("PUT", "/groups/canary/pins/bench-5", 204)
        await api.ask("PUT", "/groups/canary/exclusions/bench-1", 204)
        shown = await api.ask("GET", "/groups/canary")
        assert (shown["count"], shown["pinned"], shown["excluded"]) == (2, ["bench-5"], ["bench-1"])
        assert (await api.ask("GET", "/groups/canary/devices"))["devices"] == ["bench-2", "bench-5"]
        shown = await api.ask("PUT", "/groups/canary", json={"filter": 'id in("bench-2","bench-3")'})
        assert (shown["filter"], shown["count"]) == ('id in ("bench-2", "bench-3")', 3)
        first = await api.ask("GET", "/groups/canary/devices?limit=2")
        rest = await api.ask("GET", f"/groups/canary/devices?limit=2&after={first['next']}")
        assert first["devices"] + rest["devices"] == ["bench-2", "bench-3", "bench-5"]
        await api.ask("DELETE", "/groups/canary/pins/bench-5", 204)
        await api.ask("DELETE", "/groups/canary/exclusions/bench-1", 204)
        assert (await api.ask("GET", "/groups/canary"))["count"] == 2
        await api.ask("DELETE", "/groups/canary", 204)
        await api.ask("GET", "/groups/canary", 404)

    run_api(tmp_path, scenario)


def test_what_a_group_cannot_be_is_named(tmp_path):
    """Neither both nor nothing, and no devices that there aren't."""

    async def scenario(api):
        await _enroll(api, 1)
        for body, field in (
            ({}, "body"),
            ({"devices": [], "filter": "late"}, "body"),
            ({"devices": None}, "devices"),
            ({"filter": ""}, "filter"),
            ({"devices": ["UPPER"]}, "devices.0"),
            ({"devices": ["x"] * 10_001}, "devices"),
        ):
            assert (await api.ask("PUT", "/groups/x", 422, json=body))["field"] == field
        await api.ask("PUT", "/groups/x", 404, json={"devices": ["ghost"]})
        assert (await api.ask("PUT", "/groups/No", 422, json={"devices": []}))["field"] == "group"
        for path in ("pins", "exclusions"):
            await api.ask("PUT", f"/groups/x/{path}/bench-1", 404)
        assert (await api.ask("GET", "/groups"))["groups"] == []
        await api.ask("PUT", "/groups/x", json={"devices": []})
        await api.ask("PUT", "/groups/x/pins/ghost", 404)

    run_api(tmp_path, scenario)


def test_groups_are_listed_in_pages(tmp_path):
    """In order of their names."""

    async def scenario(api):
        for name in "cab":
            await api.ask("PUT", f"/groups/{name}", json={"devices": []})
        first = await api.ask("GET", "/groups?limit=2")
        rest = await api.ask("GET", f"/groups?after={first['next']}")
        assert [one["name"] for one in first["groups"] + rest["groups"]] == ["a", "b", "c"]

    run_api(tmp_path, scenario)


def test_a_claim_of_a_device_that_does_not_wait(tmp_path):
    """Its code is looked at first."""

    async def scenario(api):
        refused = await api.ask("POST", "/claims", 422, json={"device": "bench-1", "code": "x"})
        assert refused["field"] == "code"
        assert (await api.ask("GET", "/candidates")) == {"candidates": [], "next": None}

    run_api(tmp_path, scenario)
