"""The bridge between serial lines and a real mosquitto: what it carries, what it refuses, and what it survives."""

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from broker_bench import free_ports, make_bench
from line_device import Emulator, LineDevice, Pty, Tls, TlsError, device_context, until

from pawl import line
from pawl_server.mqtt.link import MqttLink
from pawl_tools.bridge import Bridge, BridgeThread, Limits, LineError, table

CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a"
CONNACK = b"\x20\x02\x00\x00"
PING, PONG = b"\xc0\x00", b"\xd0\x00"
BLOCK_TOPIC = b"pawl/b/i/0/0"
SUBSCRIBE = b"\x82\x11\x00\x01\x00\x0c" + BLOCK_TOPIC + b"\x00"
FAST = Limits(connects_per_minute=10_000)


@pytest.fixture
def bench(tmp_path):
    made = make_bench(tmp_path)
    made.device("bench-1")
    return made


@pytest.fixture(params=[Emulator, Pty])
def wire(request):
    made = request.param()
    yield made
    made.close()


@pytest.fixture
def emulator():
    made = Emulator()
    yield made
    made.close()


@pytest.fixture
def server():
    made = PlainServer()
    yield made
    made.close()


class PlainServer:
    """A TCP server that keeps what it gets and sends what it is told; its port + 1 is nobody's."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.address = self._listener.getsockname()
        self.connections = []
        self.got = bytearray()
        self.is_reading = threading.Event()
        self.is_reading.set()
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def _serve(self):
        while True:
            try:
                connected, _ = self._listener.accept()
            except OSError:
                return
            self.connections.append(connected)
            self._threads.append(threading.Thread(target=self._read, args=(connected,), daemon=True))
            self._threads[-1].start()

    def _read(self, connected):
        try:
            while self.is_reading.wait(60) and (data := connected.recv(65536)):
                self.got += data
        except OSError:
            pass

    def close(self):
        self.is_reading.set()
        for one in (self._listener, *self.connections):
            with contextlib.suppress(OSError):  # the other side was faster
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for one in (self._listener, *self.connections):
            one.close()


def bridged(wire, address, **more):
    """Return a bridge for one wire that wasn't started."""
    return BridgeThread([wire.name], tuple(address), **{"limits": FAST, **more})


def to_broker(wire, bench, **more):
    return bridged(wire, ("127.0.0.1", bench.settings.device_port), **more)


def mqtt(device, bench):
    """Return TLS with MQTT connected over a new connection of the device."""
    assert device.open(), line.REASON_NAMES[device.closed]
    tls = Tls(device, device_context(bench.folder, "bench-1"))
    assert tls.exchange(CONNECT, 4) == CONNACK
    return tls


async def _retain(bench, block):
    link = MqttLink(bench.link_settings("worker"), None)
    await link.start()
    await link.publish(BLOCK_TOPIC.decode(), block, retain=True)
    await link.stop()


def test_a_device_talks_mqtt_over_tls_with_its_certificate(wire, bench):
    """Handshake, CONNECT, and 60 KB of a retained message, through frames of 4 KB of credit; the counts tell it all."""
    block = random.Random(1).randbytes(60_000)
    with bench.broker(), to_broker(wire, bench) as bridge:
        asyncio.run(_retain(bench, block))
        device = LineDevice(wire)
        tls = mqtt(device, bench)
        assert tls.exchange(SUBSCRIBE, 5) == b"\x90\x03\x00\x01\x00"
        head = 1 + 3 + 2 + len(BLOCK_TOPIC)
        assert tls.read(head + len(block))[head:] == block
        assert tls.exchange(PING, 2) == PONG
        counts = bridge.counts(wire.name)
    assert counts.down_bytes > len(block) and counts.up_bytes > 500
    assert (counts.connections, counts.lost, counts.noise_bytes, counts.reopened) == (1, 0, 0, 0)


def test_the_anchors_are_reached_under_their_own_target(emulator, bench):
    """A device without a certificate reaches the anchor relay, and by it nothing else."""
    anchors = ("127.0.0.1", bench.settings.anchors.port)
    with bench.broker(), to_broker(emulator, bench, anchors=anchors):
        device = LineDevice(emulator)
        assert device.open(line.ANCHORS)
        assert Tls(device, device_context(bench.folder)).exchange(CONNECT, 4) == CONNACK


