"""Five real devices, the server as a program, and everything killed: each ends on the new version, no report is lost."""

import json
import os
import random
import signal
import sqlite3
import time

import pytest
from command_fleet import CommandFleet

from pawl_server import configuration
from pawl_server.mqtt.orphan import FILE_NAME as PID_FILE
from pawl_tools.demo.applications import blinky

NAMES = [f"bench-{number}" for number in range(1, 6)]
DEADLINE_S = 90
RANDOM_KILLS = 6


class Fleet(CommandFleet):
    """Five devices with blinky; `triggers` say at which console line of which device something is killed."""

    def __init__(self, folder):
        super().__init__(folder, NAMES)
        self.make_keys()
        for version in (1, 2):
            image = folder / f"{version}.romfs"
            image.write_bytes(blinky(version, self.programs))
            self.sign_image(version, image)
        self.make_server()
        self.make_devices(folder / "1.pawl")

    def end_broker(self):
        """Stop it; the server starts another one. Killed, it would lose what it acknowledged since its last save."""
        os.kill(int((self.server / "broker" / PID_FILE).read_text()), signal.SIGTERM)

    def state(self):
        """Return what the rollout says, and the agents said last."""
        said = {
            name: [line for line in lines if line[:5] == "pawl:"][-5:]
            for name, lines in self.consoles.items()
        }
        return self.pawl("rollout", "devices", "spring"), said

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
        # The server is being killed and started.
        code, said = fleet.run("rollout", "show", "spring", "--json")
        return code == 0 and json.loads(said)["state"] == "done"

    wait_until(is_done, fleet)
    shown = json.loads(fleet.pawl("rollout", "devices", "spring", "--json"))
    assert killed == ["broker", "server"]
    assert {one["device"]: one["progress"] for one in shown} == dict.fromkeys(NAMES, "succeeded")
    for name in NAMES:
        assert sum("row 5 slot B" in line for line in fleet.consoles[name]) in {1, 2, 3}, name
        assert not any("row 5 slot A" in line for line in fleet.consoles[name]), name
    wait_until(lambda: fleet.acknowledged() <= fleet.reports(), fleet)
