"""One mosquitto as a child process: found, written, started, awaited, stopped.

Refuses to start on a port that is taken, and ends what a killed server left behind. Who supervises is the caller's
choice: a mosquitto that dies is not started again here.
"""

import re
import shutil
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path

from pawl_server.mqtt import orphan
from pawl_server.mqtt.broker_config import CONFIGURATION_NAME

START_TIMEOUT_S = 15.0
STOP_TIMEOUT_S = 15.0
_POLL_S = 0.02
_LOG_LINES_IN_ERRORS = 8
_LOG_BYTES_IN_ERRORS = 8192
# Debian puts daemons where a user's PATH doesn't look.
_SEARCHED_TOO = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")


class BrokerError(Exception):
    """The broker can't run; the message says why and what to do."""


class Mosquitto(ABC):
    """The process that runs from one folder; subclasses say where it listens and what it is told."""

    def __init__(self, folder: Path, program: str) -> None:
        self._folder = folder
        self._program = program
        self._child: subprocess.Popen[bytes] | None = None
        self._log_begins_at = 0

    @abstractmethod
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Return host and port of every listener."""

    @abstractmethod
    def write_configuration(self, program: str, version: tuple[int, ...]) -> Path:
        """Write what this mosquitto is told, and return the file."""

    @property
    def pid(self) -> int:
        """Return the child's process id; raises BrokerError if it was not started."""
        if self._child is None:
            raise BrokerError("the broker was not started")
        return self._child.pid

    @property
    def is_running(self) -> bool:
        """Whether the child was started and is alive."""
        return self._child is not None and self._child.poll() is None

    @property
    def log_path(self) -> Path:
        """Return where mosquitto logs."""
        return self._folder / "mosquitto.log"

    def start(self) -> None:
        """Write the configuration, start mosquitto and wait until every listener answers; raises BrokerError."""
        if self.is_running:
            raise BrokerError(f"the broker already runs as process {self.pid}")
        program = find_mosquitto(self._program)
        orphan.end(self._folder, self._folder / CONFIGURATION_NAME)
        self._refuse_taken_ports()
        configuration = self.write_configuration(program, read_version(program))
        self._log_begins_at = self.log_path.stat().st_size if self.log_path.exists() else 0
        with (self._folder / "mosquitto.out").open("wb") as output:
            self._child = subprocess.Popen(
                [program, "-c", str(configuration)], stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        orphan.remember(self._folder, self._child.pid)
        self._await_listeners(self._child)

    def stop(self) -> None:
        """Stop mosquitto so that it saves its state; a broker that doesn't run is left alone."""
        child, self._child = self._child, None
        if child is None:
            return
        child.terminate()
        try:
            child.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def _refuse_taken_ports(self) -> None:
        # mosquitto would say it too, but as "Address already in use" without the port.
        for host, port in self.addresses():
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((host, port))
                except OSError as error:
                    raise BrokerError(
                        f"can't listen on {host} port {port}: {error.strerror}; is another broker running there?"
                    ) from error

    def _await_listeners(self, child: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not all(_answers(host, port) for host, port in self.addresses()):
            if child.poll() is not None:
                self._child = None
                raise BrokerError(
                    f"mosquitto ended at start with status {child.returncode}:\n{self._last_words()}"
                )
            if time.monotonic() > deadline:
                self.stop()
                raise BrokerError(
                    f"mosquitto didn't listen within {START_TIMEOUT_S:g} s:\n{self._last_words()}"
                )
            time.sleep(_POLL_S)

    def _last_words(self) -> str:
        """Return the last lines of this start's output and log, for a person."""
        words = (self._folder / "mosquitto.out").read_bytes()[-_LOG_BYTES_IN_ERRORS:]
        if self.log_path.exists():
            words += self.log_path.read_bytes()[self._log_begins_at :][-_LOG_BYTES_IN_ERRORS:]
        lines = words.decode(errors="replace").splitlines()[-_LOG_LINES_IN_ERRORS:]
        return "\n".join(f"  {line}" for line in lines) or "  (it said nothing)"


def _answers(host: str, port: int) -> bool:
    any_to_loopback = {"0.0.0.0": "127.0.0.1", "::": "::1"}
    try:
        with socket.create_connection((any_to_loopback.get(host, host), port), timeout=1):
            return True
    except OSError:
        return False


def find_mosquitto(program: str) -> str:
    """Return the path of the broker program; raises BrokerError that says how to get it."""
    found = shutil.which(program) or shutil.which(program, path=":".join(_SEARCHED_TOO))
    if found is None:
        raise BrokerError(f"{program} is not installed: `apt install mosquitto`, or its like, provides it")
    return found


def read_version(program: str) -> tuple[int, int, int]:
    """Return mosquitto's version as it prints it; raises BrokerError for a program that doesn't, or before 2.0."""
    shown = subprocess.run(
        [program, "-h"], capture_output=True, text=True, check=False, timeout=START_TIMEOUT_S
    )
    match = re.search(r"mosquitto version (\d+)\.(\d+)\.(\d+)", shown.stdout + shown.stderr)
    if match is None:
        raise BrokerError(f"{program} -h prints no mosquitto version")
    major, minor, patch = (int(part) for part in match.groups())
    if major < 2:
        raise BrokerError(f"{program} is mosquitto {major}.{minor}.{patch}; 2.0 or later is needed")
    return major, minor, patch