def test_the_bridge_cannot_stand_in_for_the_broker(emulator, bench):
    """The device's TLS asks for the name of the broker it wants, wherever the bridge leads it."""
    with bench.broker(), to_broker(emulator, bench):
        device = LineDevice(emulator)
        assert device.open()
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            Tls(device, device_context(bench.folder, "bench-1"), "elsewhere.example")


def test_nothing_but_broker_and_anchors_can_be_reached(emulator, server):
    """Every other target, and an OPEN of another shape, is refused and counted; nothing is dialled."""
    with bridged(emulator, server.address) as bridge:
        device = LineDevice(emulator)
        for target in (0, 3, 4, 127, 255):
            assert not device.open(target)
            assert device.closed == line.REFUSED
        for payload in (b"", b"\x01", b"\x01\x10\x00\x7f\x00\x00\x01"):
            emulator.send(line.frame(line.OPEN, 77, 0, payload))
            until(lambda: device.poll() or device.answers, "CLOSE")
            assert device.answers.pop() == (77, line.REFUSED)
        counts = bridge.counts(emulator.name)
    assert (counts.refused, counts.connections, server.connections) == (8, 0, [])


def test_what_cannot_be_reached_is_said(emulator):
    """Nobody listens: CLOSE unreachable, and the next attempt is answered as well."""
    with bridged(emulator, ("127.0.0.1", free_ports(1)[0])) as bridge:
        device = LineDevice(emulator)
        for _ in range(3):
            assert not device.open()
            assert device.closed == line.UNREACHABLE
        assert bridge.counts(emulator.name).unreachable == 3


def test_the_server_closes(emulator, server):
    """What it sent before arrives, then CLOSE ended."""
    with bridged(emulator, server.address):
        device = LineDevice(emulator)
        assert device.open()
        connected = until(lambda: server.connections, "connection")[0]
        connected.sendall(b"z" * 10_000)
        connected.shutdown(socket.SHUT_WR)
        assert device.read(10_001) == b"z" * 10_000
        assert device.closed == line.ENDED


def test_the_device_closes(emulator, server):
    """What it sent before arrives, also if its CLOSE and its next OPEN follow at once."""
    with bridged(emulator, server.address) as bridge:
        device = LineDevice(emulator)
        for number in range(1, 4):
            assert device.open()
            device.write(b"q" * 5000)
            device.close()
            until(lambda: len(server.got) == 5000 * number, "bytes")  # noqa: B023
        assert bridge.counts(emulator.name).lost == 0


def test_the_broker_is_killed_and_comes_back(emulator, bench):
    """The connection ends with a reason, attempts are refused with another one, then it works again."""
    with to_broker(emulator, bench):
        device = LineDevice(emulator)
        with bench.broker() as broker:
            mqtt(device, bench)
            os.kill(broker.pid, 9)
            until(lambda: device.poll() or device.closed is not None, "CLOSE")
            assert device.closed == line.ENDED
            assert not device.open() and device.closed == line.UNREACHABLE
        with bench.broker():
            assert mqtt(device, bench).exchange(PING, 2) == PONG


class Noisy:
    """Damages what a device sends and receives, each by a chance."""

    def __init__(self, wire, seed):
        self.name = wire.name
        self.wire = wire
        self.chance = random.Random(seed)
        self.rate = 0.0

    def send(self, data):
        self.wire.send(self._damaged(data))

    def receive(self, timeout_s):
        return self._damaged(self.wire.receive(timeout_s))

    def _damaged(self, data):
        if not data or self.chance.random() > self.rate:
            return data
        at = self.chance.randrange(len(data))
        kind = self.chance.randrange(3)
        if kind == 0:
            return data[:at] + bytes((data[at] ^ (1 << self.chance.randrange(8)),)) + data[at + 1 :]
        if kind == 1:
            return data[:at] + data[at + 1 + self.chance.randrange(20) :]
        return data[:at] + self.chance.randbytes(1 + self.chance.randrange(20)) + data[at:]


