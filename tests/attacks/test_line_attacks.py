"""Who owns a bridge or its wire: bytes flipped, left out, said again, led elsewhere, listened to: T27."""

import contextlib
import random
import socket
import ssl
import threading

import pytest
from broker_bench import make_bench
from line_device import Emulator, LineDevice, Tls, TlsError, device_context

from pawl_tools.bridge import BridgeThread

CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a"
CONNACK = b"\x20\x02\x00\x00"
PING, PONG = b"\xc0\x00", b"\xd0\x00"
HEAD_BYTES = 5  # of a TLS record


class Owned:
    """What a bridge's owner puts between its two sides: whole bytes to begin with, then what `meddle` makes of them."""

    def __init__(self, port):
        self.meddle = None
        self.heard = bytearray()
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = self._listener.getsockname()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        try:
            near, _ = self._listener.accept()
        except OSError:
            return
        with near, socket.create_connection(("127.0.0.1", self._port)) as far:
            back = threading.Thread(target=self._pump, args=(far, near, True))
            back.start()
            self._pump(near, far, False)
            back.join(10)

    def _pump(self, source, sink, is_down):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.heard += data
                sink.sendall(self.meddle(data) if is_down and self.meddle else data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


@pytest.fixture
def line_bench(bench):
    bench.device("bench-1")
    return bench


@contextlib.contextmanager
def owned_bridge(bench):
    """Return a device, and the owner through whom all of its bytes go."""
    wire, owner = Emulator(), Owned(bench.settings.device_port)
    with bench.broker(), BridgeThread([wire.name], owner.address):
        device = LineDevice(wire)
        assert device.open()
        try:
            yield device, owner
        finally:
            device.close()
            owner.close()
            wire.close()


def flip(data):
    """Return it with one bit of its content wrong."""
    at = random.Random(3).randrange(HEAD_BYTES, len(data))
    return data[:at] + bytes((data[at] ^ 16,)) + data[at + 1 :]


class Replay:
    """Says again what came before, in place of what comes now."""

    def __init__(self):
        self.before = None

    def __call__(self, data):
        self.before = self.before or data
        return self.before


@pytest.mark.parametrize(
    ("words", "meddle"),
    [
        ("flips a bit", flip),
        ("leaves out a byte", lambda data: data[:9] + data[10:] + bytes(64)),
        ("says a record twice", lambda data: data + data),
        ("answers with an older record", Replay()),
        ("writes bytes of its own", lambda data: b"\x17\x03\x03\x00\x13" + bytes(len(data))),
    ],
)
def test_t27_the_owner_of_a_bridge_changes_bytes(attack, line_bench, words, meddle):
    """Its frames are in order and their checks hold, and TLS ends: no byte that the broker didn't send is believed."""
    row = attack("T27", f"the owner of a bridge {words}")
    believed = []
    with owned_bridge(line_bench) as (device, owner):
        tls = Tls(device, device_context(line_bench.folder, "bench-1"))
        assert tls.exchange(CONNECT, 4) == CONNACK
        owner.meddle = meddle
        with pytest.raises((ssl.SSLError, TlsError)) as ended:  # noqa: PT012  the second packet may be the first refused
            while len(believed) < 3:
                believed += [tls.exchange(PING, 2)]
    row.failed(isinstance(ended.value, ssl.SSLError), True, f"TLS: {ended.value.reason}")
    row.kept(set(believed) <= {PONG}, True, "yes (nothing believed)")


def test_t27_the_owner_of_a_bridge_leads_a_device_elsewhere(attack, line_bench, tmp_path):
    """To another fleet's broker: its certificate is of another authority, and nothing is said to it."""
    row = attack("T27", "the owner of a bridge leads a device to another broker")
    (tmp_path / "other").mkdir()
    other = make_bench(tmp_path / "other")
    with owned_bridge(other) as (device, _), pytest.raises(ssl.SSLCertVerificationError) as ended:
        Tls(device, device_context(line_bench.folder, "bench-1"))
    row.failed(ended.value.reason, "CERTIFICATE_VERIFY_FAILED", "TLS: certificate")
    row.pure()


def test_t27_the_owner_of_a_bridge_listens(attack, line_bench):
    """What passes is TLS records: no packet, no topic, no name."""
    row = attack("T27", "the owner of a bridge listens")
    with owned_bridge(line_bench) as (device, owner):
        tls = Tls(device, device_context(line_bench.folder, "bench-1"))
        assert tls.exchange(CONNECT, 4) == CONNACK
        assert tls.exchange(PING, 2) == PONG
    assert len(owner.heard) > 1000
    told = [words for words in (b"MQTT", CONNECT, CONNACK) if words in owner.heard]
    row.failed(told, [], f"ciphertext only ({len(owner.heard)} bytes heard)")
    row.pure()
