"""A bad release on five real devices, by commands alone: its failure stops it, and brings back who took it.

The application fails on one of three canaries: there it reads its device's id, and crashes.
"""

import pytest
from command_fleet import CommandFleet
from offer_tap import OfferTap

from pawl import codes

CANARIES = ["canary-1", "canary-2", "canary-3"]
SHOPS = ["shop-1", "shop-2"]
FAILS = "canary-3"
GOOD = """
async def main():
    import asyncio
    while True:
        print("version {version} works")
        await asyncio.sleep(1)
"""
# A device of the unix board can read its own command line, in which the folder of its flash has its id.
BAD = """
async def main():
    import asyncio
    with open("/proc/self/cmdline") as file:
        if "canary-3" in file.read():
            raise ValueError("bad on this device")
    while True:
        print("version {version} works")
        await asyncio.sleep(1)
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """Five devices that run version 1; imported: version 2, which is bad, its recovery, and version 4, which is bad too."""
    fleet = CommandFleet(tmp_path_factory.mktemp("rollback"), [*CANARIES, *SHOPS])
    try:
        fleet.make_keys()
        files = {
            number: fleet.sign(number, text.format(version=number))
            for number, text in ((1, GOOD), (2, BAD), (4, BAD))
        }
        files[3] = fleet.sign_recovery(3, of=1, bad=files[2])
        fleet.make_server()
        fleet.make_devices(files[1])
        fleet.start_server()
        fleet.tap = OfferTap(fleet.server)
        fleet.digests = {
            number: fleet.ask("release", "import", files[number])["digest"] for number in (2, 3, 4)
        }
        fleet.power_on()
        fleet.pawl("group", "set", "canary", *CANARIES)
        fleet.pawl("group", "set", "production", *SHOPS)
        yield fleet
        fleet.tap.close()
    finally:
        fleet.close()


def confirm_on_two(fleet, rollout):
    """Switch the third canary on when the release is confirmed on the other two."""
    succeeded = ("rollout", "devices", rollout, "--progress", "succeeded")
    fleet.until(lambda: [one["device"] for one in fleet.ask(*succeeded)] == CANARIES[:2])
    fleet.devices[FAILS].power_on()


def progress(fleet, rollout):
    """Return how far each device of a rollout is."""
    return {one["device"]: one["progress"] for one in fleet.ask("rollout", "devices", rollout)}


def states(fleet, device):
    """Return what became of the releases of a device: version, state and reason."""
    numbers = {digest: number for number, digest in fleet.digests.items()}
    history = fleet.ask("device", "history", device)
    return [(numbers[one["release"]], one["state"], one["reason"]) for one in history]


def why(fleet, device):
    """Return which rollout applies to a device, in the server's words."""
    return fleet.ask("device", "rollout", device)["why"]


def require_untouched(fleet, device):
    """Nothing was offered to this device, ever, and it did nothing: by history, broker and console."""
    assert fleet.ask("device", "history", device) == []
    assert fleet.tap.installs(device) == []
    assert not any(
        line.startswith(("pawl: blocks", "pawl: state DOWNLOAD")) for line in fleet.consoles[device]
    )
    assert {line for line in fleet.consoles[device] if line.startswith("version")} == {"version 1 works"}


def test_a_bad_release_goes_no_further_and_comes_back(fleet):
    """One of three canaries fails: the others go back through a kill of the server, production never hears of it."""
    bad, recovery = fleet.digests[2], fleet.digests[3]
    plan = ("--phase", "canary:failures=1", "--phase", "production", "--recovery", recovery)
    planned = fleet.pawl("rollout", "create", "--release", bad, *plan, "--dry-run")
    assert "phase 1, group canary: 3 devices (canary-1, canary-2, canary-3)\n" in planned
    assert fleet.ask("rollout", "list") == []
    fleet.devices[FAILS].power_off()
    fleet.pawl("rollout", "create", "--release", bad, *plan, "--name", "spring")
    watcher = fleet.watch("spring")
    confirm_on_two(fleet, "spring")
    lines = []
    for line in watcher.stdout:
        lines.append(line)
        if "spring: rolling-back" in line:
            break
    story = {name: why(fleet, name) for name in fleet.names}
    fleet.restart_server()
    said, ended = watcher.communicate(timeout=60)
    assert watcher.returncode == 1, (lines, said, ended)
    cause = "phase 1 (group canary): 1 of 3 devices failed (canary-3: trials), 1 stop it"
    assert f"spring: rolling-back ({cause}): group canary: " in lines[-1]
    assert ended.splitlines() == [
        f"spring: rolled-back ({cause})",
        "next: mend the release, and roll out another one with a higher sequence",
    ]
    assert said.splitlines()[-1].endswith(
        "group canary: 1 failed, 2 recovered; group production: 2 withdrawn"
    )
    for name in CANARIES[:2]:
        assert story[name].startswith(
            "in rollout spring, phase 1 (group canary): goes back to the recovery release"
        )
    assert story["canary-3"].startswith("in rollout spring, phase 1 (group canary): failed: trials")
    assert story["shop-1"].startswith("in rollout spring, phase 2 (group production): isn't asked any more")
    assert progress(fleet, "spring") == {
        **dict.fromkeys(CANARIES[:2], "recovered"),
        FAILS: "failed",
        **dict.fromkeys(SHOPS, "withdrawn"),
    }


