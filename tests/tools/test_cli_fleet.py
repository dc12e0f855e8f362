"""The operator's commands against a real server program: rollouts in phases, groups by filter, devices, events."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "server"))

from server_site import PAWL, WAIT_S, MqttDevice, Site, enroll, until

from pawl import codes
from pawl.ports.host import claim_code
from pawl_tools import event_source, fleet_client
from pawl_tools.credentials import Credentials
from pawl_tools.errors import RefusedError, ToolError

NAMES = [f"cli-{number}" for number in range(1, 5)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A running server with four enrolled devices, two releases and a group of all."""
    site = Site(tmp_path_factory.mktemp("site"))
    site.run(*site.init_arguments)
    settings = site.server / "server.toml"
    settings.write_text('registration = "claim"\n' + settings.read_text())
    site.start()
    site.devices = {name: MqttDevice(site, name) for name in NAMES}
    enroll(site, site.devices.values())
    for device in site.devices.values():
        device.hello()
    site.digests = [
        site.ask("release", "import", site.release(sequence=number, version=(number,)))["digest"]
        for number in (3, 4)
    ]
    site.run("group", "set", "everybody", *NAMES)
    site.run("group", "set", "canary", "cli-1")
    yield site
    for device in site.devices.values():
        device.close()
    site.stop()


def create(site, name, *arguments, release=0):
    """Create a rollout; return what is printed of it as JSON."""
    given = ("rollout", "create", "--release", site.digests[release][:10], "--name", name)
    return site.ask(*given, *arguments)


def credentials(site, port=None):
    token = (site.server / "operator.toml").read_text().split('"')[3]
    return Credentials(server=f"http://127.0.0.1:{port or site.api_port}", token=token)


def test_a_dry_run_says_whom_it_would_take_and_changes_nothing(site):
    """Phases with their devices, and who is left out and why."""
    site.run("group", "exclude", "everybody", "cli-4")
    arguments = ("--group", "everybody", "--phase", "canary", "--phase", "50%:soak=2h", "--phase", "100%")
    planned = create(site, "dry", *arguments, "--dry-run")
    assert [phase["title"] for phase in planned["phases"]] == ["group canary", "50 percent", "100 percent"]
    assert planned["phases"][0]["devices"] == ["cli-1"]
    assert sorted(name for phase in planned["phases"] for name in phase["devices"]) == NAMES[:3]
    assert planned["left_out"] == {"cli-4": "excluded from group everybody"}
    said = site.run("rollout", "create", "--release", site.digests[0], *arguments, "--dry-run").splitlines()
    assert said[0] == "phase 1, group canary: 1 device (cli-1)"
    assert said[-2:] == [
        "left out, excluded from group everybody: 1 device (cli-4)",
        "nothing was changed: run it without --dry-run",
    ]
    assert site.ask("rollout", "list") == []
    site.run("group", "include", "everybody", "cli-4")


def test_a_rollout_is_planned_in_options(site):
    """What the server has is what was said; it waits for approval, and a rejected one never began."""
    plan = create(
        site,
        "planned",
        *("--group", "everybody", "--phase", "canary:soak=2h,failures=3,from=2100-01-01T00:00Z"),
        *("--phase", "100%:success=95,failures-percent=5,at-a-time=2,window=mon-fri/22:00-04:00"),
        *("--silence", "12h", "--tries", "5", "--stays-open", "--approval"),
    )
    first, second = plan["phases"]
    assert (plan["state"], plan["silence_s"], plan["tries_max"]) == ("awaiting-approval", 43200, 5)
    assert plan["stays_open"] and plan["needs_approval"]
    assert (first["soak_s"], first["failure_count"], first["starts_at_s"]) == (7200, 3, 4102444800)
    assert (second["success_percent"], second["failure_count"], second["failure_percent"]) == (95, None, 5)
    assert second["concurrency"] == 2
    assert second["windows"] == [
        {"days": ["mon", "tue", "wed", "thu", "fri"], "start": "22:00", "minutes": 360}
    ]
    assert "`pawl rollout approve planned` or `reject`" in site.run("rollout", "show", "planned")
    assert "awaiting-approval" in site.ask("device", "rollout", "cli-1")["why"]
    assert site.ask("rollout", "reject", "planned")["state"] == "cancelled"
    assert "planned: cancelled (rejected)" in site.run("rollout", "watch", "planned", code=1)


