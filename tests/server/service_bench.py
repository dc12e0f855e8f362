"""A fleet server, a real broker, and a device's connection to it, for tests that need all three."""

import asyncio
import queue
import ssl
from contextlib import asynccontextmanager

import paho.mqtt.client as paho
from fleet_bench import NOW_S, FakeFleetDevice
from paho.mqtt.enums import CallbackAPIVersion

from pawl_server.service import FleetServer
from pawl_server.settings import ServerSettings

WAIT_S = 10
BENCH = FakeFleetDevice(name="bench-1")


class DeviceLink:
    """A device's MQTT connection: 3.1.1, its own certificate."""

    def __init__(self, bench, name):
        bench.device(name)
        context = ssl.create_default_context(cafile=str(bench.folder / "device-ca.pem"))
        context.load_cert_chain(bench.folder / f"{name}.crt", bench.folder / f"{name}.key")
        self._messages = queue.Queue()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name)
        self._client.tls_set_context(context)
        self._client.on_message = lambda _c, _u, message: self._messages.put((message.topic, message.payload))
        self._client.connect("127.0.0.1", bench.settings.device_port)
        self._client.loop_start()

    def close(self):
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    async def publish(self, topic, payload, *, retain=False):
        """Return when the broker has it."""
        sent = self._client.publish(topic, payload, 1, retain)
        await asyncio.to_thread(sent.wait_for_publish, WAIT_S)

    def subscribe(self, topic):
        """Ask for a topic."""
        self._client.subscribe(topic, 1)

    async def next(self, timeout_s=WAIT_S):
        """Return the next (topic, payload); TimeoutError if none comes."""
        try:
            return await asyncio.to_thread(self._messages.get, timeout=timeout_s)
        except queue.Empty:
            raise TimeoutError from None

    async def fetch(self, topic):
        """Return the retained message of a topic."""
        self.subscribe(topic)
        got, payload = await self.next()
        assert got == topic
        return payload

    async def fetch_when_there(self, topic):
        """Return the retained message of a topic, which somebody is about to publish."""
        self.subscribe(topic)
        while (got := await self.next())[0] != topic:
            pass
        return got[1]


def server_settings(bench, fleet, **limits):
    """Return what a server over this broker and this fleet goes by."""
    link = bench.link_settings()
    fields = {
        "folder": fleet.folder / "server",
        "broker_host": link.host,
        "broker_port": link.port,
        "tls_authority": link.authority,
        "tls_certificate": link.certificate,
        "tls_key": link.key,
        "director_key": fleet.folder / "director.pem",
        "anchor": fleet.folder / "anchor",
    }
    return ServerSettings(**{**fields, **limits})


@asynccontextmanager
async def running(bench, fleet, *, clock=lambda: NOW_S, **limits):
    """Run a server that has enrolled bench-1."""
    server = FleetServer(server_settings(bench, fleet, **limits), clock)
    await server.start()
    try:
        await server.enroll(BENCH.enrolment)
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def connected(bench, name="bench-1"):
    """Connect a device."""
    link = DeviceLink(bench, name)
    try:
        yield link
    finally:
        link.close()


def run(scenario):
    """Run a coroutine function, for a minute at most."""
    asyncio.run(asyncio.wait_for(scenario(), 60))


async def until(events, wanted):
    """Return the events up to the first of the wanted class."""
    seen = []
    async with asyncio.timeout(WAIT_S):
        async for event in events:
            seen.append(event)
            if isinstance(event, wanted):
                return seen
    return seen
