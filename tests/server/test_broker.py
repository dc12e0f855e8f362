"""The broker as a child process: what it is told, whom it lets in, and how it fails."""

import dataclasses
import os
import signal
import socket
import ssl
import stat
import time

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from pawl_server.mqtt.broker import Broker, BrokerError, find_mosquitto, read_version
from pawl_server.mqtt.broker_config import configuration_lines, write_configuration
from pawl_tools.pki import create_authority, issue

WAIT_S = 10


def _context(bench, authority, name):
    context = ssl.create_default_context(cafile=str(bench.folder / authority))
    context.load_cert_chain(bench.folder / f"{name}.crt", bench.folder / f"{name}.key")
    return context


class Client:
    """A blocking MQTT client that shows what the broker does with it."""

    def __init__(self, bench, port, authority, name, client_id="any"):
        self.messages = []
        self.answers = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv5)
        self._client.tls_set_context(_context(bench, authority, name))
        self._client.on_connect = lambda *arguments: self.answers.append(arguments[3])
        self._client.on_subscribe = lambda *arguments: self.answers.append(arguments[3][0])
        self._client.on_publish = lambda *arguments: self.answers.append(arguments[3])
        self._client.on_message = lambda _c, _u, message: self.messages.append(message.topic)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._await_answer()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._client.disconnect()
        self._client.loop_stop()

    def subscribe(self, topic):
        """Return the reason code of the SUBACK."""
        self._client.subscribe(topic, 1)
        return self._await_answer()

    def publish(self, topic, payload=b"x", *, retain=False):
        """Return the reason code of the PUBACK."""
        self._client.publish(topic, payload, 1, retain)
        return self._await_answer()

    def settled_messages(self):
        """Return the topics received, after everything sent so far has had time to come."""
        count = -1
        while count != len(self.messages):
            count = len(self.messages)
            time.sleep(0.3)
        return sorted(self.messages)

    def _await_answer(self):
        deadline = time.monotonic() + WAIT_S
        while not self.answers and time.monotonic() < deadline:
            time.sleep(0.005)
        return self.answers.pop(0)


def _server(bench, client_id="server"):
    return Client(bench, bench.settings.server_port, "server-ca.pem", "_server", client_id)


def _device(bench, name, client_id="any"):
    bench.device(name)
    return Client(bench, bench.settings.device_port, "device-ca.pem", name, client_id)


def test_a_device_reads_what_is_for_it_and_nothing_else(bench):
    """Whatever a device subscribes to, it receives releases, blocks, anchors and its own offers."""
    allowed = ["pawl/d/7/bench-1/offer", "pawl/r/d", "pawl/b/i/i", "pawl/b/i/0/12", "pawl/k/2"]
    denied = [
        "pawl/d/7/bench-2/offer",
        "pawl/d/7/bench-1/up/hello",
        "pawl/r/d/e",
        "pawl/x",
        "pawl/b/i/0/12/1",
        "other",
    ]
    with bench.broker(), _server(bench) as server, _device(bench, "bench-1") as device:
        for topic in allowed + denied[:-1]:
            assert not server.publish(topic, retain=True).is_failure, topic
        device.subscribe("#")
        assert device.settled_messages() == sorted(allowed)


def test_a_device_publishes_its_own_messages_only(bench):
    """The three kinds under its own name reach the server; all else is refused."""
    allowed = [f"pawl/d/7/bench-1/up/{kind}" for kind in ("hello", "report", "log")]
    denied = [
        "pawl/d/7/bench-2/up/hello",
        "pawl/d/7/bench-1/up/other",
        "pawl/d/7/bench-1/up/hello/more",
        "pawl/d/7/bench-1/offer",
        "pawl/r/d",
        "pawl/k/3",
    ]
    with bench.broker(), _server(bench) as server, _device(bench, "bench-1") as device:
        server.subscribe("#")
        for topic in allowed:
            assert not device.publish(topic).is_failure, topic
        for topic in denied:
            assert device.publish(topic).is_failure, topic
        assert server.settled_messages() == sorted(allowed)


def test_the_certificate_is_the_client_id(bench):
    """A device that claims another's client id doesn't take over its session."""
    with bench.broker(), _device(bench, "bench-1") as victim, _device(bench, "bench-2", client_id="bench-1"):
        assert not victim.publish("pawl/d/7/bench-1/up/hello").is_failure
    assert "already connected" not in bench.broker().log_path.read_text()


