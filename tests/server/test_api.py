"""The HTTP interface over the real service and store: every noun, every refusal, and what nobody may do."""

import json
from dataclasses import replace

import pytest
from api_bench import BENCH, BUNDLE_MAX_BYTES, run_api
from fleet_bench import NOW_S, FakeFleetDevice
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from release_factory import KeyPair, make_anchor, make_keys, make_release

from pawl import cbor, codes
from pawl.index import b64u
from pawl_server import access
from pawl_server.api.gate import JSON_MAX_BYTES
from pawl_server.errors import InvalidError
from pawl_server.mqtt.inbox import Message
from pawl_server.service import FleetServer
from pawl_server.store import ConflictError


def test_nothing_is_told_without_a_token(tmp_path):
    """Neither without, nor with another's, nor with another scheme; only the health and the description are open."""

    async def scenario(api):
        known = api.client.headers["Authorization"]
        for value in ("", "Bearer ", "Bearer x", "Basic x", known[:-1], f"{known}x", "Bearer " + "x" * 9999):
            answer = await api.ask("GET", "/devices", 401, headers={"Authorization": value})
            assert "pawl server token new" in answer["next"]
        for path in ("/v1/health", "/openapi.json"):
            response = await api.client.get(path, headers={"Authorization": ""})
            assert response.status_code == 200

    run_api(tmp_path, scenario)


def test_tokens_are_kept_as_digests_under_names_of_their_own(tmp_path):
    """The database doesn't hold one; a name has one token."""

    async def scenario(api):
        token = await access.new_token(api.service.store, "ci", NOW_S)
        assert await access.name_of(api.service.store, token) == "ci"
        with pytest.raises(ConflictError):
            await access.new_token(api.service.store, "ci", NOW_S)
        with pytest.raises(InvalidError):
            await access.new_token(api.service.store, "no name", NOW_S)
        for file in (tmp_path / "server").iterdir():
            assert file.is_dir() or token.encode() not in file.read_bytes()

    run_api(tmp_path, scenario)


def test_devices_are_enrolled_once_and_listed_in_pages(tmp_path):
    """The same again is fine, another key under the same id isn't."""

    async def scenario(api):
        names = [f"bench-{number}" for number in range(1, 6)]
        for name in names:
            await api.ask("POST", "/enrolments", 201, json=FakeFleetDevice(name=name).enrolment_file())
        first = await api.ask("GET", "/devices?limit=3")
        rest = await api.ask("GET", f"/devices?limit=3&after={first['next']}")
        assert [one["device"] for one in first["devices"] + rest["devices"]] == names
        assert rest["next"] is None
        shown = await api.ask("GET", "/devices/bench-1")
        assert shown == {**first["devices"][0], "refusals": []}
        again = await api.ask("POST", "/enrolments", 409, json=BENCH.enrolment_file())
        assert "bench-1 is enrolled with another" in again["detail"]
        await api.ask("GET", "/devices/ghost", 404)

    run_api(tmp_path, scenario)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"device": "Bench 1"}, "device"),
        ({"device": "x" * 64}, "device"),
        ({"vendor": "zz"}, "vendor"),
        ({"vendor": "00"}, "vendor"),
        ({"partition": "7"}, "partition"),
        ({"partition": True}, "partition"),
        ({"class": "é"}, "class"),
        ({"partition": 64}, "partition"),
        ({"partition": 10**400}, "partition"),
        ({"report_key": {"x": "A" * 43 + "=", "y": "!"}}, "report_key.y"),
        ({"report_key": {"x": "", "y": ""}}, "report_key.x"),
        ({"report_key": {"x": "A" * 43 + "=", "y": "A" * 43 + "="}}, "report_key"),
        ({"report_key": None}, "report_key"),
        ({"key": "private"}, "key"),
    ],
)
def test_an_enrolment_that_cannot_be_names_its_field(tmp_path, change, field):
    """And nothing is enrolled."""

    async def scenario(api):
        answer = await api.ask("POST", "/enrolments", 422, json={**BENCH.enrolment_file(), **change})
        assert answer["field"] == field
        assert (await api.ask("GET", "/devices"))["devices"] == []

    run_api(tmp_path, scenario)


