"""Rollouts over HTTP: planned, tried dry, created once, commanded, watched; and which plan can't be, by its field."""

import json

import pytest
from api_bench import run_api
from fleet_bench import FakeFleetDevice
from release_factory import make_release
from sqlalchemy import delete

from pawl_server.store import tables

WINDOW = {"days": ["sun", "mon"], "start": "22:30", "minutes": 240}


def test_a_rollout_from_creation_to_cancellation(tmp_path):
    """Shown with its phases; commands are idempotent, and refused where they make no sense."""

    async def scenario(api):
        digest = await api.prepare()
        body = {"release": digest[:8], "groups": ["canary"], "name": "spring"}
        created = await api.ask("POST", "/rollouts", 201, json=body)
        assert (created["state"], created["release"]) == ("running", digest)
        (phase,) = created["phases"]
        assert (phase["title"], phase["devices"]["waiting"]) == ("group canary", 1)
        assert await api.ask("POST", "/rollouts", 201, json=body) == created
        assert (await api.ask("GET", "/rollouts"))["rollouts"] == [created]
        for command, state in (
            ("pause", "paused"),
            ("pause", "paused"),
            ("resume", "running"),
            ("cancel", "cancelled"),
            ("cancel", "cancelled"),
        ):
            answer = await api.ask("POST", "/rollouts/spring/commands", json={"command": command})
            assert answer["state"] == state
        path = f"/rollouts/{created['id']}/commands"
        refused = await api.ask("POST", path, 409, json={"command": "resume"})
        assert refused["detail"] == "rollout spring is cancelled: it can't resume any more"
        for command in ("failure", "completion", "Pause", ""):
            refused = await api.ask("POST", path, 422, json={"command": command})
            assert refused["field"] == "command"
        again = await api.ask("POST", "/rollouts", 409, json={**body, "tries_max": 7})
        assert "another plan" in again["detail"]

    run_api(tmp_path, scenario)


def test_a_plan_comes_back_as_it_was_sent(tmp_path):
    """Every field of it, and of its phases."""

    async def scenario(api):
        digest = await api.prepare()
        phases = [
            {"kind": "group", "group": "canary", "soak_s": 60, "failure_count": None, "failure_percent": 5},
            {"kind": "count", "size": 3, "success_percent": 50, "concurrency": 2, "starts_at_s": 7},
            {"kind": "percent", "size": 100, "windows": [WINDOW]},
        ]
        plan = {"silence_s": 90, "tries_max": 2, "stays_open": True, "needs_approval": True}
        for number in range(2, 10):
            device = FakeFleetDevice(name=f"bench-{number}")
            await api.ask("POST", "/enrolments", 201, json=device.enrolment_file())
        await api.ask("PUT", "/groups/field", json={"filter": 'id like "bench-*"'})
        body = {"release": digest, "groups": ["field"], "phases": phases, "name": "x", **plan}
        created = await api.ask("POST", "/rollouts", 201, json=body)
        assert created | plan | {"groups": ["field"]} == created
        assert created["state"] == "awaiting-approval"
        for sent, shown in zip(phases, created["phases"], strict=True):
            assert shown | {**sent, "windows": shown["windows"]} == shown
        assert created["phases"][2]["windows"] == [{**WINDOW, "days": ["mon", "sun"]}]

    run_api(tmp_path, scenario)


def test_a_dry_run_says_whom_it_would_take_and_changes_nothing(tmp_path):
    """Phase by phase; who is left out is named with the reason."""

    async def scenario(api):
        digest = await api.prepare()
        await api.ask("POST", "/enrolments", 201, json=FakeFleetDevice(name="bench-2").enrolment_file())
        await api.ask("PUT", "/groups/canary", json={"devices": ["bench-1", "bench-2"]})
        await api.ask("PUT", "/groups/canary/exclusions/bench-2", 204)
        body = {"release": digest, "groups": ["canary"]}
        planned = await api.ask("POST", "/rollouts?dry_run=true", json=body)
        assert planned["phases"] == [{"title": "group canary", "devices": ["bench-1"]}]
        assert list(planned["left_out"]) == ["bench-2"]
        assert (await api.ask("GET", "/rollouts"))["rollouts"] == []
        assert (await api.ask("GET", "/events"))["events"] == []
        refused = await api.ask("POST", "/rollouts?dry_run=true", 422, json={**body, "groups": []})
        assert refused["field"] == "phases"

    run_api(tmp_path, scenario)


def test_who_is_in_a_rollout_and_which_rollout_has_whom(tmp_path):
    """From both sides."""

    async def scenario(api):
        digest = await api.prepare()
        assert (await api.ask("GET", "/devices/bench-1/rollout"))["rollout"] is None
        await api.ask("POST", "/rollouts", 201, json={"release": digest, "groups": ["canary"], "name": "x"})
        page = await api.ask("GET", "/rollouts/x/devices")
        (member,) = page["devices"]
        assert (member["device"], member["phase"], member["progress"]) == ("bench-1", 0, "waiting")
        assert (await api.ask("GET", "/rollouts/x/devices?progress=failed"))["devices"] == []
        assert (await api.ask("GET", "/rollouts/x/devices?progress=lost", 422))["field"] == "progress"
        applies = await api.ask("GET", "/devices/bench-1/rollout")
        assert (applies["rollout"], applies["phase"], applies["progress"]) == ("x", 0, "waiting")
        assert applies["why"].startswith("in rollout x, phase 1 (group canary)")
        await api.ask("GET", "/devices/ghost/rollout", 404)
        await api.ask("DELETE", "/groups/canary", 409)

    run_api(tmp_path, scenario)


