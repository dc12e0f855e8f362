"""Five real devices, the server as a program, and everything killed: each ends on the new version, no report is lost."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pawl_server import configuration
from pawl_server.mqtt.orphan import FILE_NAME as PID_FILE
from pawl_tools import launcher, pack, toolchain
from pawl_tools.cli import app
from pawl_tools.demo.applications import blinky
from pawl_tools.errors import ToolError
from pawl_tools.site import free_ports

PAWL = Path(sys.executable).with_name("pawl")
NAMES = [f"bench-{number}" for number in range(1, 6)]
DEADLINE_S = 90
RANDOM_KILLS = 6


class Fleet:
    """Made by the commands alone; `kill_at` says at which console line of which device something is killed."""

    def __init__(self, folder):
        self.folder = folder
        self.server = folder / "server"
        self.programs = toolchain.find()
        self.consoles = {name: [] for name in NAMES}
        self.triggers = {}
        self.devices = {}
        self.process = None
        self._make_keys()
        self._make_server()
        self._make_devices()

    def pawl(self, *arguments):
        """Run a command; return its output."""
        done = CliRunner().invoke(
            app,
            [str(one) for one in arguments],
            env={"PAWL_CREDENTIALS": str(self.server / "operator.toml")},
            catch_exceptions=False,
        )
        assert done.exit_code == 0, done.output
        return done.stdout

    def _make_keys(self):
        folder = self.folder
        for name in ("root", "release", "director"):
            self.pawl("keys", "new", folder / name)
        self.pawl("ca", "new", folder / "ca")
        self.pawl(
            *("trust", "init", folder / "trust.cbor", "--root", folder / "root"),
            *("--release", folder / "release.pub", "--director", folder / "director.pub"),
            *("--ca", folder / "ca" / "ca.crt", "--server-name", "localhost"),
        )
        for version in (1, 2):
            image = folder / f"{version}.romfs"
            image.write_bytes(blinky(version, self.programs))
            self.pawl(
                *("release", "sign", image, "-o", folder / f"{version}.pawl", "--key", folder / "release"),
                *("--sequence", version, "--version", version, "--vendor", "example.com", "--class", "board"),
            )

    def _make_server(self):
        ports, more = free_ports(), free_ports()
        self.device_port = ports.devices
        self.pawl(
            *("server", "init", self.server, "--trust", self.folder / "trust.cbor"),
            *("--director", self.folder / "director", "--device-ca", self.folder / "ca"),
            *("--device-port", ports.devices, "--server-port", ports.server, "--api-port", more.devices),
        )

    def _make_devices(self):
        self.pawl(
            *("provision", self.folder / "devices", "--count", len(NAMES), "--prefix", "bench-"),
            *("--trust", self.folder / "trust.cbor", "--release", self.folder / "1.pawl"),
            *("--ca", self.folder / "ca", "--broker", f"localhost:{self.device_port}"),
        )
        agent = self.folder / "agent.romfs"
        agent.write_bytes(pack.pack_agent(self.programs))
        for name in NAMES:
            self.devices[name] = launcher.Device(
                self.folder / "devices" / name,
                agent,
                self.programs,
                lambda line, name=name: self._on_line(name, line),
            )

    def _on_line(self, name, line):
        self.consoles[name].append(line)
        pattern, action = self.triggers.get(name, ("", None))
        if action and line.startswith(pattern):
            del self.triggers[name]
            threading.Thread(target=action).start()

    def start_server(self):
        """Start the server and wait until it listens."""
        self.process = subprocess.Popen(
            [PAWL, "server", "run", self.server], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        line = self.process.stdout.readline()
        assert line.startswith("devices:"), line + self.process.stdout.read()

    def restart_server(self):
        """SIGKILL, and a new one a moment later."""
        self.process.kill()
        self.process.communicate()
        time.sleep(0.5)
        self.start_server()

    def end_broker(self):
        """Stop it; the server starts another one. Killed, it would lose what it acknowledged since its last save."""
        os.kill(int((self.server / "broker" / PID_FILE).read_text()), signal.SIGTERM)

    def close(self):
        """Switch everything off."""
        for device in self.devices.values():
            device.power_off()
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.communicate()

    def state(self):
        """Return what the rollout says, and the agents said last."""
        said = {
            name: [line for line in lines if line[:5] == "pawl:"][-5:]
            for name, lines in self.consoles.items()
        }
        return self.pawl("rollout", "show", "spring"), said

    def reports(self):
        """Return {(device, boots, number)} of every report that the server has."""
        with sqlite3.connect(configuration.load(self.server).server.database) as database:
            rows = database.execute("SELECT device, boots, number FROM reports").fetchall()
        database.close()
        return {(name, _number(boots), _number(number)) for name, boots, number in rows}

    def acknowledged(self):
        """Return {(device, boots, number)} of every report that a device saw acknowledged."""
        found = set()
        for name, lines in self.consoles.items():
            for line in lines:
                if line.startswith("pawl: reported "):
                    boots, number = line.split()[2].split(".")
                    found.add((name, int(boots), int(number)))
        return found


def _number(stored):
    return int.from_bytes(stored) if isinstance(stored, bytes) else stored


@pytest.fixture
def fleet(tmp_path):
    fleet = Fleet(tmp_path)
    yield fleet
    fleet.close()


def wait_until(fact, fleet):
    """Wait until something is so, or fail with the consoles."""
    deadline = time.monotonic() + DEADLINE_S
    while not fact():
        assert time.monotonic() < deadline, fleet.state()
        time.sleep(0.1)


def test_a_rollout_through_kills_of_everything(fleet):
    """Broker restarted in mid-download, server killed in mid-rollout, devices killed at random."""
    fleet.start_server()
    fleet.pawl("device", "enroll", *[fleet.folder / "devices" / name / "enrolment.json" for name in NAMES])
    fleet.pawl("group", "set", "canary", *NAMES[:2])
    fleet.pawl("group", "set", "production", *NAMES[2:])
    digest = json.loads(fleet.pawl("release", "import", fleet.folder / "2.pawl", "--json"))["digest"]
    for device in fleet.devices.values():
        device.power_on()
    killed = []
    fleet.triggers["bench-1"] = ("pawl: blocks 8/", lambda: (killed.append("broker"), fleet.end_broker()))
    fleet.triggers["bench-3"] = ("pawl: blocks 8/", lambda: (killed.append("server"), fleet.restart_server()))
    groups = ("--group", "canary", "--group", "production")
    fleet.pawl("rollout", "create", "--release", digest, *groups, "--name", "spring")
    chance = random.Random(7)
    for _ in range(RANDOM_KILLS):
        time.sleep(chance.uniform(0.3, 1.2))
        fleet.devices[chance.choice(NAMES)].kill()

    def is_done():
        try:
            return json.loads(fleet.pawl("rollout", "show", "spring", "--json"))["state"] == "done"
        except ToolError:
            return False  # the server is being killed and started

    wait_until(is_done, fleet)
    shown = json.loads(fleet.pawl("rollout", "show", "spring", "--json"))
    assert killed == ["broker", "server"]
    assert {one["device"]: one["progress"] for one in shown["devices"]} == dict.fromkeys(NAMES, "succeeded")
    for name in NAMES:
        assert sum("row 5 slot B" in line for line in fleet.consoles[name]) in {1, 2, 3}, name
        assert not any("row 5 slot A" in line for line in fleet.consoles[name]), name
    wait_until(lambda: fleet.acknowledged() <= fleet.reports(), fleet)
