"""A POST that is sent again with its key is answered again, and done once; whatever else comes with that key is told so."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from api_bench import BENCH, BUNDLE_MAX_BYTES, client_of, open_api, run_api
from fastapi import FastAPI
from fleet_bench import FakeFleetDevice
from release_factory import CLASS, VENDOR, make_anchor, make_release
from sqlalchemy import delete
from starlette.requests import Request
from starlette.responses import JSONResponse

from pawl.ports.host import claim_code
from pawl_server import access
from pawl_server.api import problems
from pawl_server.api.gate import Gate
from pawl_server.api.idempotency import ANSWER_MAX_BYTES, Idempotency
from pawl_server.domain.registration import Candidate
from pawl_server.store import tables

KEY = {"Idempotency-Key": "spring-1"}
REPLAYED = "Idempotency-Replayed"


class Till:
    """An application that can't repeat itself without being seen: it counts what it did, and does it as it is told."""

    def __init__(self):
        self.done = 0
        self.status = 201
        self.size = 0
        self.is_asked = asyncio.Event()
        self.is_free = asyncio.Event()
        self.is_free.set()

    async def sell(self, request: Request):
        """Do it once more."""
        body = await request.body()
        self.done += 1
        self.is_asked.set()
        await self.is_free.wait()
        if self.status == 500:
            raise RuntimeError("the till is empty")
        content = {"done": self.done, "bytes": len(body), "padding": "x" * self.size}
        return JSONResponse(content, self.status, {"Location": f"/v1/sales/{self.done}"})


@asynccontextmanager
async def _till(api):
    """Open the till behind the middlewares that the interface has, over its store."""
    till, app = Till(), FastAPI()
    problems.install(app)
    app.add_route("/v1/sales", till.sell, methods=["POST", "PUT"])
    app.add_middleware(Idempotency, store=api.service.store, clock=api.clock)

    async def who_has(token):
        return await access.name_of(api.service.store, token)

    app.add_middleware(Gate, who_has=who_has, limits={})
    token = api.client.headers["Authorization"].removeprefix("Bearer ")
    async with client_of(app, token) as client:
        yield till, client


def _run(folder, scenario):
    async def main():
        async with open_api(folder) as api, _till(api) as (till, client):
            await scenario(api, till, client)

    asyncio.run(asyncio.wait_for(main(), 30))


async def _sell(client, status=201, headers=KEY, method="POST", query="", **request):
    response = await client.request(method, f"/v1/sales{query}", headers=headers, **request)
    assert response.status_code == status, response.text
    return response


def test_the_same_again_is_answered_again_and_not_done(tmp_path):
    """Status, body and media type are the first answer's; a header says that it is a repetition."""

    async def scenario(_api, till, client):
        first = await _sell(client, json={"what": 1})
        again = await _sell(client, json={"what": 1})
        assert (again.json(), till.done) == (first.json(), 1)
        assert (REPLAYED in first.headers, again.headers[REPLAYED]) == (False, "true")
        assert again.headers["content-type"] == first.headers["content-type"]

    _run(tmp_path, scenario)


def test_without_a_key_everything_is_done(tmp_path):
    """And what isn't a POST takes no key: it may be repeated anyway."""

    async def scenario(_api, till, client):
        for headers, method in (({}, "POST"), ({}, "POST"), (KEY, "PUT"), (KEY, "PUT")):
            assert REPLAYED not in (await _sell(client, headers=headers, method=method)).headers
        assert till.done == 4

    _run(tmp_path, scenario)


def test_a_key_of_another_request_is_refused(tmp_path):
    """Another body, query or path; the first answer stays what it is."""

    async def scenario(api, till, client):
        first = await _sell(client, content=b"1")
        for request in ({"content": b"2"}, {"content": b""}, {"content": b"1", "query": "?x=1"}):
            refused = (await _sell(client, 422, **request)).json()
            assert refused["field"] == "Idempotency-Key"
        elsewhere = await api.client.post("/v1/enrolments", json=BENCH.enrolment_file(), headers=KEY)
        assert elsewhere.status_code == 422 and elsewhere.json()["field"] == "Idempotency-Key"
        assert (await _sell(client, content=b"1")).json() == first.json()
        assert till.done == 1

    _run(tmp_path, scenario)


def test_a_key_is_its_tokens_own(tmp_path):
    """Another token's request with the same key is another one."""

    async def scenario(api, till, client):
        await _sell(client)
        other = await access.new_token(api.service.store, "other", 0)
        await _sell(client, headers={**KEY, "Authorization": f"Bearer {other}"})
        assert till.done == 2

    _run(tmp_path, scenario)


@pytest.mark.parametrize("key", ["", "a b", "x" * 129, "\u00e9", "\x7f", "tab\there"])
def test_what_is_no_key_is_refused(tmp_path, key):
    """By the header's name, and nothing is done."""

    async def scenario(_api, till, client):
        refused = await _sell(client, 422, headers=[(b"Idempotency-Key", key.encode("latin-1"))])
        assert (refused.json()["field"], till.done) == ("Idempotency-Key", 0)

    _run(tmp_path, scenario)


def test_one_request_has_one_key(tmp_path):
    """Two headers are refused."""

    async def scenario(_api, till, client):
        headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
        await _sell(client, 422, headers=headers)
        assert till.done == 0

    _run(tmp_path, scenario)