def _handshake_fails(bench, port, authority, certificate=None):
    """Return whether the broker ends a TLS connection before it takes an MQTT packet."""
    context = ssl.create_default_context(cafile=str(bench.folder / authority))
    if certificate:
        context.load_cert_chain(bench.folder / f"{certificate}.crt", bench.folder / f"{certificate}.key")
    try:
        with (
            socket.create_connection(("127.0.0.1", port)) as raw,
            context.wrap_socket(raw, server_hostname="127.0.0.1") as tls,
        ):
            tls.sendall(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a")
            return tls.recv(4) == b""
    except (ssl.SSLError, ConnectionError):
        return True


def test_each_listener_takes_certificates_of_its_own_authority_only(bench):
    """No certificate, a stranger's, a device's at the server's door, the server's at the devices': all end in TLS."""
    bench.device("bench-1")
    issue(create_authority("Pawl devices"), "bench-1", days=1).write_pem(bench.folder, "stranger")
    device_port, server_port = bench.settings.device_port, bench.settings.server_port
    with bench.broker():
        assert not _handshake_fails(bench, device_port, "device-ca.pem", "bench-1")
        assert _handshake_fails(bench, device_port, "device-ca.pem")
        assert _handshake_fails(bench, device_port, "device-ca.pem", "stranger")
        assert _handshake_fails(bench, device_port, "device-ca.pem", "_server")
        assert _handshake_fails(bench, server_port, "server-ca.pem", "bench-1")


def test_a_device_named_like_the_server_gets_nothing(bench):
    """If the devices' authority were to sign the server's name, that certificate still has a device's rights."""
    issue(bench.fleet, "_server", days=1).write_pem(bench.folder, "impostor")
    with bench.broker(), Client(bench, bench.settings.device_port, "device-ca.pem", "impostor") as impostor:
        assert impostor.publish("pawl/k/3").is_failure


def test_retained_messages_survive_a_stop(bench):
    """Persistence is on: what was retained is there after a restart, in a folder that only its owner enters."""
    with bench.broker(), _server(bench) as server:
        server.publish("pawl/r/d", retain=True)
    with bench.broker(), _server(bench) as server:
        server.subscribe("pawl/r/+")
        assert server.settled_messages() == ["pawl/r/d"]
    assert stat.S_IMODE(bench.settings.folder.stat().st_mode) == 0o700


def test_start_and_stop_are_clean(bench):
    """A second start is refused, a stop ends the process, a second stop does nothing."""
    broker = bench.broker()
    broker.start()
    pid = broker.pid
    assert broker.is_running
    with pytest.raises(BrokerError, match="already runs"):
        broker.start()
    broker.stop()
    broker.stop()
    assert not broker.is_running
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(BrokerError, match="not started"):
        _ = broker.pid


def test_a_missing_program_is_named_with_its_remedy(bench):
    """No mosquitto: the message says how to get it."""
    with pytest.raises(BrokerError, match="apt install mosquitto"):
        Broker(dataclasses.replace(bench.settings, program="no-such-mosquitto")).start()


def test_a_taken_port_is_named(bench):
    """The message has the port, and nothing was started."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", bench.settings.server_port))
        other.listen()
        with pytest.raises(BrokerError, match=f"port {bench.settings.server_port}"):
            bench.broker().start()


def test_a_death_at_start_shows_the_last_words(bench):
    """A certificate that can't be read: the broker's own last lines are in the error."""
    bench.settings.device_tls.certificate.write_text("no certificate")
    with pytest.raises(BrokerError, match=r"(?s)ended at start.*listener\.crt"):
        bench.broker().start()


def test_a_broker_that_was_killed_is_seen(bench):
    """`is_running` tells the truth after kill -9."""
    with bench.broker() as broker:
        os.kill(broker.pid, signal.SIGKILL)
        deadline = time.monotonic() + WAIT_S
        while broker.is_running and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not broker.is_running


def test_programs_that_are_no_mosquitto_are_refused(tmp_path):
    """The version decides the configuration: none, or one before 2.0, is an error."""
    for shown, wanted in (("hello", "no mosquitto version"), ("mosquitto version 1.6.9", "2.0 or later")):
        program = tmp_path / "fake"
        program.write_text(f"#!/bin/sh\necho '{shown}'\n")
        program.chmod(0o755)
        with pytest.raises(BrokerError, match=wanted):
            read_version(str(program))
    assert read_version(find_mosquitto("mosquitto")) >= (2, 0, 0)


def test_the_configuration_follows_the_version(bench, tmp_path):
    """2.0 has an access list per listener; 2.1 has one plugin, and none of the options that it deprecates."""
    plugin = tmp_path / "mosquitto_acl_file.so"
    old = configuration_lines(bench.settings, (2, 0, 11), plugin)
    new = configuration_lines(bench.settings, (2, 1, 0), plugin)
    assert old[0] == "per_listener_settings true"
    assert sum(line.startswith("acl_file ") for line in old) == old.count("allow_anonymous false") == 2
    assert not any(line.startswith(("per_listener_settings", "acl_file", "allow_anonymous")) for line in new)
    assert new.count("plugin_use pawl_acl") == new.count("listener_allow_anonymous false") == 2
    without_plugin = configuration_lines(bench.settings, (2, 1, 0), None)
    assert without_plugin == old


def test_paths_that_the_configuration_would_misread_are_refused(bench):
    """A line break in a path could add an option; a relative path would depend on where the broker runs."""
    for folder in (bench.folder / "a\nallow_anonymous true", bench.folder.relative_to("/")):
        with pytest.raises(ValueError, match="absolute path on one line"):
            dataclasses.replace(bench.settings, folder=folder)
    with pytest.raises(ValueError, match="port 0"):
        dataclasses.replace(bench.settings, device_port=0)


def test_a_changed_setting_replaces_the_old_configuration(bench):
    """Written anew at every start, never merged."""
    first = write_configuration(bench.settings, (2, 0, 11), None).read_text()
    changed = dataclasses.replace(bench.settings, max_queued_messages=7)
    second = write_configuration(changed, (2, 0, 11), None).read_text()
    assert "max_queued_messages 7\n" in second and "max_queued_messages 7\n" not in first