def attempt(device, bench):
    """Return whether one session goes through; noise may end it anywhere, never change it."""
    try:
        device.send_open()
        deadline = time.monotonic() + 1
        while not device.end.credit and device.closed is None and time.monotonic() < deadline:
            device.poll()
            if device.frames.is_partial():
                device.frames.forget()
        if not device.end.credit or device.closed is not None:
            return False
        tls = Tls(device, device_context(bench.folder, "bench-1"))
        return tls.exchange(CONNECT, 4) == CONNACK and tls.exchange(PING, 2) == PONG
    except TlsError:
        return False


@pytest.mark.parametrize("seed", range(3))
def test_noise_ends_connections_and_never_changes_one(bench, seed, monkeypatch):
    """Bits flipped, bytes lost and put in, both ways: TLS never meets a wrong byte, and without noise it works at once."""
    monkeypatch.setattr("line_device.WAIT_S", 1)  # a frame that is lost last of all is missed by nobody
    wire = Emulator()
    noisy = Noisy(wire, seed)
    with bench.broker(), to_broker(wire, bench) as bridge:
        wire.attach()
        device = LineDevice(noisy)
        noisy.rate = 0.3
        results = [attempt(device, bench) for _ in range(5)]
        assert not all(results)
        noisy.rate = 0.0
        time.sleep(0.6)  # the silence after which half a frame is given up
        device.poll()
        device.frames.forget()
        assert attempt(device, bench)
        assert bridge.counts(wire.name).noise_bytes > 0
    wire.close()


def test_a_device_that_is_reset_in_a_frame_opens_again_at_once(wire, server):
    """Half a frame, then the OPEN of the next life: the connection before ends, and the OPEN isn't eaten."""
    with bridged(wire, server.address) as bridge:
        device = LineDevice(wire)
        for cut in (1, 5, 9, 400):
            assert device.open()
            half = bytes(device.end.data(bytes(1000)))[:cut]
            wire.send(half)
            assert device.open()
            device.write(b"alive")
            until(lambda: server.got.endswith(b"alive"), "bytes")
            server.got.clear()
        counts = bridge.counts(wire.name)
    assert counts.connections == 8 and counts.noise_bytes == 415
    assert len(server.connections) == 8


def test_a_frame_of_no_connection_is_answered(emulator, server):
    """CLOSE unknown for the one named, as after a restart of the bridge; a CLOSE is never answered."""
    with bridged(emulator, server.address):
        device = LineDevice(emulator)
        assert device.open()
        emulator.send(line.frame(line.CLOSE, 99, 0, b"\x00"))
        emulator.send(line.frame(line.DATA, 98, 5, b"x"))
        emulator.send(line.frame(line.CREDIT, 97, 5, b"\x00\x01"))
        until(lambda: device.poll() or len(device.answers) == 2, "answers")
        assert device.answers == [(98, line.UNKNOWN), (97, line.UNKNOWN)]
        device.write(b"still here")
        until(lambda: server.got == b"still here", "bytes")


def test_the_bridge_is_restarted_in_a_connection(wire, server):
    """The new one doesn't know the connection, says so, and opens the next one."""
    device = LineDevice(wire)
    with bridged(wire, server.address):
        assert device.open()
        device.write(b"one")
        until(lambda: server.got == b"one", "bytes")
    if isinstance(wire, Emulator):
        wire.restart()
    with bridged(wire, server.address):
        device.write(b"two")
        until(lambda: device.poll() or device.closed is not None, "CLOSE")
        assert device.closed == line.UNKNOWN
        assert device.open()
        device.write(b"three")
        until(lambda: server.got == b"onethree", "bytes")


def test_a_line_that_vanishes_is_opened_again(emulator, server):
    """The emulator is killed twice: each time the server sees the end, and the bridge comes back by itself."""
    with bridged(emulator, server.address) as bridge:
        for life in range(3):
            device = LineDevice(emulator)
            assert device.open()
            device.write(b"%d" % life)
            until(lambda: len(server.got) == life + 1, "bytes")  # noqa: B023
            assert bridge.counts(emulator.name).reopened == life
            emulator.restart()
    assert server.got == b"012"


def test_a_device_without_credit_gets_its_window_and_no_more(emulator, server):
    """The server pours, the device gives nothing back: a window comes, and the rest stays with the server."""
    with bridged(emulator, server.address):
        device = LineDevice(emulator)
        device.is_generous = False
        assert device.open(window=3000)
        connected = until(lambda: server.connections, "connection")[0]
        taken = pour(connected)
        until(lambda: device.poll() or device.held > 3000 - 12, "a window")
        for _ in range(20):
            device.poll()
        assert device.held <= 3000 and device.end.room() == 1024
        assert device.closed is None
        assert pour(connected) < taken, "the bridge reads on without credit"