def test_rollouts_are_listed_in_pages(tmp_path):
    """The oldest first; a rollout without a name gets one."""

    async def scenario(api):
        digest = await api.prepare()
        body = {"release": digest, "groups": ["canary"], "stays_open": True}
        for _ in range(3):
            await api.ask("POST", "/rollouts", 201, json=body)
        first = await api.ask("GET", "/rollouts?limit=2")
        rest = await api.ask("GET", f"/rollouts?limit=2&after={first['next']}")
        names = [one["name"] for one in first["rollouts"] + rest["rollouts"]]
        assert (names, rest["next"]) == (["rollout-1", "rollout-2", "rollout-3"], None)
        assert (await api.ask("GET", "/devices?after=" + first["next"], 422))["field"] == "after"

    run_api(tmp_path, scenario)


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"groups": []}, 422, "phases"),
        ({"groups": ["canary", "canary"]}, 422, "phases.1.group"),
        ({"groups": "canary"}, 422, "groups"),
        ({"groups": ["nobody"]}, 404, None),
        ({"release": "AAAAAA"}, 404, None),
        ({"release": ""}, 422, "release"),
        ({"release": None}, 422, "release"),
        ({"recovery": "AAAAAA"}, 404, None),
        ({"name": "UPPER"}, 422, "name"),
        ({"name": "rollout-7"}, 422, "name"),
        ({"stages": 3}, 422, "stages"),
        ({"silence_s": 1}, 422, "silence_s"),
        ({"tries_max": 10**400}, 422, "tries_max"),
        ({"stays_open": "yes"}, 422, "stays_open"),
        ({"phases": []}, 422, "phases"),
        ({"phases": [{"kind": "all"}]}, 422, "phases.0.kind"),
        ({"phases": [{"kind": "percent", "size": 0}]}, 422, "phases.0.size"),
        ({"phases": [{"kind": "percent", "size": 101}]}, 422, "phases.0.size"),
        ({"phases": [{"kind": "count", "size": 2**63}]}, 422, "phases.0.size"),
        ({"phases": [{"kind": "group", "group": "A"}]}, 422, "phases.0.group"),
        (
            {"phases": [{"kind": "group", "group": "canary", "starts_at_s": 2**63}]},
            422,
            "phases.0.starts_at_s",
        ),
        (
            {"phases": [{"kind": "group", "group": "canary", "failure_count": None}]},
            422,
            "phases.0.failure_count",
        ),
        *(
            (
                {"phases": [{"kind": "percent", "size": 9, "windows": [{**WINDOW, name: value}]}]},
                422,
                f"phases.0.windows.0.{name}",
            )
            for name, value in (("start", "24:00"), ("minutes", 1441), ("days", []), ("days", ["mon", "mon"]))
        ),
    ],
)
def test_what_a_rollout_cannot_have_is_named(tmp_path, change, status, field):
    """By its field; and nothing is created."""

    async def scenario(api):
        digest = await api.prepare()
        body = {"release": digest, "groups": ["canary"], **change}
        content = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        refused = await api.ask("POST", "/rollouts", status, content=content, headers=headers)
        assert refused.get("field") == field
        assert (await api.ask("GET", "/rollouts"))["rollouts"] == []

    run_api(tmp_path, scenario)


def test_a_name_that_no_rollout_has(tmp_path):
    """A number that no column holds is none, either."""

    async def scenario(api):
        for path in ("none", "9", "9" * 18, "none/events", "none/devices"):
            await api.ask("GET", f"/rollouts/{path}", 404)
        for path in ("9" * 19, "0", "A", "a_b", "%00"):
            assert (await api.ask("GET", f"/rollouts/{path}", 422))["field"] == "rollout"

    run_api(tmp_path, scenario)


def test_the_live_view_begins_with_what_is_and_ends_with_the_rollout(tmp_path):
    """Who has seen that already, isn't told again."""

    async def scenario(api):
        digest = await api.prepare()
        await api.ask("POST", "/rollouts", 201, json={"release": digest, "groups": ["canary"], "name": "x"})
        await api.ask("POST", "/rollouts/x/commands", json={"command": "cancel"})
        stream = await api.client.get("/v1/rollouts/x/events")
        identity, kind, data = stream.text.splitlines()[:3]
        assert kind == "event: rollout"
        assert json.loads(data.removeprefix("data: "))["reason"] == "cancelled by an operator"
        seen = {"Last-Event-ID": identity.removeprefix("id: ")}
        assert (await api.client.get("/v1/rollouts/x/events", headers=seen)).text == ""

    run_api(tmp_path, scenario)


def test_a_rollout_without_a_name_that_came_with_a_key_is_made_once(tmp_path):
    """Also if the server died between action and answer."""

    async def scenario(api):
        digest = await api.prepare()
        body, key = {"release": digest, "groups": ["canary"]}, {"Idempotency-Key": "k"}
        first = await api.ask("POST", "/rollouts", 201, json=body, headers=key)
        async with api.service.store.writing() as transaction:
            await transaction._connection.execute(delete(tables.answers))
        again = await api.send("POST", "/rollouts", 201, json=body, headers=key)
        assert "Idempotency-Replayed" not in again.headers
        assert (again.json(), len((await api.ask("GET", "/rollouts"))["rollouts"])) == (first, 1)

    run_api(tmp_path, scenario)


def test_releases_are_listed_in_pages(tmp_path):
    """The newest first."""

    async def scenario(api):
        for number in range(1, 4):
            await api.ask("POST", "/releases", 201, content=make_release(api.fleet.keys, sequence=number))
        first = await api.ask("GET", "/releases?limit=2")
        rest = await api.ask("GET", f"/releases?limit=2&after={first['next']}")
        assert [one["sequence"] for one in first["releases"] + rest["releases"]] == [3, 2, 1]
        assert rest["next"] is None

    run_api(tmp_path, scenario)
