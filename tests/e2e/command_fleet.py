"""A fleet that commands alone made: keys, anchor, releases, server program, and real MicroPython devices with their consoles."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from typer.testing import CliRunner

from pawl_tools import launcher, pack, toolchain
from pawl_tools.cli import app
from pawl_tools.errors import ToolError
from pawl_tools.site import free_ports

PAWL = Path(sys.executable).with_name("pawl")
DEADLINE_S = 60
IDENTITY = ("--vendor", "example.com", "--class", "board")


class CommandFleet:
    """One folder; `consoles` has what each device said, `triggers` what happens once at a console line."""

    def __init__(self, folder, names):
        self.folder = folder
        self.server = folder / "server"
        self.programs = toolchain.find()
        self.names = names
        self.consoles = {name: [] for name in names}
        self.triggers = {}
        self.devices = {}
        self.process = None

    def run(self, *arguments):
        """Run a command; return its exit code and all that it said."""
        environment = {"PAWL_CREDENTIALS": str(self.server / "operator.toml")}
        done = CliRunner().invoke(app, [str(one) for one in arguments], env=environment)
        if isinstance(done.exception, ToolError):
            return done.exception.exit_code, str(done.exception)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.output

    def pawl(self, *arguments):
        """Run a command, which must succeed; return what it said."""
        code, said = self.run(*arguments)
        assert code == 0, said
        return said

    def ask(self, *arguments):
        """Return what a command prints as JSON."""
        return json.loads(self.pawl(*arguments, "--json"))

    def make_keys(self):
        """Make two release keys, a recovery key and the others, and an anchor that wants both release keys."""
        folder = self.folder
        for name in ("root", "release-1", "release-2", "recovery", "director"):
            self.pawl("keys", "new", folder / name)
        self.pawl("ca", "new", folder / "ca")
        self.pawl(
            *("trust", "init", folder / "trust.cbor", "--root", folder / "root", "--threshold", "release=2"),
            *("--release", folder / "release-1.pub", "--release", folder / "release-2.pub"),
            *("--recovery", folder / "recovery.pub", "--director", folder / "director.pub"),
            *("--ca", folder / "ca" / "ca.crt", "--server-name", "localhost"),
        )

    def sign(self, number, main):
        """Pack an application of this `main.py` and sign it as this version; return the file."""
        return self.sign_image(number, self._packed(number, main))

    def sign_image(self, number, image):
        """Sign an image as this version, by both keys; return the file."""
        release = self.folder / f"{number}.pawl"
        keys = ("--key", self.folder / "release-1", "--key", self.folder / "release-2")
        self.pawl(
            *("release", "sign", image, "-o", release, *keys),
            *("--sequence", number, "--version", number, *IDENTITY),
        )
        return release

    def _packed(self, number, main):
        source = self.folder / f"source-{number}"
        source.mkdir()
        (source / "main.py").write_text(main)
        image = self.folder / f"{number}.romfs"
        self.pawl("pack", source, "-o", image)
        return image

    def sign_recovery(self, number, of, bad):
        """Sign the content of a version as a recovery from the bad one; return the file."""
        release = self.folder / f"{number}.pawl"
        self.pawl(
            *("release", "recover", self.folder / f"{of}.romfs", "-o", release, "--recovers", bad),
            *("--key", self.folder / "recovery", "--trust", self.folder / "trust.cbor"),
            *("--sequence", number, "--version", of, *IDENTITY),
        )
        return release

    def make_server(self):
        """Make the server's folder."""
        ports, more = free_ports(), free_ports()
        self.device_port = ports.devices
        self.pawl(
            *("server", "init", self.server, "--trust", self.folder / "trust.cbor"),
            *("--director", self.folder / "director", "--device-ca", self.folder / "ca"),
            *("--device-port", ports.devices, "--server-port", ports.server, "--api-port", more.devices),
        )

    def make_devices(self, release):
        """Provision devices that run this release."""
        (self.folder / "ids").write_text("\n".join(self.names))
        self.pawl(
            *("provision", self.folder / "devices", "--devices", self.folder / "ids"),
            *("--trust", self.folder / "trust.cbor", "--release", release),
            *("--ca", self.folder / "ca", "--broker", f"localhost:{self.device_port}"),
        )
        agent = self.folder / "agent.romfs"
        agent.write_bytes(pack.pack_agent(self.programs))
        for name in self.names:
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
        lines = [self.process.stdout.readline() for _ in range(2)]
        assert lines[1].startswith("API:"), lines

    def restart_server(self):
        """SIGKILL, and a new one at once."""
        self.process.kill()
        self.process.communicate()
        self.start_server()

    def power_on(self):
        """Enroll every device and switch it on; return when the server has heard of all."""
        folders = [self.folder / "devices" / name / "enrolment.json" for name in self.names]
        self.pawl("device", "enroll", *folders)
        for device in self.devices.values():
            device.power_on()
        self.until(lambda: all(one["last_seen_s"] for one in self.ask("device", "list")))

    def watch(self, rollout):
        """Start `pawl rollout watch` as a program of its own."""
        environment = {**os.environ, "PAWL_CREDENTIALS": str(self.server / "operator.toml")}
        return subprocess.Popen(
            [PAWL, "rollout", "watch", rollout],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def until(self, fact):
        """Wait until something is so, or fail with the consoles."""
        deadline = time.monotonic() + DEADLINE_S
        while not fact():
            assert time.monotonic() < deadline, self.last_words()
            time.sleep(0.2)

    def last_words(self):
        """Return what the agents said last, and what the server knows."""
        said = {
            name: [one for one in lines if one[:5] == "pawl:"][-6:] for name, lines in self.consoles.items()
        }
        return said, self.run("rollout", "list"), self.run("device", "list")

    def close(self):
        """Switch everything off."""
        for device in self.devices.values():
            device.power_off()
        if self.process is not None:
            self.process.terminate()
            self.process.communicate()
