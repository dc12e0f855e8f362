"""Events as pages and as a stream: in order, each once, and resumed by id, whatever became of the server meanwhile."""

import asyncio
import json
from contextlib import aclosing

import httpx2
import pytest
from api_bench import open_api, run_api
from api_process import ApiProcess
from sqlalchemy import delete

from pawl_server.api.event_stream import BATCH_EVENTS, EventStream
from pawl_server.domain.rollout import RolloutState
from pawl_server.events import DeviceLate, RolloutChanged
from pawl_server.store import Store, tables

WAIT_S = 20


async def _tell(store, *events):
    async with store.writing() as transaction:
        transaction.tell(*events)


def _late(*numbers):
    return [DeviceLate(device=f"bench-{number}") for number in numbers]


async def _prune(store, before):
    async with store.writing() as transaction:
        await transaction._connection.execute(delete(tables.events).where(tables.events.c.id < before))


def _parsed(text):
    """Return the id, kind and data of an event; a sign of life has an id only."""
    fields = dict(line.split(": ", 1) for line in text.splitlines() if line and line[0] != ":")
    return int(fields["id"]), fields.get("event"), json.loads(fields.get("data", "null"))


class _Reader:
    """Takes what a stream yields, with a limit on its patience."""

    def __init__(self, store, begin, **fields):
        self.stopping = asyncio.Event()
        self._texts = begin(EventStream(store, self.stopping, **{"rollout": None, **fields}))

    async def take(self, count):
        """Return the next so many."""
        async with asyncio.timeout(WAIT_S):
            return [_parsed(await anext(self._texts)) for _ in range(count)]

    async def rest(self):
        """Return what comes until it ends."""
        async with asyncio.timeout(WAIT_S), aclosing(self._texts):
            return [_parsed(text) async for text in self._texts]


def test_events_are_listed_in_pages(tmp_path):
    """The oldest first; a rollout's own are those that name it."""

    async def scenario(api):
        await _tell(api.service.store, *_late(*range(5)))
        first = await api.ask("GET", "/events?limit=3")
        rest = await api.ask("GET", f"/events?limit=3&after={first['next']}")
        assert [one["id"] for one in first["events"] + rest["events"]] == [1, 2, 3, 4, 5]
        assert rest["next"] is None
        assert first["events"][1] | {"at_s": 0} == {
            "id": 2,
            "at_s": 0,
            "kind": "device-late",
            "device": "bench-1",
            "rollout": None,
            "content": {"device": "bench-1"},
        }
        assert (await api.ask("GET", "/events?after=1", 422))["field"] == "after"
        await api.ask("GET", "/events?rollout=ghost", 404)

    run_api(tmp_path, scenario)


@pytest.mark.parametrize(
    ("query", "headers", "field"),
    [
        ("?after=-1", {}, "after"),
        (f"?after={2**63}", {}, "after"),
        ("", {"Last-Event-ID": "x"}, "Last-Event-ID"),
        ("", {"Last-Event-ID": "9" * 19}, "Last-Event-ID"),
        ("", {"Last-Event-ID": "9" * 5000}, "Last-Event-ID"),
        ("", {"Last-Event-ID": "\u0663".encode()}, "Last-Event-ID"),
    ],
)
def test_what_is_no_place_in_the_stream_is_refused(tmp_path, query, headers, field):
    """By the name of what says it."""

    async def scenario(api):
        refused = await api.ask("GET", f"/events/stream{query}", 422, headers=headers)
        assert refused["field"] == field

    run_api(tmp_path, scenario)


def test_a_stream_goes_on_with_what_happens(tmp_path):
    """From now on: first its place, then each event once; it ends when the server stops."""

    async def scenario(api):
        store = api.service.store
        await _tell(store, *_late(1, 2))
        reader = _Reader(store, EventStream.from_now)
        assert await reader.take(1) == [(2, None, None)]
        await _tell(store, *_late(3))
        await _tell(store, *_late(4, 5))
        seen = await reader.take(3)
        assert [(number, kind, data["device"]) for number, kind, data in seen] == [
            (3, "device-late", "bench-3"),
            (4, "device-late", "bench-4"),
            (5, "device-late", "bench-5"),
        ]
        reader.stopping.set()
        assert await reader.rest() == []

    run_api(tmp_path, scenario)


