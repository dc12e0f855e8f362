"""The HTTP interface over the real service and store, without broker and sockets, and a client that has a token."""

import asyncio
from contextlib import asynccontextmanager

import httpx2
from fleet_bench import NOW_S, FakeFleetDevice, make_fleet
from release_factory import make_release

from pawl_server import access
from pawl_server.api import create_app
from pawl_server.service import FleetServer
from pawl_server.settings import ServerSettings
from pawl_tools.pki import create_authority

BENCH = FakeFleetDevice(name="bench-1")
BUNDLE_MAX_BYTES = 100_000


class Clock:
    """Says what it is told to; a test moves it."""

    def __init__(self, now_s=NOW_S):
        self.now_s = now_s

    def __call__(self):
        """Return the time."""
        return self.now_s


class Api:
    """A client with a token, and what is behind the interface."""

    def __init__(self, fleet, service, client, clock):
        self.fleet = fleet
        self.service = service
        self.client = client
        self.clock = clock

    async def send(self, method, path, status=200, **request):
        """Return the response, which must have this status."""
        response = await self.client.request(method, f"/v1{path}", **request)
        assert response.status_code == status, response.text
        if status >= 400:
            assert response.headers["content-type"] == "application/problem+json"
            assert {"title", "status", "detail", "next"} <= set(response.json())
        return response

    async def ask(self, method, path, status=200, **request):
        """Return the answer, which must have this status."""
        response = await self.send(method, path, status, **request)
        return response.json() if response.content else None

    async def prepare(self):
        """Enroll a device, import a release, make a group; return the release's digest as text."""
        await self.ask("POST", "/enrolments", 201, json=BENCH.enrolment_file())
        imported = await self.ask("POST", "/releases", 201, content=make_release(self.fleet.keys))
        await self.ask("PUT", "/groups/canary", json={"devices": ["bench-1"]})
        return imported["digest"]


def write_tls_files(folder):
    """Write what the link, which these tests don't start, wants to see."""
    authority = create_authority("test")
    (folder / "ca.pem").write_bytes(authority.certificate_pem())
    (folder / "crt.pem").write_bytes(authority.certificate_pem())
    (folder / "key.pem").write_bytes(authority.key_pem())


def settings_in(folder):
    """Return what a server without a broker goes by; its files are there already."""
    return ServerSettings(
        folder=folder / "server",
        broker_host="127.0.0.1",
        broker_port=1,
        tls_authority=folder / "ca.pem",
        tls_certificate=folder / "crt.pem",
        tls_key=folder / "key.pem",
        director_key=folder / "director.pem",
        anchor=folder / "anchor",
        bundle_max_bytes=BUNDLE_MAX_BYTES,
    )


@asynccontextmanager
async def open_api(folder):
    """Open a fleet in a folder, its service and the interface to it."""
    fleet, clock = make_fleet(folder), Clock()
    write_tls_files(folder)
    service = FleetServer(settings_in(folder), clock)
    await service.open()
    try:
        token = await access.new_token(service.store, "test", NOW_S)
        app = create_app(service, asyncio.Event(), clock)
        async with client_of(app, token) as client:
            yield Api(fleet, service, client, clock)
    finally:
        await service.store.close()


def client_of(app, token):
    """Return a client of an application that never sees a socket."""
    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app, raise_app_exceptions=False),
        base_url="http://pawl.test",
        headers={"Authorization": f"Bearer {token}"},
    )


def run_api(folder, scenario):
    """Run a coroutine function with an open interface."""

    async def main():
        async with open_api(folder) as api:
            await scenario(api)

    asyncio.run(main())