def test_a_rollout_by_percent_is_watched_to_its_end(site):
    """A line per change, the soak between phases, exit 0; members, history and the device's one answer agree."""
    create(site, "wide", "--group", "everybody", "--phase", "canary:soak=2s", "--phase", "100%")
    watched = []
    watcher = threading.Thread(target=lambda: watched.append(site.run_watch("wide")))
    watcher.start()
    site.devices["cli-1"].install()
    for name in NAMES[1:]:
        site.devices[name].install()
    watcher.join(WAIT_S)
    lines = watched[0].splitlines()
    assert lines[0].startswith("wide: running: group canary: 1 ")
    assert any(
        line.endswith(("; group canary soaks for 2 s more", "; group canary soaks for 1 s more"))
        for line in lines
    )
    assert lines[-1] == "wide: done: group canary: 1 succeeded; 100 percent: 3 succeeded"
    assert len(set(lines)) == len(lines)
    # The same plan again changes nothing, and is watched where it is.
    again = (
        "--group",
        "everybody",
        "--phase",
        "canary:soak=2s",
        "--phase",
        "100%",
        "--name",
        "wide",
        "--watch",
    )
    assert site.run("rollout", "create", "--release", site.digests[0], *again).splitlines()[-1] == lines[-1]
    members = site.ask("rollout", "devices", "wide", "--progress", "succeeded")
    assert [one["device"] for one in members] == NAMES
    assert site.ask("rollout", "devices", "wide", "--progress", "failed") == []
    states = [one["state"] for one in site.ask("device", "history", "cli-2")]
    assert states[-1] == "succeeded" and "offered" in states
    assert site.run("device", "history", "cli-2").splitlines()[0].split()[:2] == ["at", "release"]


def test_a_rollout_that_pauses_says_why_and_what_to_do(site):
    """Exit 1, the reason, the next step; what has no recovery release doesn't go back; cancelled, it withdraws."""
    site.run("group", "set", "next", "cli-2")
    create(site, "sore", "--group", "canary", "--group", "next", release=1)
    device = site.devices["cli-1"]
    device.wait_for(codes.OFFER_INSTALL)
    device.fail()
    said = site.run("rollout", "watch", "sore", code=1)
    assert "sore: paused" in said and "cli-1" in said
    assert "next: `pawl rollout devices sore --progress failed`" in said and "`cancel` ends it" in said
    assert "roll-back" not in said
    assert "names no recovery release" in site.run("rollout", "roll-back", "sore", code=1)
    assert site.ask("rollout", "devices", "sore", "--progress", "failed")[0]["reason"] == "trials"
    assert "cli-1" in site.run("device", "list", "--attention")
    assert "failed" in site.run("device", "list").splitlines()[1]
    assert site.run("device", "clear", "cli-1") == "cli-1: cleared\n"
    assert site.ask("device", "list", "--attention") == []
    # Resumed, it overlooks that failure, and the next phase begins.
    assert site.ask("rollout", "resume", "sore")["state"] == "running"
    site.devices["cli-2"].wait_for(codes.OFFER_INSTALL)
    assert site.ask("rollout", "cancel", "sore")["state"] == "cancelled"
    site.devices["cli-2"].wait_for(codes.OFFER_NONE)
    assert "can't resume any more" in site.run("rollout", "resume", "sore", code=1)


def test_groups_by_filter_and_single_devices(site):
    """Tags and time zones are set; a filter is tried, makes a group, and single devices are pinned to it or kept out."""
    assert site.run("device", "tag", "cli-1", "site=b1", "owner=ann") == "cli-1: owner=ann, site=b1; UTC\n"
    assert site.run("device", "tag", "cli-2", "site=b1") == "cli-2: site=b1; UTC\n"
    assert site.ask("device", "tag", "cli-1", "owner=")["tags"] == {"site": "b1"}
    assert site.ask("device", "timezone", "cli-1", "Europe/Rome")["timezone"] == "Europe/Rome"
    assert "no time zone" in site.run("device", "timezone", "cli-1", "Mars/Olympus", code=1)
    matching = 'tag.site == "b1"'
    assert [one["device"] for one in site.ask("device", "list", "--filter", matching)] == NAMES[:2]
    assert site.run("group", "preview", "--filter", matching) == "2 devices: cli-1, cli-2\n"
    assert site.run("group", "set", "b1", "--filter", matching) == "b1: 2 devices\n"
    assert site.run("group", "pin", "b1", "cli-3", "cli-4") == "b1: 4 devices\n"
    assert site.run("group", "exclude", "b1", "cli-1") == "b1: 3 devices\n"
    shown = site.ask("group", "show", "b1")
    assert (shown["devices"], shown["pinned"], shown["excluded"]) == (NAMES[1:], NAMES[2:], NAMES[:1])
    assert site.run("group", "unpin", "b1", "cli-4") == "b1: 2 devices\n"
    assert site.run("group", "include", "b1", "cli-1") == "b1: 3 devices\n"
    assert matching in site.run("group", "list")
    assert site.run("group", "delete", "b1") == "b1: deleted\n"
    assert "no group b1" in site.run("group", "show", "b1", code=1)


