"""The anchor relay against a real mosquitto: who has no certificate reads anchors, and can do nothing else to anybody."""

import ssl
import time

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from test_broker import Client, _device, _handshake_fails, _server

from pawl_server.mqtt.anchor_relay import ANCHOR_ACL, configuration_lines

WAIT_S = 10


class Stranger(Client):
    """A client at the anchor listener: no certificate, and any id it likes."""

    def __init__(self, bench, client_id="", username=None):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.messages = []
        self.payloads = []
        self.answers = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv5)
        self._client.tls_set_context(context)
        if username:
            self._client.username_pw_set(username)
        self._client.on_connect = lambda *arguments: self.answers.append(arguments[3])
        self._client.on_subscribe = lambda *arguments: self.answers.append(arguments[3][0])
        self._client.on_publish = lambda *arguments: self.answers.append(arguments[3])
        self._client.on_message = self._keep
        self._client.connect("127.0.0.1", bench.settings.anchors.port)
        self._client.loop_start()
        self._await_answer()

    def _keep(self, _client, _userdata, message):
        self.messages.append(message.topic)
        self.payloads.append((message.topic, message.payload, message.retain))


def wait_for_anchor(bench, topic, payload=b"x"):
    """Return when a stranger gets an anchor that is retained: the bridge may need a moment."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        with Stranger(bench) as one:
            one.subscribe(topic)
            one.settled_messages()
            if (topic, payload, True) in one.payloads:
                return
    raise AssertionError(f"{topic} never came")


def test_strangers_read_anchors_and_nothing_else(bench):
    """Whatever one without a certificate subscribes to: anchors come, with their bytes, and nothing more."""
    topics = ["pawl/k/2", "pawl/k/3", "pawl/r/d", "pawl/b/i/0/1", "pawl/d/7/bench-1/offer", "pawl/k/2/x"]
    with bench.broker(), _server(bench) as server:
        for topic in topics:
            server.publish(topic, topic.encode(), retain=True)
        wait_for_anchor(bench, "pawl/k/3", b"pawl/k/3")
        for username in (None, "_server", "bench-1"):
            with Stranger(bench, username=username) as stranger:
                stranger.subscribe("#")
                stranger.subscribe("$SYS/#")
                assert stranger.settled_messages() in (["pawl/k/2", "pawl/k/3"], [])
                assert username or stranger.messages


def test_strangers_write_nothing(bench):
    """Refused on every topic, and nothing reaches the fleet's broker."""
    with bench.broker(), _server(bench) as server, Stranger(bench) as stranger:
        server.subscribe("#")
        for topic in ("pawl/k/2", "pawl/k/9", "pawl/r/d", "pawl/d/7/bench-1/up/hello", "other"):
            assert stranger.publish(topic, retain=True).is_failure, topic
        assert server.settled_messages() == []


def test_a_stranger_takes_over_nobodys_session(bench):
    """With a device's id, or the server's: both go on, and what is queued for the server stays the server's."""
    with bench.broker() as broker, _device(bench, "bench-1") as device, _server(bench, "ingest") as server:
        server.subscribe("pawl/d/+/+/up/#")
        for client_id in ("bench-1", "ingest", "pawl-anchors"):
            with Stranger(bench, client_id=client_id) as stranger:
                stranger.subscribe("#")
                assert stranger.settled_messages() == []
        assert not device.publish("pawl/d/7/bench-1/up/hello").is_failure
        assert server.settled_messages() == ["pawl/d/7/bench-1/up/hello"]
        assert "already connected" not in broker.log_path.read_text()


def test_a_new_anchor_comes_by_itself_and_nobody_can_take_the_bridges_place(bench):
    """A stranger that tries likely ids doesn't keep an anchor from being carried over."""
    with bench.broker(), _server(bench) as server:
        for client_id in ("pawl-anchors", "local.pawl-anchors", "local", "_server"):
            with Stranger(bench, client_id=client_id):
                pass
        server.publish("pawl/k/2", b"later", retain=True)
        wait_for_anchor(bench, "pawl/k/2", b"later")


def test_the_fleets_listeners_take_no_stranger(bench):
    """What the relay allows is not allowed next door."""
    with bench.broker():
        assert _handshake_fails(bench, bench.settings.device_port, "device-ca.pem")
        assert _handshake_fails(bench, bench.settings.server_port, "server-ca.pem")


def test_a_relay_that_died_is_seen_and_started_again(bench):
    """`is_running` speaks of both processes; a start brings back what is missing and leaves the other."""
    with bench.broker() as broker:
        pid = broker.pid
        broker._children[1].stop()
        assert not broker.is_running
        broker.start()
        assert broker.is_running
        assert broker.pid == pid


def test_what_the_relay_is_told(bench, tmp_path):
    """It only reads from the fleet's broker, keeps nothing, and its list has one line."""
    settings = bench.settings
    lines = configuration_lines(settings, settings.anchors, tmp_path / "acl", "id")
    assert [line for line in lines if line.startswith("topic ")] == ["topic pawl/k/+ in 1"]
    assert "persistence false" in lines
    assert ANCHOR_ACL == "topic read pawl/k/+\n"
    with pytest.raises(ValueError, match="port 0"):
        type(settings)(
            folder=settings.folder,
            device_port=1,
            server_port=2,
            device_tls=settings.device_tls,
            server_tls=settings.server_tls,
            anchors=type(settings.anchors)(port=0, link=settings.anchors.link),
        )
