"""A path that drops, trickles, refuses, or listens: T10, T11, T27, T33."""

import asyncio
import math
import socket
import subprocess
import threading
from collections import Counter
from itertools import pairwise
from pathlib import Path

import factory
import pytest
from mqtt_peer import Peer
from simulator import Client
from target import DAY_S, InstantLoop, Target
from test_offer_attacks import pending

from pawl import codes, mqtt
from pawl.errors import TransportError
from pawl_server.mqtt.link import MqttLink

ROOT = Path(__file__).resolve().parents[2]
MICROPYTHON = ROOT / "build" / "micropython" / "micropython"
DEVICE_PROGRAM = ROOT / "tests" / "e2e" / "mqtt_device.py"
DEVICE_TIMEOUT_S = 60


class TricklingClient(Client):
    """A broker that takes 20 s for each block, and chats meanwhile."""

    block_s = 20

    async def subscribe(self, filters, qos):
        blocks = [topic for topic in filters if "/b/" in topic and not topic.endswith("/i")]
        await super().subscribe([topic for topic in filters if topic not in blocks], qos)
        if blocks:
            self.trickling = asyncio.create_task(self._trickle(blocks))

    async def _trickle(self, blocks):
        for topic in blocks:
            for _ in range(self.block_s):
                await asyncio.sleep(1)
                await self.on_message("pawl/k/9", memoryview(b"chatter"), False)
            await super().subscribe([topic], 0)


def over(target, client):
    """Let a device meet another kind of broker."""

    async def connect(identity, anchor, now_s):
        target.port.attempts.append("normal")
        return lambda on_message: client(target.broker, on_message)

    target.port.connect = connect
    return target


def test_t10_slow_retrieval(attack):
    """Below the floor of 8 blocks in 30 s the session ends; what came is kept, so the download still finishes."""
    row = attack("T10", "slow retrieval: a block every 20 s, chatter between")
    target = over(Target(), TricklingClient)
    before = target.snapshot()
    image = bytes(n * 17 & 255 for n in range(4 * 4096))
    target.publish(factory.release(sequence=2, version=(2,), image=image))
    target.run(timeout_s=3600)
    timeouts = [line for line in target.port.lines if line.startswith(f"link {codes.REASON_LINK_TIMEOUT}")]
    row.failed((target.is_reset, bool(timeouts)), (True, True), "link-timeout, resumed")
    row.changed(before, target.snapshot(), "slot B: the update, pending", **pending(target, "b"))


def test_t10_retrieval_that_never_ends(attack):
    """A block that takes 40 s never comes: the session ends each time, and asks ever more rarely, up to 5 minutes."""

    class Slower(TricklingClient):
        block_s = 40

    row = attack("T10", "slow retrieval: no block ever comes whole, for a day")
    target = over(Target(), Slower)
    before = target.snapshot()
    target.publish(factory.release(sequence=2, version=(2,)))
    target.broker.on_hello = only_first(target)
    target.run(timeout_s=DAY_S)
    row.failed(target.is_reset, False, "link-timeout")
    assert len(target.port.attempts) < DAY_S / 150
    row.changed(before, target.snapshot(), "slot B begun, no mark", slot_b=("empty", target.wanted, 0, 0))


def link_faults(target):
    """Return the reasons for which the link was lost, as the console tells them."""
    return {int(line.split()[1]) for line in target.port.lines if line.startswith("link ")}


def only_first(target):
    """Answer the first hello only: an accepted offer would make the device hurry."""
    answered = []

    async def answer(hello):
        if not answered:
            answered.append(hello)
            await target.answer(hello)

    return answer


class SlowPeer(Peer):
    """A server that gives one byte in 10 s."""

    def __init__(self):
        super().__init__(piece=1)

    async def readinto(self, view):
        await asyncio.sleep(10)
        return await super().readinto(view)


def test_t10_bytes_that_trickle(attack):
    """One byte in 10 s: the wait for an acknowledgement is one deadline, whatever trickles in."""
    row = attack("T10", "slow retrieval: one byte in 10 s, from CONNACK on")

    async def connect():
        loop = asyncio.get_running_loop()
        client = mqtt.Client(
            SlowPeer(), "bench-1", 60, bytearray(64), None, lambda: int(loop.time() * 1000) & 0x3FFFFFFF
        )
        try:
            await client.connect()
        except TransportError as error:
            return error.code, loop.time()
        return codes.REASON_OK, loop.time()

    with asyncio.Runner(loop_factory=InstantLoop) as runner:
        reason, ended_s = runner.run(connect())
    row.refused(reason, codes.REASON_LINK_TIMEOUT)
    row.kept(math.floor(ended_s), 20, "yes (aborted after 20 s)")


@pytest.mark.parametrize(
    "fault", [codes.REASON_LINK_LOST, codes.REASON_LINK_REFUSED, codes.REASON_LINK_TIMEOUT]
)
def test_t11_a_network_that_is_gone_for_30_days(attack, fault):
    """What runs goes on running, the device tries with a growing pause that isn't the same on each, then updates."""
    row = attack("T11", "drop: no connection for 30 days, then one")
    target = Target()
    before = target.snapshot()
    target.publish(factory.release(sequence=2, version=(2,)))
    target.port.link_fault = fault
    times = []
    connect = target.port.connect

    async def noted(identity, anchor, now_s):
        times.append(target.port.loop.now_s)
        return await connect(identity, anchor, now_s)

    target.port.connect = noted
    target.run(timeout_s=30 * DAY_S)
    row.refused(*link_faults(target), fault)
    gaps = [later - sooner for sooner, later in pairwise(times)]
    assert gaps[0] < 2 and min(gaps[12:]) >= 150 and max(gaps) <= 450
    assert len({round(gap) for gap in gaps[12:]}) > 100, "pauses must differ, or a fleet comes all at once"
    row.unchanged(before, target.snapshot())
    target.port.link_fault = None
    assert target.installs()