@pytest.mark.parametrize(
    "arguments",
    [("device", "list", "--filter"), ("group", "preview", "--filter"), ("group", "set", "x", "--filter")],
)
def test_a_wrong_filter_is_pointed_at(site, arguments):
    """The filter, and under it a caret at the character."""
    message, shown, caret = site.run(*arguments, 'id == "a" and colour == "red"', code=1).split("\n")
    assert message.startswith("filter: ") and "colour" in message
    assert shown == '  id == "a" and colour == "red"'
    assert caret == " " * (2 + shown.strip().index("colour")) + "^"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("rollout", "create", "--release", "AAAAAAAA"), 2, "nobody is meant: give --group"),
        (("rollout", "create", "--release", "AAAAAAAA", "--group", "everybody"), 1, "no release AAAAAAAA"),
        (
            ("rollout", "create", "--release", "AAAAAAAA", "--phase", "10%:soak=2"),
            2,
            "\n  10%:soak=2\n           ^",
        ),
        (
            ("rollout", "create", "--release", "AAAAAAAA", "--group", "a", "--silence", "x"),
            2,
            "expected a duration",
        ),
        (
            ("rollout", "create", "--release", "{0}", "--phase", "10%", "--group", "canary", "--tries", "99"),
            1,
            "tries_max: ",
        ),
        (
            (
                "rollout",
                "create",
                "--release",
                "{0}",
                "--phase",
                "50%",
                "--phase",
                "10%",
                "--group",
                "canary",
            ),
            1,
            "phases.1.size: percents are cumulative",
        ),
        (
            ("rollout", "create", "--release", "{0}", "--group", "canary", "--recovery", "{1}"),
            1,
            "recovery: it is no recovery release: sign one with `pawl release recover`",
        ),
        (("device", "tag", "cli-1", "site"), 2, "'site' is no tag: write site=b1"),
        (("device", "list", "--attention", "--filter", "late == true"), 2, "without --filter"),
        (("group", "set", "x"), 2, "one of the two"),
        (("group", "set", "x", "cli-1", "--filter", "late == true"), 2, "one of the two"),
        (("group", "preview"), 2, "give the --filter"),
        (("device", "claim", "cli-9", "AAAA"), 1, "; "),
        (("release", "show", "AAAAAAAA"), 1, "no release AAAAAAAA"),
        (("release", "show", "none.pawl"), 2, "No such file"),
        (("events", "--rollout", "none"), 1, "no rollout none"),
    ],
)
def test_what_can_not_be_asked_is_said(site, arguments, code, says):
    """In words with the next step: 1 refused, 2 unusable."""
    said = site.run(*(one.format(*site.digests) for one in arguments), code=code)
    assert says in said, said


def test_releases_are_shown_by_digest_and_by_file(site):
    """A digest is asked of the server, a file is read."""
    assert site.ask("release", "show", site.digests[0][:8])["digest"] == site.digests[0]
    assert "imported at" in site.run("release", "show", site.digests[0])
    assert "version" in site.run("release", "show", site.folder / "release.pawl")


def test_events_are_listed(site):
    """All of them, those behind a number, those of a rollout; each printed line is one."""
    everything = [json.loads(line) for line in site.run("events", "--json").splitlines()]
    numbers = [one["id"] for one in everything]
    assert numbers == sorted(numbers) and any(one["kind"] == "rollout-changed" for one in everything)
    behind = [json.loads(line) for line in site.run("events", "--after", numbers[2], "--json").splitlines()]
    assert behind == everything[3:]
    told = site.run("events", "--rollout", "wide").splitlines()
    assert 0 < len(told) < len(everything)
    assert "rollout-changed" in told[0] and "name=wide" in told[0]