def pour(connected):
    """Send until the system takes no more for a while; return how much it took."""
    taken = 0
    connected.settimeout(0.5)
    try:
        while taken < 4_000_000:
            taken += connected.send(bytes(65536))
    except TimeoutError:
        return taken
    raise AssertionError("4 MB were taken in")


def test_a_server_that_reads_nothing_fills_no_memory(emulator, server):
    """The device's credit runs out; what the bridge holds is one window."""
    server.is_reading.clear()
    with bridged(emulator, server.address):
        device = LineDevice(emulator)
        assert device.open()
        sent = 0
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < 0.5:
            if device.end.room() > 0:
                room = device.end.room()
                device.write(bytes(room))
                sent += room
                quiet_since = time.monotonic()
            device.poll(0.01)
            assert sent < 4_000_000
        server.is_reading.set()
        until(lambda: device.poll() or len(server.got) >= sent, "the rest")
        assert len(server.got) == sent


def test_a_device_that_ignores_credit_is_cut_off(emulator, server):
    """More than its window at once: the connection ends, and nothing beyond the window was kept."""
    server.is_reading.clear()
    with bridged(emulator, server.address, limits=Limits(bytes_per_s=1)) as bridge:
        device = LineDevice(emulator)
        assert device.open()
        for _ in range(12):
            emulator.send(bytes(device.end.data(bytes(1024))))
        until(lambda: device.poll() or device.closed is not None, "CLOSE")
        assert device.closed == line.LOST
        assert bridge.counts(emulator.name).lost == 1


def test_a_limit_withholds_credit_and_drops_nothing(emulator, server):
    """4000 bytes a second and a window sent: what passes follows the clock, and all of it arrives in the end."""
    limit = 4000
    content = random.Random(2).randbytes(16_000)
    with bridged(emulator, server.address, limits=Limits(bytes_per_s=limit)):
        device = LineDevice(emulator)
        assert device.open()
        began = time.monotonic()
        sent = 0
        while sent < len(content):
            if (room := device.end.room()) > 0:
                piece = content[sent : sent + room]
                sent += len(piece)
                emulator.send(bytes(device.end.data(piece)))
            device.poll()
            allowed = limit * (1 + time.monotonic() - began) + line.PAYLOAD_MAX
            assert len(server.got) <= allowed
            assert sent <= allowed + 8192
        until(lambda: len(server.got) == len(content), "the rest")
    assert bytes(server.got) == content


def test_too_many_connections_are_refused(emulator, server):
    """Three a minute: the fourth is refused and counted, and nothing is dialled."""
    with bridged(emulator, server.address, limits=Limits(connects_per_minute=3)) as bridge:
        device = LineDevice(emulator)
        assert [device.open() for _ in range(5)] == [True, True, True, False, False]
        assert device.closed == line.REFUSED
        counts = bridge.counts(emulator.name)
        until(lambda: len(server.connections) >= 3, "connections")
    assert (counts.connections, counts.refused, len(server.connections)) == (3, 2, 3)


def test_many_lines_at_once_do_not_meet(server):
    """Eight devices, each with bytes of its own, over one bridge."""
    wires = [Emulator() for _ in range(6)] + [Pty(), Pty()]
    with BridgeThread([wire.name for wire in wires], server.address, limits=FAST) as bridge:
        devices = [LineDevice(wire) for wire in wires]
        for device in devices:
            assert device.open()
        until(lambda: len(server.connections) == 8, "connections")
        for number, connected in enumerate(server.connections):
            connected.sendall(bytes((number,)) * 5000)
        got = [device.read(5000) for device in devices]
        assert sorted(set(got)) == [bytes((number,)) * 5000 for number in range(8)]
        assert all(bridge.counts(wire.name).down_bytes == 5000 for wire in wires)
    for wire in wires:
        wire.close()


