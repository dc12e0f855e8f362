"""A device that only talks MQTT: run by MicroPython for test_device_mqtt.py, one scenario a process.

Arguments: scenario, port, server name, folder with `device.crt.der`, `device.key.der` and `ca*.der`; and `line` if a serial
line's other end is at that port, and not a broker, or the time floor that the dates of certificates are judged by.
"""

# MicroPython runs this: no pathlib; its output is what the test reads.
# ruff: noqa: PTH123, PTH208, T201, UP031
import asyncio
import os
import select
import socket
import sys
import time

from pawl import line
from pawl.errors import TransportError
from pawl.mqtt import Client
from pawl.ports import dates, tcp, tls
from pawl.ports.firmware import net as serial

WINDOW = 8
BLOCKS = 48
BLOCK_BYTES = 4096
_IPPROTO_TCP = 6  # MicroPython has no names for these
_TCP_NODELAY = 1


def _read(path):
    with open(path, "rb") as file:
        return file.read()


def _block(number):
    return "pawl/b/i/0/%d" % number


class SocketLine:
    """A socket that stands for a board's line: what `_board.Line` is."""

    def __init__(self, port):
        self._socket = socket.socket()
        self._socket.connect(socket.getaddrinfo("127.0.0.1", port)[0][-1])
        self._socket.setsockopt(_IPPROTO_TCP, _TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self.readinto = self._socket.readinto
        self.write = self._socket.write

    def any(self):
        """Return whether something waits."""
        return len(self._poll.poll(0))


class SerialPort:
    """What a Wire asks of its port."""

    random = staticmethod(os.urandom)
    ticks_ms = staticmethod(time.ticks_ms)
    ticks_diff = staticmethod(time.ticks_diff)


def _opening(way, context, port, name):
    if way == "line":
        return serial.open_stream(serial.Wire(SocketLine(port), SerialPort()), context, line.BROKER, name)
    return tcp.dial(context, "127.0.0.1", port, name)


class Device:
    """One connection, and what came over it."""

    def __init__(self):
        self.blocks = {}
        self.largest = 0
        self.arrived = asyncio.Event()

    async def on_message(self, topic, payload, retained):
        """Note a block: all of its bytes are its number."""
        self.largest = max(self.largest, len(payload))
        if payload[0] == payload[-1] and retained:
            self.blocks[topic] = payload[0]
        self.arrived.set()

    async def open(self, port, name, folder, way):
        """Connect with what the folder holds, and start the reader."""
        cas = [_read(folder + "/" + file) for file in sorted(os.listdir(folder)) if file.startswith("ca")]
        certificate, key = _read(folder + "/device.crt.der"), _read(folder + "/device.key.der")
        context = tls.context(cas, certificate, key)
        if way.isdigit():
            context.verify_callback = dates.verifier(int(way))
        self.stream = await tls.connect(_opening(way, context, port, name), 10)
        self.client = Client(self.stream, "anything", 30, bytearray(8192), self.on_message, time.ticks_ms)
        await self.client.connect()
        self.reader = asyncio.create_task(self.client.run())

    async def fetch(self):
        """Fetch retained blocks, at most WINDOW subscriptions open at a time."""
        wanted = [_block(number) for number in range(BLOCKS)]
        for start in range(0, BLOCKS, WINDOW):
            window = wanted[start : start + WINDOW]
            await self.client.subscribe(window, 0)
            while not all(topic in self.blocks for topic in window):
                self.arrived.clear()
                await asyncio.wait_for(self.arrived.wait(), 10)
            await self.client.send_unsubscribe(window)

    async def refused(self, topics):
        """Return the reason code with which a subscription is refused, or 0."""
        try:
            await self.client.subscribe(topics, 1)
        except TransportError as error:
            return error.code
        return 0


async def _download(device):
    began = time.ticks_ms()
    await device.client.publish("pawl/d/7/bench-1/up/hello", b"hello")
    await device.fetch()
    await device.client.publish("pawl/d/7/bench-2/up/hello", b"not ours")
    await device.client.publish("pawl/d/7/bench-1/up/report", bytes(4096))
    print(
        "blocks", len(device.blocks), "largest", device.largest, "ms", time.ticks_diff(time.ticks_ms(), began)
    )


async def _denied(device):
    print("refused", await device.refused(["pawl/d/7/bench-2/offer"]))
    await asyncio.sleep(1)
    print("received", device.largest)


async def _oversized(device):
    await device.client.subscribe(["pawl/b/i/0/9000", _block(0)], 1)
    while not device.blocks:
        await asyncio.wait_for(device.arrived.wait(), 10)
    await device.client.publish("pawl/d/7/bench-1/up/hello", b"alive")
    print("oversized", device.client.oversized, "blocks", len(device.blocks))


async def _until_lost(device):
    print("connected")
    await device.reader


SCENARIOS = {"download": _download, "denied": _denied, "oversized": _oversized, "until_lost": _until_lost}


async def _main(scenario, port, name, folder, way="socket"):
    device = Device()
    try:
        await device.open(int(port), name, folder, way)
        await SCENARIOS[scenario](device)
        await device.client.disconnect()
    except TransportError as error:
        print("error", error.code, error.detail)


asyncio.run(_main(*sys.argv[1:]))
