"""Everybody at once, again and again, or about what isn't there, on a server that runs: T45."""

import asyncio

import pytest
from fleet_bench import FakeFleetDevice
from running_server import running

from pawl import codes
from pawl.index import b64u
from pawl_server.domain.pacing import PACE_S
from pawl_server.mqtt.inbox import Inbox, Message, Received
from pawl_server.rates import HELLO_BURST

FLEET = 200
OFFERS_PER_S = 4
A_PACE = OFFERS_PER_S * PACE_S
DAY_S = 86400
CAPACITY = 125  # so many messages the broker sends one session without an acknowledgement
REQUESTS = 10
TRIES = 3


@pytest.fixture(scope="module")
def slow_site(tmp_path_factory):
    """A server that asks so few devices a second."""
    with running(tmp_path_factory.mktemp("storm"), offers_per_s=OFFERS_PER_S) as found:
        yield found


class Storm:
    """Devices that say hello as fast as they can, until they are told to stop."""

    def __init__(self, clients):
        self.clients = clients
        self.said = 0
        self.is_over = False

    async def rage(self):
        """Say hello without ever waiting for an answer; every other one isn't even acknowledged by the broker."""
        while not self.is_over:
            for client in self.clients:
                hello = client.device.hello(self.said.to_bytes(16), boots=client.boots)
                await client.publish("hello", hello, qos=self.said % 2)
                self.said += 1


def test_t45_a_fleet_that_comes_at_once_and_again(attack, slow_site):
    """200 say hello at once, reconnect and say it again, three rage: asked at the server's pace, and the API answers."""
    site = slow_site
    row = attack("T45", f"{FLEET} devices at once and again, 3 of them in a hot loop")
    release = site.release(2)
    fleet = [FakeFleetDevice(name=f"herd-{number}") for number in range(FLEET)]
    site.enroll(fleet)
    site.ask("PUT", "/groups/herd", json={"devices": [device.name for device in fleet]})
    clients = site.connect(fleet)
    raging, calm = clients[:3], clients[3:]
    site.roll_out("herd", release, ["herd"], phases=[{"kind": "percent", "size": 100}])
    storm = Storm(raging)
    raged = site.begin(storm.rage())
    again = site.begin(_come_again(calm))
    answers = 0
    while storm.said < 9 * HELLO_BURST or not again.done() or answers < REQUESTS:
        answers += site.ask("GET", "/health")["ok"]
        assert len(site.ask("GET", "/devices?limit=20")["devices"]) == 20
    storm.is_over = True
    raged.result(30)
    again.result(30)
    site.settle(calm)
    refused = [sum(site.refusals(client.name).values()) for client in raging]
    for client in raging:
        row.refused(*{reason for _, reason in site.refusals(client.name)}, "rate")
    assert min(refused) > 0
    assert [client.name for client in calm if site.sql(REFUSED, client.name)] == []
    first = asked(clients)
    assert len(first) == A_PACE == sum(site.counts("herd")[0].values()) - waiting_of(site)
    site.clock.now_s += PACE_S
    site.settle(calm)
    delays = {offer.delay_s or 0 for client in clients for offer in client.installs(release)}
    assert len(delays) > PACE_S // 2
    assert max(delays) <= PACE_S
    row.kept(len(asked(clients)), 2 * A_PACE, f"{A_PACE} asked in {PACE_S} s, delays spread, API answered")
    site.command("herd", "cancel")
    site.disconnect()


def test_t45_a_flood_while_nothing_is_taken(attack):
    """The database hangs, and one device sends what nobody has to acknowledge: it is bounded, and takes nobody's room."""
    row = attack("T45", f"{20 * CAPACITY} messages of QoS 0 while the database hangs, before those of others")

    async def main():
        taken, going, is_done = [], asyncio.Event(), asyncio.Event()

        async def handler(messages):
            await going.wait()
            taken.extend(message.payload for message in messages)
            if len(taken) == 2 * CAPACITY:
                is_done.set()

        inbox = Inbox(handler, lambda _received: None, capacity=CAPACITY)
        work = asyncio.create_task(inbox.run())
        for count, number in [(20 * CAPACITY, 0), *[(1, number) for number in range(1, CAPACITY + 1)]]:
            message = Message(topic="pawl/d/7/x/up/hello", payload=b"%d" % number, retained=False)
            for _ in range(count):
                inbox.put(Received(message=message, connection=0, number=number))
        going.set()
        await asyncio.wait_for(is_done.wait(), 10)
        inbox.close()
        await work
        return inbox.dropped, [int(payload) for payload in taken]

    dropped, taken = asyncio.run(main())
    row.failed(dropped, 19 * CAPACITY, "dropped, counted")
    row.kept(taken, [0] * CAPACITY + list(range(1, CAPACITY + 1)), "of the others none was dropped")