def test_lines_and_addresses_that_cannot_be_are_named(tmp_path):
    """Each with its cause and the next step; a bridge that couldn't start leaves nothing behind."""
    plain = tmp_path / "file"
    plain.write_text("")
    for lines, broker, words in (
        ([], ("127.0.0.1", 1), "name one line"),
        (["socket://127.0.0.1:1"] * 2, ("127.0.0.1", 1), "none twice"),
        (["ttyUSB0"], ("127.0.0.1", 1), "a line is /dev/ttyUSB0"),
        (["/dev/ttyUSB0,fast"], ("127.0.0.1", 1), "a line is /dev/ttyUSB0"),
        (["socket://127.0.0.1"], ("127.0.0.1", 1), "HOST:PORT"),
        (["/dev/no-such-port"], ("127.0.0.1", 1), "no such port"),
        ([str(plain)], ("127.0.0.1", 1), "no serial port"),
        (["socket://127.0.0.1:1"], ("no-such-host.invalid", 1), "unknown host name"),
        (["socket://127.0.0.1:1"], ("127.0.0.1", 65535), "above 65535"),
    ):
        with pytest.raises(LineError, match=words):
            BridgeThread(lines, broker).start()


def test_a_port_that_is_taken_is_named(server):
    """Two bridges at one serial port would each get half of the bytes."""
    pty = Pty()
    with bridged(pty, server.address):
        device = LineDevice(pty)
        assert device.open()
        with pytest.raises(LineError, match="busy"):
            bridged(pty, server.address).start()
    pty.close()


def test_a_bridge_in_a_loop_tells_what_changes(server):
    """`async with`; lines of text with the counts beside them, and the table."""
    told = []
    pty = Pty()

    async def session():
        bridge = Bridge([pty.name], server.address, tell=lambda *words: told.append(words[:2]))
        async with bridge:
            device = LineDevice(pty)
            assert await asyncio.to_thread(device.open)
            device.close()
            await asyncio.to_thread(until, lambda: len(told) == 3, "words")
            return bridge.all_counts()

    counts = asyncio.run(asyncio.wait_for(session(), 10))
    where = ":".join(map(str, server.address))
    assert told == [
        (pty.name, "open"),
        (pty.name, f"connection 1 to the broker at {where}"),
        (pty.name, "connection 1 is over: ended"),
    ]
    heading, row = table(counts).splitlines()
    assert heading.split()[:4] == ["line", "up", "bytes", "down"]
    assert row.split() == [pty.name, "0", "0", "1", "0", "0", "0", "0", "0"]
    pty.close()


def command(*arguments):
    """Start `pawl bridge` as a process whose output can be read line by line."""
    program = Path(sys.executable).with_name("pawl")
    return subprocess.Popen(
        [program, "bridge", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_the_command_carries_tells_and_ends_cleanly(emulator, server):
    """A line for each change, the table on SIGUSR1 and at the end, exit code 0 on Ctrl-C; as JSON if asked to."""
    where = ":".join(map(str, server.address))
    for is_json in (False, True):
        with command(emulator.name, "--broker", where, *["--json"][:is_json]) as ran:
            assert "open" in ran.stdout.readline()
            assert LineDevice(emulator).open()
            told = [ran.stdout.readline()]
            ran.send_signal(signal.SIGUSR1)
            told.append(ran.stdout.readline())
            ran.send_signal(signal.SIGINT)
            rest, errors = ran.communicate(timeout=10)
        assert (ran.returncode, errors) == (0, "")
        if is_json:
            assert json.loads(told[0])["connections"] == 1
            assert json.loads(told[1])["counts"] == json.loads(rest)["counts"]
        else:
            assert told[0] == f"{emulator.name}: connection 1 to the broker at {where}\n"
            assert told[1].split()[:3] == ["line", "up", "bytes"] and "reopened" in rest
        emulator.restart()


def test_the_command_names_what_it_cannot_use():
    """One line, exit code 2."""
    for arguments, words in (
        (("/dev/no-such-port", "--broker", "127.0.0.1:1"), "no such port"),
        (("socket://127.0.0.1:1", "--broker", "127.0.0.1"), "write an address as HOST:PORT"),
        (("socket://127.0.0.1:1", "--broker", "no-such-host.invalid:1"), "unknown host name"),
    ):
        with command(*arguments) as ran:
            _, errors = ran.communicate(timeout=20)
        assert ran.returncode == 2 and errors.count("\n") == 1
        assert words in errors
