"""A bad release on five real devices: its failure stops the rollout and brings the canaries back, through a kill of the server.

Everything goes by the operators' commands: keys, releases, server, devices, rollouts.
"""

import time

import pytest
from command_fleet import CommandFleet

CANARIES = ["canary-1", "canary-2", "canary-3"]
SHOPS = ["shop-1", "shop-2"]
# A device of the unix board can read its own command line, in which its folder has its id.
GOOD = """
async def main():
    import asyncio
    while True:
        print("version 1 works")
        await asyncio.sleep(1)
"""
BAD = """
async def main():
    import asyncio
    with open("/proc/self/cmdline") as file:
        if "canary-3" in file.read():
            raise ValueError("bad on this device")
    while True:
        print("version 2 works")
        await asyncio.sleep(1)
"""
MENDED = GOOD.replace("version 1", "version 4")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A running fleet on version 1, with version 2 and its recovery imported."""
    fleet = CommandFleet(tmp_path_factory.mktemp("rollback"), [*CANARIES, *SHOPS])
    try:
        fleet.make_keys()
        first, bad = fleet.sign(1, GOOD), fleet.sign(2, BAD)
        recovery = fleet.sign_recovery(3, of=1, bad=bad)
        fleet.make_server()
        fleet.make_devices(first)
        fleet.start_server()
        fleet.digests = [fleet.ask("release", "import", one)["digest"] for one in (bad, recovery)]
        fleet.power_on()
        fleet.pawl("group", "set", "canary", *CANARIES)
        fleet.pawl("group", "set", "production", *SHOPS)
        yield fleet
    finally:
        fleet.close()


def offers(fleet, name):
    """Return the releases that a device was ever offered, by its history."""
    return {one["release"] for one in fleet.ask("device", "history", name)}


def blocks(fleet, name):
    """Return what a device's console says of downloads."""
    return [line for line in fleet.consoles[name] if line.startswith("pawl: blocks")]


def test_a_bad_release_goes_no_further_and_comes_back(made):
    """Two canaries confirm it, one reverts: the rollout rolls back, production never hears of the release."""
    bad, recovery = made.digests
    plan = ("--phase", "canary:failures=1", "--phase", "production", "--recovery", recovery)
    planned = made.pawl("rollout", "create", "--release", bad, *plan, "--dry-run")
    assert "phase 1, group canary: 3 devices (canary-1, canary-2, canary-3)" in planned
    # Version 2 runs on both before the third one has used up its trials; the server dies when the first goes back.
    killed = []
    made.triggers["canary-1"] = ("pawl: state DOWNLOAD", lambda: arm(made, killed))
    made.pawl("rollout", "create", "--release", bad, *plan, "--name", "spring")
    watcher = made.watch("spring")
    said, ended = watcher.communicate(timeout=60)
    assert watcher.returncode == 1, ended
    assert killed == ["server"]
    assert "spring: rolled-back" in ended and "next: mend the release" in ended
    assert "spring: rolling-back" in said and "canary-3" in said
    rollout = made.ask("rollout", "show", "spring")
    members = {one["device"]: one["progress"] for one in made.ask("rollout", "devices", "spring")}
    assert rollout["state"] == "rolled-back", members
    assert members["canary-1"] == members["canary-2"] == "recovered"


def arm(fleet, killed):
    """Kill the server when the canary begins to fetch what brings it back."""

    def kill():
        fleet.restart_server()
        killed.append("server")

    time.sleep(0)
    fleet.triggers["canary-1"] = ("pawl: state DOWNLOAD", kill)