def test_who_took_it_runs_the_content_of_before(fleet):
    """Under the recovery's sequence, confirmed, said in signed reports; the third canary reverted by itself."""
    recovery = fleet.digests[3]
    for name in CANARIES[:2]:
        shown = fleet.ask("device", "show", name)
        assert (shown["sequence"], shown["confirmed"], shown["version"]) == (3, recovery, "1")
        # The server was killed: an offer that came twice is answered twice.
        installed = [one["release"] for one in shown["reports"] if one["event"] == "installed"]
        assert list(dict.fromkeys(installed)) == [recovery, fleet.digests[2]]
        assert [(number, state) for number, state, _ in states(fleet, name) if state == "succeeded"] == [
            (2, "succeeded"),
            (3, "succeeded"),
        ]
        assert fleet.tap.installs(name) == [fleet.digests[2], recovery]
        fleet.until(lambda name=name: fleet.consoles[name][-1] == "version 1 works")
        spoken = [line for line in fleet.consoles[name] if line.startswith("version")]
        assert list(dict.fromkeys(spoken)) == ["version 1 works", "version 2 works"]
    assert states(fleet, FAILS)[-1] == (2, "failed", "trials")
    assert fleet.ask("device", "show", FAILS)["sequence"] == 1
    assert fleet.tap.installs(FAILS) == [fleet.digests[2]]
    assert fleet.consoles[FAILS].count("pawl: application crashed") == 3
    assert [one["device"] for one in fleet.ask("device", "list", "--attention")] == [FAILS]
    assert why(fleet, "canary-1") == "no rollout that runs has a group with it"


@pytest.mark.parametrize("shop", SHOPS)
def test_production_never_saw_the_bad_release(fleet, shop):
    """Neither by the server's history, nor by what the broker handed out, nor by what the device did."""
    require_untouched(fleet, shop)


def test_without_a_recovery_it_pauses_and_an_operator_decides(fleet):
    """Paused, with no way back; retried, it asks the failed one again; cancelled, it withdraws that, and doesn't go on."""
    fleet.devices[FAILS].power_off()
    groups = ("--group", "canary", "--group", "production")
    fleet.pawl("rollout", "create", "--release", fleet.digests[4], *groups, "--name", "summer")
    confirm_on_two(fleet, "summer")
    code, said = fleet.run("rollout", "watch", "summer")
    assert code == 1
    assert (
        "summer: paused (phase 1 (group canary): 1 of 3 devices failed (canary-3: trials), 1 stop it)" in said
    )
    assert "next: `pawl rollout devices summer --progress failed` says which devices and why" in said
    code, said = fleet.run("rollout", "roll-back", "summer")
    assert code == 1 and "names no recovery release" in said
    fleet.devices[FAILS].power_off()
    assert fleet.ask("rollout", "retry", "summer")["state"] == "running"
    fleet.until(lambda: progress(fleet, "summer")[FAILS] == "open")
    assert fleet.ask("rollout", "cancel", "summer")["state"] == "cancelled"
    fleet.until(lambda: progress(fleet, "summer")[FAILS] == "withdrawn")
    code, said = fleet.run("rollout", "watch", "summer")
    assert code == 1 and "summer: cancelled (cancelled by an operator)" in said
    code, said = fleet.run("rollout", "resume", "summer")
    assert code == 1 and "rollout summer is cancelled: it can't resume any more" in said
    crashes = fleet.consoles[FAILS].count("pawl: application crashed")
    offers = len(fleet.tap.offers)
    fleet.devices[FAILS].power_on()
    fleet.until(lambda: (FAILS, codes.OFFER_NONE, None) in fleet.tap.offers[offers:])
    assert fleet.consoles[FAILS].count("pawl: application crashed") == crashes
    assert progress(fleet, "summer") == {
        **dict.fromkeys(CANARIES[:2], "succeeded"),
        FAILS: "withdrawn",
        **dict.fromkeys(SHOPS, "withdrawn"),
    }
    for shop in SHOPS:
        require_untouched(fleet, shop)