def test_events_are_followed_from_a_number(site):
    """Those that were, at once; then those that come."""
    first, second = (json.loads(line)["id"] for line in site.run("events", "--json").splitlines()[:2])
    environment = {**os.environ, "PAWL_CREDENTIALS": str(site.server / "operator.toml")}
    command = [PAWL, "events", "--follow", "--after", str(first)]
    # A shell that runs this in the background has switched the signal off, for its children too.
    interruptible = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=interruptible,  # noqa: PLW1509  # one call that takes no lock
    ) as follower:
        assert int(follower.stdout.readline().split()[0]) == second
        create(site, "news", "--group", "canary", "--approval", release=1)
        assert any("name=news" in line for line in iter(follower.stdout.readline, ""))
        follower.send_signal(signal.SIGINT)
    assert follower.returncode == 130
    site.run("rollout", "reject", "news")


def test_a_stream_goes_on_where_a_server_was_killed(site):
    """Killed while somebody follows, and started again: every event once, in order."""
    seen = []

    def follow():
        with fleet_client.FleetClient(credentials(site)) as fleet:
            for message in event_source.follow(fleet, "/events/stream", after=0):
                seen.append(int(message.id))
                if message.content["content"].get("name") == "later":
                    return

    follower = threading.Thread(target=follow)
    follower.start()
    until(lambda: seen)
    site.kill()
    site.start()
    create(site, "later", "--group", "canary", release=1)
    follower.join(WAIT_S)
    assert not follower.is_alive() and seen == sorted(set(seen))
    kept = [json.loads(line)["id"] for line in site.run("events", "--json").splitlines()]
    assert set(seen) <= set(kept) and seen[0] == kept[0]
    site.run("rollout", "cancel", "later")


class Breaker:
    """Stands between client and server, and cuts the first connections when the server's answer is on its way."""

    def __init__(self, port, breaks):
        self.breaks = breaks
        self.keys = []
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            client, _ = self._listener.accept()
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client):
        with client, closing(socket.create_connection(("127.0.0.1", self._to))) as server:
            threading.Thread(target=self._ask, args=(client, server), daemon=True).start()
            while answer := server.recv(65536):
                if self.breaks:
                    self.breaks -= 1
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(answer)

    def _ask(self, client, server):
        with suppress(OSError):
            while asked := client.recv(65536):
                lines = asked.split(b"\r\n")
                self.keys += [line for line in lines if line.lower().startswith(b"idempotency-key")]
                server.sendall(asked)


@pytest.mark.parametrize(("breaks", "is_answered"), [(1, True), (2, False)])
def test_a_request_that_broke_is_sent_once_more_with_its_key(site, breaks, is_answered):
    """The server did it once, though it was asked twice; the second break is told."""
    name = f"broken-{breaks}"
    plan = {"release": site.digests[1], "groups": ["canary"], "name": name, "needs_approval": True}
    breaker = Breaker(site.api_port, breaks)
    with fleet_client.FleetClient(credentials(site, breaker.port)) as fleet:
        if is_answered:
            assert fleet.post("/rollouts", plan)["name"] == name
        else:
            with pytest.raises(ToolError, match="no answer from"):
                fleet.post("/rollouts", plan)
    assert len(breaker.keys) == 2 and len(set(breaker.keys)) == 1
    assert [one["name"] for one in site.ask("rollout", "list")].count(name) == 1
    site.run("rollout", "reject", name)


def test_nobody_there_is_said_at_once(site):
    """A command doesn't wait for a server that never was there."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    began = time.monotonic()
    with fleet_client.FleetClient(credentials(site, port)) as fleet:
        with pytest.raises(ToolError, match="does `pawl server run` run there"):
            next(event_source.follow(fleet, "/events/stream"))
        with pytest.raises(ToolError, match="does `pawl server run` run there"):
            fleet.post("/rollouts", {})
    assert time.monotonic() - began < WAIT_S / 2


def test_problems_of_a_stream_are_told(site):
    """A rollout that isn't there has no stream."""
    with (
        fleet_client.FleetClient(credentials(site)) as fleet,
        pytest.raises(RefusedError, match="no rollout none"),
    ):
        next(event_source.follow(fleet, "/rollouts/none/events"))


def test_a_device_is_claimed_by_its_code(site):
    """It said hello and waits; the code on its label lets it in."""
    device = MqttDevice(site, "late-1")
    until(lambda: site.ask("device", "candidates"))
    assert [one["device"] for one in site.ask("device", "candidates")] == ["late-1"]
    enrolment = device.device.enrolment
    code = claim_code.write("late-1", enrolment.report_x, enrolment.report_y)
    assert site.run("device", "claim", "late-1", code) == "late-1: enrolled\n"
    assert "late-1" in site.run("device", "list")
    assert site.ask("device", "candidates") == []
    device.close()
