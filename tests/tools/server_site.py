"""A fleet server that `pawl server run` runs, the operator's commands on it, and devices that are real MQTT clients."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import paho.mqtt.client as paho
from fleet_bench import FakeFleetDevice
from paho.mqtt.enums import CallbackAPIVersion
from release_factory import make_anchor, make_keys, make_release
from typer.testing import CliRunner

from pawl import codes, messages, trust
from pawl.ports.host.verifier import verify
from pawl_server.mqtt.orphan import FILE_NAME as PID_FILE
from pawl_tools import pki
from pawl_tools.cli import app
from pawl_tools.errors import ToolError

WAIT_S = 20.0
PAWL = Path(sys.executable).with_name("pawl")


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Site:
    """A server's folder that `pawl server init` made, its process, and the operator's commands."""

    def __init__(self, folder):
        self.folder = folder
        self.server = folder / "server"
        self.keys = make_keys()
        self.ca = pki.create_authority("devices")
        (folder / "ca").mkdir()
        self.ca.write_pem(folder / "ca", "ca")
        anchor_file = make_anchor(self.keys, ca=[self.ca.certificate_der()], server_names=("localhost",))
        self.anchor = trust.load(anchor_file, verify)
        (folder / "trust.cbor").write_bytes(anchor_file)
        pki.write_private(folder / "director", self.keys.director.pem())
        self.device_port, server_port, self.api_port = free_ports(3)
        self.init_arguments = [
            *("server", "init", self.server, "--trust", folder / "trust.cbor"),
            *("--director", folder / "director", "--device-ca", folder / "ca"),
            *("--device-port", self.device_port, "--server-port", server_port, "--api-port", self.api_port),
        ]
        self.process = None

    def run(self, *arguments, code=0):
        """Run a command, which must end with this code; return its output, or what it said of faults."""
        credentials = {"PAWL_CREDENTIALS": str(self.server / "operator.toml")}
        given = [str(one) for one in arguments]
        done = CliRunner().invoke(app, given, env=credentials)
        if isinstance(done.exception, ToolError):
            assert done.exception.exit_code == code, done.exception
            return str(done.exception)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, done.output
        return done.stderr if code else done.stdout

    def run_watch(self, rollout):
        """Watch a rollout in a process of its own, to its good end; return what it printed."""
        environment = {**os.environ, "PAWL_CREDENTIALS": str(self.server / "operator.toml")}
        done = subprocess.run(
            [PAWL, "rollout", "watch", rollout], env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    def run_program(self, *arguments, code):
        """Run a command as a process of its own; return what it said of faults."""
        done = subprocess.run([PAWL, *map(str, arguments)], capture_output=True, text=True, check=False)
        assert done.returncode == code, done
        return done.stderr

    def ask(self, *arguments):
        """Return what a command prints as JSON."""
        return json.loads(self.run(*arguments, "--json"))

    def start(self):
        """Start the server and wait until it says where it listens."""
        self.process = subprocess.Popen(
            [PAWL, "server", "run", self.server], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        lines = [self.process.stdout.readline() for _ in range(2)]
        assert lines == [
            f"devices: 127.0.0.1 port {self.device_port} (MQTT over TLS)\n",
            f"API: http://127.0.0.1:{self.api_port}\n",
        ], (lines, self.process.stdout.read())

    def kill(self):
        """End the server as a power cut does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def stop(self, number=signal.SIGTERM):
        """Stop the server; return what it said and its exit code."""
        if self.process is None or self.process.returncode is not None:
            return None
        self.process.send_signal(number)
        said, _ = self.process.communicate(timeout=WAIT_S)
        return said, self.process.returncode

    def broker_pid(self):
        """Return the number of the broker's process."""
        return int((self.server / "broker" / PID_FILE).read_text())

    def release(self, **fields):
        """Write a signed release; return its path."""
        path = self.folder / "release.pawl"
        path.write_bytes(make_release(self.keys, **fields))
        return path


class MqttDevice:
    """A device's MQTT link that installs what it is offered: says so by a signed report after `reboot`."""

    def __init__(self, site, name):
        self.device = FakeFleetDevice(name=name)
        self.offered = []
        self.installs = 0
        self._site = site
        self._boots = 1
        self._arrived = threading.Condition()
        certificate, key = pki.issue(site.ca, name, days=2).write_pem(site.folder, name)
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=False)
        self._client.tls_set(str(site.folder / "ca" / "ca.crt"), str(certificate), str(key))
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.connect("localhost", site.device_port)
        self._client.loop_start()

    def _on_connect(self, *_):
        self._client.subscribe(self.device.offer_topic, 1)
        self.hello()

    def hello(self):
        """Open the nonce of this boot."""
        payload = self.device.hello(bytes([self._boots]) * 16, boots=self._boots)
        self._client.publish(self.device.topic("hello"), payload, 1)

    def _on_message(self, _client, _user, message):
        with self._arrived:
            if message.topic == self.device.offer_topic:
                self.offered.append(messages.open_offer(message.payload, self._site.anchor.directors, verify))
            self._arrived.notify_all()

    def wait_for(self, action):
        """Return the newest offer once it is of this action."""
        with self._arrived:
            assert self._arrived.wait_for(
                lambda: self.offered and self.offered[-1].action == action, WAIT_S
            ), [offer.action for offer in self.offered]
            return self.offered[-1]

    def install(self):
        """Wait for an offer, reboot, and report the release as installed."""
        offer = self.wait_for(codes.OFFER_INSTALL)
        self.installs += 1
        self._boots += 1
        report = self.device.report(codes.EVENT_INSTALLED, boots=self._boots, digest=offer.digest)
        self._client.publish(self.device.topic("report"), report, 1)
        self.hello()

    def fail(self):
        """Report that the release which was offered last was reverted."""
        self._boots += 1
        report = self.device.report(
            codes.EVENT_REVERTED,
            boots=self._boots,
            subject=self.offered[-1].digest,
            reason=codes.REASON_TRIALS,
        )
        self._client.publish(self.device.topic("report"), report, 1)
        self.hello()

    def fetch(self, topic):
        """Return whether the broker has a retained message there."""
        got = threading.Event()
        self._client.message_callback_add(topic, lambda *_: got.set())
        deadline = time.monotonic() + WAIT_S
        while not got.wait(0.2) and time.monotonic() < deadline:
            self._client.subscribe(topic, 1)  # again: the connection to the broker of before is gone
        return got.is_set()

    def close(self):
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()


def enroll(site, devices):
    """Let devices in through the command, from files as provisioning writes them."""
    paths = []
    for device in devices:
        path = site.folder / f"{device.device.name}.json"
        path.write_text(json.dumps(device.device.enrolment_file()))
        paths.append(path)
    site.run("device", "enroll", *paths)


def until(fact):
    """Wait until something is so."""
    deadline = time.monotonic() + WAIT_S
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.05)
