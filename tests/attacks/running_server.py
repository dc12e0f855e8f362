"""The server as it runs, for attacks on it: mosquitto, TLS, SQLite and HTTP are real; only its clock is in the test's hand.

with running(folder) as site:
canaries = site.join("canary", 4)
site.ask("POST", "/rollouts", 201, json={...})
site.settle()
"""

import asyncio
import base64
import socket
import sqlite3
import threading
import time
from contextlib import contextmanager

import httpx2
import uvicorn
from api_bench import Clock
from broker_bench import make_bench
from fleet_bench import NOW_S, FakeFleetDevice, make_fleet
from fleet_of_clients import Client
from release_factory import make_release
from service_bench import server_settings

from pawl.compat import sha256
from pawl.index import b64u
from pawl_server import access
from pawl_server.api import create_app
from pawl_server.domain.fleet import Device
from pawl_server.service import FleetServer

WAIT_S = 30
POLL_S = 0.02


def image_of(sequence):
    """Return the image of a release."""
    return b"image %d" % sequence * 50


class Site:
    """A broker, a server and its HTTP interface; `clients` are the devices that were let in."""

    def __init__(self, folder, **limits):
        self.bench, self.fleet = make_bench(folder), make_fleet(folder)
        self.clock = Clock()
        self.clients = []
        self._stopping = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.broker = self.bench.broker()
        self.broker.start()
        settings = server_settings(self.bench, self.fleet, **limits)
        self.server = FleetServer(settings, self.clock)
        self._http = self.do(self._start())

    async def _start(self):
        await self.server.start()
        listener = socket.create_server(("127.0.0.1", 0))
        application = create_app(self.server, self._stopping, self.clock)
        config = uvicorn.Config(application, log_level="warning", lifespan="off", server_header=False)
        self._uvicorn = uvicorn.Server(config)
        self._serving = asyncio.create_task(self._uvicorn.serve(sockets=[listener]))
        token = await access.new_token(self.server.store, "test", NOW_S)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        return httpx2.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=WAIT_S)

    def close(self):
        """End everything."""
        self._http.close()
        self.disconnect()
        self.do(self._stop())
        self.broker.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_S)
        self._loop.close()

    async def _stop(self):
        self._stopping.set()
        self._uvicorn.should_exit = True
        await self._serving
        await self.server.stop()

    def do(self, coroutine):
        """Run a coroutine where the server runs; return its result."""
        return self.begin(coroutine).result(2 * WAIT_S)

    def begin(self, coroutine):
        """Begin a coroutine where the server runs; return what waits for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def together(self, coroutines):
        """Run coroutines at once; return their results."""

        async def all_of_them():
            return await asyncio.gather(*coroutines)

        return self.do(all_of_them())

    # --- operators

    def ask(self, method, path, status=200, **request):
        """Return the answer of the HTTP interface, which must have this status."""
        response = self._http.request(method, path, **request)
        assert response.status_code == status, (path, response.text)
        return response.json() if response.content else None

    def release(self, sequence, **statement):
        """Import a release through the HTTP interface; return its manifest digest."""
        statement = {"image": image_of(sequence), "version": (sequence,), **statement}
        raw = make_release(self.fleet.keys, sequence=sequence, **statement)
        imported = self.ask("POST", "/releases", 201, content=raw)
        return base64.urlsafe_b64decode(imported["digest"] + "=")

    def recovery(self, sequence, bad):
        """Import a recovery from the image of the release with the number `bad`; return its manifest digest."""
        image = image_of(bad)
        return self.release(sequence, image=b"as before" * 50, recovers=((sha256(image), len(image)),))

    def roll_out(self, name, release, groups, **plan):
        """Create a rollout."""
        plan = {key: b64u(value) if key == "recovery" else value for key, value in plan.items()}
        body = {"name": name, "release": b64u(release), "groups": groups, **plan}
        return self.ask("POST", "/rollouts", 201, json=body)

    def command(self, name, command):
        """Tell a rollout what to do."""
        self.ask("POST", f"/rollouts/{name}/commands", json={"command": command})

    def rollout(self, name):
        """Return a rollout."""
        return self.ask("GET", f"/rollouts/{name}")

    def counts(self, name):
        """Return how many devices of each phase are how far, without those that are none."""
        return [{k: v for k, v in phase["devices"].items() if v} for phase in self.rollout(name)["phases"]]

    def refusals(self, device):
        """Return {(where, reason): count} as operators see it."""
        shown = self.ask("GET", f"/devices/{device}")["refusals"]
        return {(one["where"], one["reason"]): one["count"] for one in shown}

    def attention(self, device):
        """Return why people have to look at a device."""
        page = self.ask("GET", "/attention?limit=1000")
        notes = [note for one in page["devices"] if one["device"] == device for note in one["attention"]]
        return {note["cause"]: note["reason"] for note in notes}

    # --- devices

    def enroll(self, devices):
        """Let devices in, all in one transaction."""

        async def write():
            async with self.server.store.writing() as transaction:
                for device in devices:
                    await transaction.enroll(Device(enrolment=device.enrolment))

        self.do(write())

    def join(self, group, count, answers=None):
        """Return so many devices that are enrolled, connected and have said hello, in a group of their own."""
        devices = [FakeFleetDevice(name=f"{group}-{number}") for number in range(count)]
        self.enroll(devices)
        self.ask("PUT", f"/groups/{group}", json={"devices": [one.name for one in devices]})
        return self.connect(devices, answers)

    def connect(self, devices, answers=None):
        """Return clients that have said hello."""
        for device in devices:
            if not (self.bench.folder / f"{device.name}.crt").exists():
                self.bench.device(device.name)
        clients = [self.client(device, answers) for device in devices]
        self.together(client.connect() for client in clients)
        self.together(client.hello() for client in clients)
        return clients

    def client(self, device, answers=None):
        """Return a client that isn't connected."""
        client = Client(self.bench, self.fleet.anchor, device, dict(answers or {}))
        self.clients.append(client)
        return client

    def disconnect(self):
        """End all sessions of clients."""
        self.together(client.close() for client in self.clients)
        self.clients.clear()

    # --- the end of what was begun

    def until(self, fact, what=""):
        """Wait until something is so, and return it."""
        deadline = time.monotonic() + WAIT_S
        while not (found := fact()):
            assert time.monotonic() < deadline, what or fact
            time.sleep(POLL_S)
        return found

    def settle(self, clients, seconds=0):
        """Let time pass, and return when the server has done all that follows and the clients have answered all of it."""
        self.clock.now_s += seconds
        before = None
        while before != (before := [len(client.offers) for client in clients]) or seconds is not None:
            seconds = None
            self.together(client.done() for client in clients)
            self.until(lambda: self.do(self._has_heard(clients)), "reports that aren't taken")
            self.do(self.server._reconciler.reconcile())
            self.until(lambda: self.do(self._has_sent()), "offers that aren't sent")
            self.together(client.subscribe(client.device.offer_topic) for client in clients)
            self.together(client.done() for client in clients)

    async def _has_heard(self, clients):
        async with self.server.store.reading() as transaction:
            found = await transaction.devices([client.name for client in clients])
        last = {name: device.last_report for name, device in found.items()}
        return all(
            client.number == 0 or ((one := last[client.name]) and (one.boots, one.number) >= client.sent)
            for client in clients
        )

    async def _has_sent(self):
        async with self.server.store.reading() as transaction:
            return not await transaction.unsent()

    # --- a thief on the server's machine

    def sql(self, statement, *values):
        """Do something to the database that no program of ours does."""
        with sqlite3.connect(self.server.settings.database, timeout=WAIT_S) as database:
            found = database.execute(statement, values).fetchall()
        database.close()
        return found


@contextmanager
def running(folder, **limits):
    """Run a server; `limits` are of its settings."""
    site = Site(folder, **limits)
    try:
        yield site
    finally:
        site.close()