def test_while_the_first_is_at_work_the_second_is_told_to_come_back(tmp_path):
    """With the time to wait; then it gets the first one's answer."""

    async def scenario(_api, till, client):
        till.is_free.clear()
        first = asyncio.create_task(_sell(client))
        await till.is_asked.wait()
        told = await _sell(client, 409)
        assert int(told.headers["Retry-After"]) > 0 and told.json()["field"] == "Idempotency-Key"
        till.is_free.set()
        answer = (await first).json()
        assert ((await _sell(client)).json(), till.done) == (answer, 1)

    _run(tmp_path, scenario)


def test_a_refusal_is_an_answer_and_a_fault_is_none(tmp_path, caplog):
    """4xx is repeated as the problem that it was; after 5xx the key is free."""

    async def scenario(_api, till, client):
        for status in (500, 503):
            till.status = status
            await _sell(client, status)
        till.status = 409
        await _sell(client, 409)
        till.status = 201
        again = await _sell(client, 409)
        assert again.headers["content-type"] == "application/problem+json"
        assert till.done == 3

    _run(tmp_path, scenario)
    assert "the till is empty" in caplog.text


def test_a_key_that_was_left_at_work_is_free_in_a_minute(tmp_path):
    """A server that died between action and answer doesn't lock its clients out."""

    async def scenario(api, till, client):
        till.is_free.clear()
        lost = asyncio.create_task(_sell(client))
        await till.is_asked.wait()
        lost.cancel()
        till.is_free.set()
        api.clock.now_s += 59
        await _sell(client, 409)
        api.clock.now_s += 1
        assert (await _sell(client)).json()["done"] == 2

    _run(tmp_path, scenario)


def test_an_answer_that_is_too_large_is_not_kept(tmp_path):
    """Its status is, and what it was about."""

    async def scenario(_api, till, client):
        till.size = ANSWER_MAX_BYTES
        assert len((await _sell(client)).json()["padding"]) == ANSWER_MAX_BYTES
        again = await _sell(client)
        assert (again.json()["resource"], till.done) == ("/v1/sales/1", 1)

    _run(tmp_path, scenario)


def test_a_body_in_pieces_is_told_from_another(tmp_path):
    """However it is cut; one that is larger than the gate's limit takes no key."""

    async def pieces(*chunks):
        for chunk in chunks:
            yield chunk

    async def scenario(api, till, client):
        assert (await _sell(client, content=pieces(b"abc", b"", b"def"))).json()["bytes"] == 6
        assert REPLAYED in (await _sell(client, content=pieces(b"a", b"bcdef"))).headers
        await _sell(client, 422, content=pieces(b"abc", b"deg"))
        assert till.done == 1
        large = {"Idempotency-Key": "large"}
        await api.ask("POST", "/releases", 413, content=pieces(bytes(BUNDLE_MAX_BYTES), b"1"), headers=large)
        content = make_release(api.fleet.keys)
        await api.ask("POST", "/releases", 201, content=pieces(content[:9], content[9:]), headers=large)

    _run(tmp_path, scenario)


def test_a_key_that_is_at_work_is_refused_to_another_request(tmp_path):
    """And who comes too late with an answer doesn't give it to the one that has the key now."""

    async def scenario(api, till, client):
        till.is_free.clear()
        slow = asyncio.create_task(_sell(client, content=b"1"))
        await till.is_asked.wait()
        await _sell(client, 422, content=b"2")
        api.clock.now_s += 60
        till.is_asked.clear()
        other = asyncio.create_task(_sell(client, content=b"2"))
        await till.is_asked.wait()
        till.is_free.set()
        await slow
        assert (await _sell(client, content=b"2")).json() == (await other).json()
        await _sell(client, 422, content=b"1")

    _run(tmp_path, scenario)


async def _forget(store):
    """Do what the server does that dies between action and answer, a minute later."""
    async with store.writing() as transaction:
        await transaction._connection.execute(delete(tables.answers))


async def _candidate(api, name):
    """Let a device wait to be claimed; return its claim."""
    device = FakeFleetDevice(name=name)
    values = {"vendor": VENDOR, "class_id": CLASS, "first_seen_s": 1, "last_seen_s": 1}
    async with api.service.store.writing() as transaction:
        await transaction.candidates.note([Candidate(device=name, **values)], 1)
    return {"device": name, "code": claim_code.write(name, device.keys.key.x, device.keys.key.y)}


def test_every_post_of_ours_may_run_twice(tmp_path):
    """As it does when the server dies between action and answer: the second time changes nothing."""

    async def scenario(api):
        digest = await api.prepare()
        rollout = {"release": digest, "groups": ["canary"]}
        requests = {
            ("/enrolments", "enroll_device"): {"json": BENCH.enrolment_file()},
            ("/claims", "claim_device"): {"json": await _candidate(api, "bench-2")},
            ("/releases", "import_release"): {"content": make_release(api.fleet.keys, sequence=9)},
            ("/anchors", "import_anchor"): {"content": make_anchor(api.fleet.keys, version=2)},
            ("/rollouts", "create_rollout"): {"json": rollout},
            ("/rollouts/1/commands", "command_rollout"): {"json": {"command": "pause"}},
        }
        for (path, _), request in requests.items():
            first = await api.client.post(f"/v1{path}", headers=KEY, **request)
            assert first.is_success, first.text
            await _forget(api.service.store)
            again = await api.client.post(f"/v1{path}", headers=KEY, **request)
            assert REPLAYED not in again.headers
            assert (again.status_code, again.json()) == (first.status_code, first.json())
            await _forget(api.service.store)
        description = (await api.client.get("/openapi.json")).json()["paths"]
        posts = {methods["post"]["operationId"] for methods in description.values() if "post" in methods}
        assert posts == {name for _, name in requests}

    run_api(tmp_path, scenario)