REFUSED = "SELECT count FROM refusals WHERE device = ?"


async def _come_again(clients):
    await asyncio.gather(*[client.connect() for client in clients])
    await asyncio.gather(*[client.hello() for client in clients])


def asked(clients):
    return {client.name for client in clients if client.installs()}


def waiting_of(site):
    return site.counts("herd")[0]["waiting"]


# Why a device may say that it has not installed: what passes by itself, and when it is asked then, after one look just
# before the shortest pause is over and one when the longest is.
PASSING = {
    codes.REASON_LINK_TIMEOUT: [0, 75, 225],
    codes.REASON_BLOCK_DIGEST: [0, 375, 1125],
    codes.REASON_OUT_OF_MEMORY: [0, 750, 2250],
}
LOOKS = (0, 59, 75, 194, 225, 299, 375, 599, 750, 974, 1125, 1949, 2250, DAY_S, 4 * DAY_S, 7 * DAY_S)


def offers_of_a_week(site, clients):
    """Let a week pass; return when each client was asked, in seconds."""
    moments = {client.name: [] for client in clients}
    began_s = site.clock.now_s
    for look_s in LOOKS:
        before = {client.name: len(client.installs()) for client in clients}
        site.settle(clients, began_s + look_s - site.clock.now_s)
        for client in clients:
            moments[client.name] += [look_s] * (len(client.installs()) - before[client.name])
    return moments


TERMINAL = (
    codes.REASON_CLASS,
    codes.REASON_UNAUTHORISED,
    codes.REASON_VERSION_LOW,
    codes.REASON_MALFORMED,
    codes.REASON_TRIALS,
    codes.REASON_QUARANTINE_FINAL,
)


def test_t45_a_release_that_can_never_be_taken(attack, slow_site):
    """Its blocks are gone, the link breaks, the heap is too small: asked thrice a week, with growing pauses, then no more."""
    site = slow_site
    reasons = [*PASSING, *TERMINAL]
    row = attack(
        "T45", f"retry storm: a release that fails on everybody, {len(reasons)} reasons, a virtual week"
    )
    release = site.release(12)
    clients = site.join("retry", len(reasons))
    for client, reason in zip(clients, reasons, strict=True):
        client.answers[release] = reason
    phases = [{"kind": "percent", "size": 100, "failure_count": len(reasons) + 1}]
    plan = {"phases": phases, "tries_max": TRIES, "silence_s": 30 * DAY_S}
    site.clock.now_s += 2 * PACE_S  # nobody was asked lately
    site.roll_out("retry", release, ["retry"], **plan)
    moments = offers_of_a_week(site, clients)
    assert [moments[client.name] for client in clients[: len(PASSING)]] == list(PASSING.values())
    asked_once = [len(moments[client.name]) for client in clients[len(PASSING) :]]
    row.failed(asked_once, [1] * len(TERMINAL), "terminal: once; passing: backoff, 3 times")
    assert site.counts("retry") == [{"failed": len(reasons)}]
    before = [len(client.offers) for client in clients]
    site.settle(clients, 30 * DAY_S)
    row.kept([len(client.offers) for client in clients], before, "no offer after the last try")
    site.command("retry", "cancel")


def test_t45_a_release_that_is_gone_on_the_server(attack, slow_site):
    """Its file was deleted: nobody is asked for what nobody can get, and it isn't read again at each pass."""
    site = slow_site
    row = attack("T45", "404 for ever: the file of a release is gone")
    release = site.release(22)
    clients = site.join("gone", 2)
    site.clock.now_s += 2 * PACE_S
    [file] = site.server.settings.releases.glob(b64u(release) + "*")
    content = file.read_bytes()
    body = {"name": "gone", "release": b64u(release), "groups": ["gone"]}
    site.ask("POST", "/rollouts", 201, json={**body, "needs_approval": True})
    file.unlink()
    site.command("gone", "approve")
    site.settle(clients)
    shown = site.rollout("gone")
    row.failed(
        (shown["state"], "its file is gone" in shown["reason"]), ("paused", True), "paused: its file is gone"
    )
    site.settle(clients, DAY_S)
    site.together(client.hello() for client in clients)
    row.kept([client.installs() for client in clients], [[], []], "yes (no offer)")
    site.ask("POST", "/releases", 201, content=content)
    site.command("gone", "resume")
    site.settle(clients)
    assert all(client.installs(release) for client in clients)
    site.command("gone", "cancel")