def test_t11_the_application_gets_its_turn_without_a_network(attack):
    """Eight boots that ended early, then no network: the recovery agent's turn ends after an hour all the same."""
    row = attack("T11", "block: power cut 8 times within a minute, then no network")
    target = Target()
    before = target.snapshot()
    for _ in range(8):
        target.board.boot()
    target.port.link_fault = codes.REASON_LINK_LOST
    target.run(timeout_s=2 * 3600)
    assert target.agent.running == codes.RUNNING_RECOVERY
    row.failed(target.is_reset, True, "(unwell, for one hour)")
    target.run(timeout_s=60)
    assert target.agent.running == codes.RUNNING_A
    row.unchanged(before, target.snapshot())


def test_t33_tls_that_fails_for_30_days(attack):
    """An expired authority takes the path away, not the right to run or to update: trust in images isn't TLS's."""
    row = attack("T33", "expired CA: TLS fails for 30 days, then a good path")
    target = Target()
    before = target.snapshot()
    target.port.link_fault = codes.REASON_LINK_TLS
    target.run(timeout_s=30 * DAY_S)
    row.refused(*link_faults(target), codes.REASON_LINK_TLS)
    row.unchanged(before, target.snapshot())
    target.port.link_fault = None
    target.publish(factory.release(sequence=2, version=(2,)))
    assert target.installs()


class Tap:
    """A proxy that forwards one TCP connection to a port and keeps every byte of both directions."""

    def __init__(self, port):
        self.kept = bytearray()
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        near, _ = self._listener.accept()
        far = socket.create_connection(("127.0.0.1", self._to))
        back = threading.Thread(target=self._pump, args=(far, near), daemon=True)
        back.start()
        self._pump(near, far)
        back.join(5)
        near.close()
        far.close()

    def _pump(self, source, sink):
        try:
            while data := source.recv(65536):
                self.kept += data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def close(self):
        """End the tap."""
        self._listener.close()
        self._thread.join(10)


def _flash(bench, folder):
    folder.mkdir()
    bench.device("bench-1").write_der(folder, "device")
    (folder / "ca.der").write_bytes(bench.fleet.certificate_der())
    return folder


async def _publish(bench, blocks):
    link = MqttLink(bench.link_settings("worker"), None)
    await link.start()
    for number, block in enumerate(blocks):
        await link.publish(f"pawl/b/i/0/{number}", block, retain=True)
    await link.stop()


def test_t27_an_eavesdropper_on_the_path(attack, bench, tmp_path):
    """The device's own client in MicroPython downloads 48 blocks from a real broker past a tap: TLS records, no more."""
    row = attack("T27", "eavesdropper between a MicroPython device and mosquitto")
    blocks = [bytes((number,)) * 4096 for number in range(48)]
    folder = _flash(bench, tmp_path / "device")
    with bench.broker():
        asyncio.run(_publish(bench, blocks))
        tap = Tap(bench.settings.device_port)
        ran = subprocess.run(
            [
                MICROPYTHON,
                "-X",
                "heapsize=512k",
                DEVICE_PROGRAM,
                "download",
                str(tap.port),
                "updates.example",
                folder,
            ],
            env={"MICROPYPATH": f"{ROOT / 'device'}:.frozen"},
            capture_output=True,
            text=True,
            timeout=DEVICE_TIMEOUT_S,
            check=False,
        )
        tap.close()
    assert ran.stdout.startswith("blocks 48 largest 4096"), ran.stdout + ran.stderr
    heard = bytes(tap.kept)
    assert len(heard) > 48 * 4096, "the tap heard the whole download"
    told = [
        word for word in (b"pawl/", b"hello", b"not ours", b"MQTT", bytes(16), b"\x07" * 16) if word in heard
    ]
    row.failed(told, [], f"ciphertext only ({len(heard)} bytes heard)")
    row.kept(_entropy_bits(heard) > 7.9, True, "yes (nothing of a block, a topic or a message)")


def _entropy_bits(content):
    counts = Counter(content)
    return -sum(count / len(content) * math.log2(count / len(content)) for count in counts.values())


def test_t27_a_man_in_the_middle(attack, bench, tmp_path):
    """A broker with a certificate of another authority, or for another name: the device sends it nothing."""
    row = attack("T27", "man in the middle with another authority's certificate")
    folder = _flash(bench, tmp_path / "device")
    for name in ("elsewhere.example",):
        with bench.broker():
            tap = Tap(bench.settings.device_port)
            ran = subprocess.run(
                [MICROPYTHON, "-X", "heapsize=512k", DEVICE_PROGRAM, "download", str(tap.port), name, folder],
                env={"MICROPYPATH": f"{ROOT / 'device'}:.frozen"},
                capture_output=True,
                text=True,
                timeout=DEVICE_TIMEOUT_S,
                check=False,
            )
            tap.close()
        assert ran.stdout.startswith("error "), ran.stdout
        row.refused(int(ran.stdout.split()[1]), codes.REASON_LINK_TLS)
    row.kept(b"hello" in bytes(tap.kept), False)
