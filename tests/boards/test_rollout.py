"""Two boards in one rollout, canary first, with the server and the bridge as programs and operators' commands alone."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from programs import GO_ON, image_of
from typer.testing import CliRunner

from pawl_tools.cli import app
from pawl_tools.site import HOST, free_ports

PAWL = Path(sys.executable).with_name("pawl")
CANARY, PRODUCTION = "bench-1", "bench-2"
BOOTS = ["pawl: boot 1 row 7 slot A", "pawl: boot 2 row 5 slot B"]
GROUPS = {"canary": CANARY, "production": PRODUCTION}


class Fleet:
    """A server's folder, two boards, and the programs that run; everything is made by commands."""

    def __init__(self, folder, bench):
        self.folder = folder
        self.server = folder / "server"
        self.ports, self._more = free_ports(), free_ports()
        self.boards = {name: bench.board(name) for name in GROUPS.values()}
        self._programs = []

    def pawl(self, *words):
        """Run a command; return its output."""
        environment = {"PAWL_CREDENTIALS": str(self.server / "operator.toml")}
        done = CliRunner().invoke(app, [str(word) for word in words], env=environment, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    def start(self, *words, output=subprocess.DEVNULL):
        """Start a program, which `close` stops."""
        program = subprocess.Popen(
            [PAWL, *map(str, words)], stdout=output, stderr=subprocess.STDOUT, text=True
        )
        self._programs.append(program)
        return program

    def close(self):
        """Stop all programs, the newest first."""
        for program in reversed(self._programs):
            program.send_signal(signal.SIGTERM)
            program.communicate()

    def make(self):
        """Make keys, anchor, two releases, the server's folder and the boards."""
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
            self._make_release(version)
        self.pawl(
            *("server", "init", self.server, "--trust", folder / "trust.cbor"),
            *("--director", folder / "director", "--device-ca", folder / "ca"),
            *("--device-port", self.ports.devices, "--server-port", self.ports.server),
            *("--api-port", self._more.devices),
        )
        for name, board in self.boards.items():
            self._make_board(name, board)

    def _make_release(self, version):
        image, bundle = self.folder / f"{version}.romfs", self.folder / f"{version}.pawl"
        files = {"main.py": f"print('version {version}')" + GO_ON, "pages.bin": bytes(20000)}
        image.write_bytes(image_of(self.folder, files))
        self.pawl(
            *("release", "sign", image, "-o", bundle, "--key", self.folder / "release"),
            *("--sequence", version, "--version", version, "--vendor", "example.com", "--class", "board"),
        )

    def _make_board(self, name, board):
        device = self.folder / "devices" / name
        device.parent.mkdir(exist_ok=True)
        self.pawl(
            *("provision", device, "--device", name, "--board", board.name),
            *("--trust", self.folder / "trust.cbor", "--release", self.folder / "1.pawl"),
            *("--ca", self.folder / "ca", "--broker", f"{HOST}:{self.ports.devices}"),
        )
        board.write_flash((device / "flash.bin").read_bytes())

    def power_on(self):
        """Start server and bridge, let the devices in, switch the boards on."""
        server = self.start("server", "run", self.server, output=subprocess.PIPE)
        assert server.stdout.readline().startswith("devices:")
        self.pawl(
            "device", "enroll", *[self.folder / "devices" / name / "enrolment.json" for name in self.boards]
        )
        lines = [board.line for board in self.boards.values()]
        self.start("bridge", *lines, "--broker", f"{HOST}:{self.ports.devices}")
        for board in self.boards.values():
            board.power_on()

    def roll_out(self):
        """Import the second release and roll it out to both groups, in order; return its digest and what watching it told."""
        for group, name in GROUPS.items():
            self.pawl("group", "set", group, name)
        digest = json.loads(self.pawl("release", "import", self.folder / "2.pawl", "--json"))["digest"]
        groups = [word for group in GROUPS for word in ("--group", group)]
        self.pawl("rollout", "create", "--release", digest, *groups, "--name", "spring")
        return digest, [
            json.loads(text) for text in self.pawl("rollout", "watch", "spring", "--json").splitlines()
        ]


@pytest.fixture
def fleet(tmp_path, bench):
    """Made, switched on, and closed after the test."""
    fleet = Fleet(tmp_path, bench)
    try:
        fleet.make()
        fleet.power_on()
        yield fleet
    finally:
        fleet.close()


def test_two_boards_in_two_groups(fleet):
    """The canary's success asks production; both run the release, and the server's own reports say so."""
    digest, told = fleet.roll_out()
    states = [{phase["group"]: phase["devices"] for phase in one["phases"]} for one in told]
    assert (states[0]["canary"]["succeeded"], states[0]["production"]["waiting"]) == (0, 1)
    assert all(one["canary"]["succeeded"] or one["production"]["waiting"] for one in states)
    assert states[-1]["canary"]["succeeded"] == states[-1]["production"]["succeeded"] == 1
    assert told[-1]["state"] == "done"
    for name, board in fleet.boards.items():
        shown = json.loads(fleet.pawl("device", "show", name, "--json"))
        assert (shown["slot"], shown["sequence"], shown["confirmed"]) == ("B", 2, digest)
        assert not shown["late"]
        installed = [one["release"] for one in shown["reports"] if one["event"] == "installed"]
        assert installed == [digest]
        lines = [line.text for line in board.console.lines]
        assert [line for line in lines if line.startswith("pawl: boot")] == BOOTS
        assert lines.index("version 1") < lines.index("version 2")