def test_releases_are_judged_like_devices_do(tmp_path):
    """With the device's reason; found again by the beginning of the digest."""

    async def scenario(api):
        raw = make_release(api.fleet.keys, version=(1, 2), sequence=7)
        imported = await api.ask("POST", "/releases", 201, content=raw)
        assert (imported["version"], imported["sequence"], imported["published_at_s"]) == ("1.2", 7, None)
        assert await api.ask("POST", "/releases", 201, content=raw) == imported
        assert await api.ask("GET", f"/releases/{imported['digest'][:8]}") == imported
        assert (await api.ask("GET", "/releases"))["releases"] == [imported]
        await api.ask("GET", f"/releases/{imported['digest'][:5]}", 422)
        await api.ask("GET", "/releases/AAAAAAAA", 404)
        for content, says in (
            (b"", "malformed"),
            (make_release(make_keys()), "unauthorised"),
            (raw[:-1], "("),
        ):
            refused = await api.ask("POST", "/releases", 422, content=content)
            assert refused["field"] == "release" and says in refused["detail"]

    run_api(tmp_path, scenario)


def test_anchors_are_imported_in_order(tmp_path):
    """Listed from the first on; refused with the device's reason, or with what to configure."""

    async def scenario(api):
        keys = api.fleet.keys
        second = make_anchor(keys, version=2)
        imported = await api.ask("POST", "/anchors", 201, content=second)
        assert (imported["version"], imported["imported_at_s"]) == (2, NOW_S)
        assert await api.ask("POST", "/anchors", 201, content=second) == imported
        assert [one["version"] for one in (await api.ask("GET", "/anchors"))["anchors"]] == [1, 2]
        for content, field, says in (
            (b"", "anchor", "anchor-invalid"),
            (make_anchor(keys, version=4), "anchor", "anchor-version"),
            (make_anchor(make_keys(), version=3), "anchor", "anchor-unsigned"),
            (make_anchor(replace(keys, director=KeyPair()), version=3), None, "does not name the key"),
        ):
            refused = await api.ask("POST", "/anchors", 422, content=content)
            assert refused.get("field") == field and says in refused["detail"]
        assert len((await api.ask("GET", "/anchors"))["anchors"]) == 2

    run_api(tmp_path, scenario)


def test_what_a_device_proved_and_what_it_claims_are_told_apart(tmp_path):
    """Reports and freshness are signed; the hello's slots, failures, anchor and time floor are marked as not."""

    async def scenario(api):
        await api.ask("POST", "/enrolments", 201, json=BENCH.enrolment_file())
        fresh = await api.ask("GET", "/devices/bench-1")
        assert (fresh["claims"], fresh["reports"], fresh["flagged"], fresh["late"]) == (None, [], None, False)
        hello = BENCH.hello(
            b"n" * 16,
            anchor=(3, bytes(32)),
            time_floor=2**64 - 1,
            failed=[(b"f" * 32, 2, codes.REASON_TRIALS)],
            refusals={codes.REASON_BUDGET: 4},
        )
        report = BENCH.report(codes.EVENT_NOTICED, reason=codes.REASON_RATCHET_LOST)
        log = cbor.encode([[7, 61, codes.REASON_TRIALS, b"f" * 32], [7, 3, codes.REASON_BUDGET]])
        for kind, payload in (("hello", hello), ("report", report), ("log", log)):
            message = Message(topic=BENCH.topic(kind), payload=payload, retained=False)
            await api.service._on_messages([message])
        shown = await api.ask("GET", "/devices/bench-1")
        claims = shown["claims"]
        assert (claims["signed"], claims["anchor_version"], claims["time_floor_s"]) == (False, 3, 2**64 - 1)
        assert claims["slots"][0] == {"state": "confirmed", "release": None, "sequence": None}
        assert claims["failed"] == [{"release": b64u(b"f" * 32), "attempts": 2, "reason": "trials"}]
        assert claims["refusals"] == {"budget": 4}
        (told,) = shown["reports"]
        assert (told["event"], told["reason"]) == ("noticed", "ratchet-lost")
        assert shown["log"] == [
            {"boot": 7, "uptime_s": 61, "reason": "trials", "detail": b64u(b"f" * 32)},
            {"boot": 7, "uptime_s": 3, "reason": "budget", "detail": None},
        ]

    run_api(tmp_path, scenario)


def test_a_replaced_server_says_so(tmp_path):
    """Nothing is changed any more by a process whose database another one has taken over."""

    async def scenario(api):
        newer = FleetServer(api.service.settings, lambda: NOW_S)
        await newer.open()
        answer = await api.ask("POST", "/enrolments", 503, json=BENCH.enrolment_file())
        assert "another server process" in answer["detail"]
        await newer.store.close()
        assert (await api.ask("GET", "/devices"))["devices"] == []

    run_api(tmp_path, scenario)