def test_a_stream_begins_behind_any_event(tmp_path):
    """Also many batches back."""

    async def scenario(api):
        store, count = api.service.store, 2 * BATCH_EVENTS + 7
        await _tell(store, *_late(*range(count)))
        for number in (0, 1, BATCH_EVENTS, count - 1, count):
            reader = _Reader(store, lambda stream, number=number: stream.from_after(number))
            seen = await reader.take(count - number)
            assert [one[0] for one in seen] == list(range(number + 1, count + 1))

    run_api(tmp_path, scenario)


def test_a_stream_of_one_rollout_has_no_others(tmp_path):
    """And its place moves on with those that it leaves out."""

    async def scenario(api):
        store = api.service.store
        change = {"name": "spring", "state": RolloutState.RUNNING, "reason": ""}
        await _tell(
            store, RolloutChanged(rollout=1, **change), *_late(1), RolloutChanged(rollout=2, **change)
        )
        reader = _Reader(store, lambda stream: stream.from_after(0), rollout=2)
        assert [one[:2] for one in await reader.take(1)] == [(3, "rollout-changed")]
        reader = _Reader(store, EventStream.from_now, rollout=2)
        assert await reader.take(1) == [(3, None, None)]

    run_api(tmp_path, scenario)


@pytest.mark.parametrize("rollout", [None, 7])
def test_a_gap_is_told(tmp_path, rollout):
    """Of what was pruned before it was read, and of a database that is older than its reader."""

    async def scenario(api):
        store = api.service.store
        await _tell(store, *_late(*range(5)))

        async def first_of(number):
            (first,) = await _Reader(store, lambda stream: stream.from_after(number), rollout=rollout).take(1)
            return first

        assert (await first_of(6))[:2] == (5, "gap")
        await _prune(store, 4)
        for number in (0, 1, 2):
            identity, kind, data = await first_of(number)
            assert (identity, kind, data["first"]) == (3, "gap", 4)
        await _tell(store, RolloutChanged(rollout=7, name="x", state=RolloutState.RUNNING, reason=""))
        for number in (3, 4, 5):
            assert (await first_of(number))[1] != "gap"
        await _prune(store, 99)
        assert (await first_of(5))[:2] == (6, "gap")

    run_api(tmp_path, scenario)


def test_no_gap_is_told_where_nothing_was(tmp_path):
    """A new server's stream from the beginning just waits."""

    async def scenario(api):
        reader = _Reader(api.service.store, lambda stream: stream.from_after(0))
        taking = asyncio.create_task(reader.take(1))
        await asyncio.sleep(0.1)
        await _tell(api.service.store, *_late(1))
        assert (await taking)[0][:2] == (1, "device-late")

    run_api(tmp_path, scenario)


async def _read(client, last, seen, enough):
    """Read over HTTP from behind the last event, until there are enough or the connection breaks."""
    async with client.stream("GET", "/v1/events/stream", headers={"Last-Event-ID": str(last)}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = []
        async for line in response.aiter_lines():
            if line:
                lines.append(line)
                continue
            event, lines = _parsed("\n".join(lines)), []
            if event[1] is not None:
                seen.append(event)
            if len(seen) >= enough:
                return


async def _read_all(client, seen, enough):
    """Read, and connect again whenever it breaks, as clients do."""
    while len(seen) < enough:
        try:
            await _read(client, seen[-1][0] if seen else 0, seen, enough)
        except httpx2.HTTPError:
            await asyncio.sleep(0.05)


def test_nothing_is_lost_and_nothing_comes_twice_when_the_server_is_killed(tmp_path):
    """Events go on while it is dead; its readers go on by the id that they saw last."""
    count, kills = 400, 2

    async def scenario():
        async with open_api(tmp_path) as api:
            token = api.client.headers["Authorization"]
        process = ApiProcess(tmp_path)
        store = Store(tmp_path / "server" / "pawl.sqlite")
        await store.open()

        async def write():
            for number in range(count):
                await _tell(store, *_late(number))
                await asyncio.sleep(0.01)

        async def kill():
            for _ in range(kills):
                await asyncio.sleep(0.7)
                await asyncio.to_thread(process.kill)
                await asyncio.sleep(0.2)
                await asyncio.to_thread(process.start)

        seen = []
        with process:
            async with (
                httpx2.AsyncClient(
                    base_url=process.address, headers={"Authorization": token}, timeout=5, trust_env=False
                ) as client,
                asyncio.timeout(60),
                asyncio.TaskGroup() as tasks,
            ):
                for work in (write(), kill(), _read_all(client, seen, count)):
                    tasks.create_task(work)
        await store.close()
        assert [(number, data["device"]) for number, _, data in seen] == [
            (number + 1, f"bench-{number}") for number in range(count)
        ]

    asyncio.run(scenario())