def test_bodies_are_bounded_whatever_length_they_announce(tmp_path):
    """By the header if there is one, else while they come in."""

    async def endless(chunks):
        for _ in range(chunks):
            yield b" " * 65536

    async def scenario(api):
        too_large = await api.ask("POST", "/releases", 413, content=bytes(BUNDLE_MAX_BYTES + 1))
        assert str(BUNDLE_MAX_BYTES) in too_large["detail"]
        await api.ask("POST", "/releases", 413, content=endless(1000))
        await api.ask("POST", "/enrolments", 413, content=bytes(JSON_MAX_BYTES + 1))
        json_type = {"Content-Type": "application/json"}
        await api.ask("POST", "/enrolments", 413, content=endless(1000), headers=json_type)

    run_api(tmp_path, scenario)


def test_what_http_itself_refuses_is_a_problem_too(tmp_path):
    """Unknown paths, methods, and bodies that are no JSON."""

    async def scenario(api):
        await api.ask("GET", "/nothing", 404)
        await api.ask("DELETE", "/devices", 405)
        json_type = {"Content-Type": "application/json"}
        for content, status in ((b"", 422), (b"{", 422), (b"\xff", 400), (b"[" * 5000, 400)):
            await api.ask("POST", "/enrolments", status, content=content, headers=json_type)

    run_api(tmp_path, scenario)


def test_a_fault_of_ours_shows_no_traceback(tmp_path, caplog):
    """It is logged, and the answer says no more than that."""

    async def scenario(api):
        (tmp_path / "server" / "releases").rmdir()
        answer = await api.ask("POST", "/releases", 500, content=make_release(api.fleet.keys))
        assert "Traceback" not in json.dumps(answer) and str(tmp_path) not in json.dumps(answer)
        assert "a request failed" in caplog.text

    run_api(tmp_path, scenario)


OPERATIONS = {
    *("list_anchors", "import_anchor", "list_releases", "show_release", "import_release"),
    *("list_devices", "count_devices", "show_device", "describe_device", "list_attention", "clear_attention"),
    *("list_history", "show_device_rollout", "enroll_device", "claim_device", "list_candidates"),
    *("list_groups", "show_group", "set_group", "delete_group", "list_group_devices"),
    *("pin_device", "unpin_device", "exclude_device", "include_device"),
    *("list_rollouts", "create_rollout", "show_rollout", "list_rollout_devices", "command_rollout"),
    *("watch_rollout", "list_events", "stream_events", "health"),
}


def test_the_description_names_every_operation_and_asks_for_a_token(tmp_path):
    """OpenAPI 3.1, with the scheme, problems and keys at every route that has them."""

    async def scenario(api):
        description = (await api.client.get("/openapi.json")).json()
        assert description["openapi"] == "3.1.0"
        paths = description["paths"]
        names = [one["operationId"] for methods in paths.values() for one in methods.values()]
        assert sorted(names) == sorted(OPERATIONS)
        for path, methods in paths.items():
            for method, one in methods.items():
                assert path == "/v1/health" or "security" in one
                assert {"4XX", "5XX"} <= set(one["responses"])
                names = [parameter["name"] for parameter in one.get("parameters", [])]
                assert ("Idempotency-Key" in names) is (method == "post")

    run_api(tmp_path, scenario)


_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
GOOD = {
    "/enrolments": ("POST", BENCH.enrolment_file()),
    "/rollouts": ("POST", {"release": "AAAAAAAA", "groups": ["x"], "name": "spring"}),
    "/groups/x": ("PUT", {"devices": ["bench-1"]}),
}
_CHANGES = [(path, field) for path, (_, body) in GOOD.items() for field in (*body, "more")]


@settings(deadline=None, max_examples=8, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(values=st.lists(_JSON, min_size=len(_CHANGES), max_size=len(_CHANGES)))
def test_no_json_is_answered_with_a_fault_of_ours(values, tmp_path_factory):
    """Whatever stands in a field: accepted, or refused as theirs."""

    async def scenario(api):
        for (path, field), value in zip(_CHANGES, values, strict=True):
            method, body = GOOD[path]
            # JSON's own writer: NaN and infinities too, which clients refuse to send.
            content = json.dumps({**body, field: value}).encode()
            headers = {"Content-Type": "application/json"}
            response = await api.client.request(method, f"/v1{path}", content=content, headers=headers)
            assert response.status_code < 500, (path, content, response.text)

    run_api(tmp_path_factory.mktemp("fuzz"), scenario)


def test_a_method_that_is_not_there_is_told_which_ones_are(tmp_path):
    """All of the path, whatever route has them."""

    async def scenario(api):
        await api.prepare()
        for method, path, allowed in (
            ("DELETE", "/rollouts", "GET, POST"),
            ("POST", "/devices/bench-1", "GET, PATCH"),
            ("PATCH", "/groups/canary", "DELETE, GET, PUT"),
            ("GET", "/groups/canary/pins/bench-1", "DELETE, PUT"),
        ):
            assert (await api.send(method, path, 405)).headers["Allow"] == allowed

    run_api(tmp_path, scenario)
