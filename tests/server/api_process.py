"""Runs `api_program.py`, so that tests can ask it over HTTP and kill it."""

import socket
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).with_name("api_program.py")


class ApiProcess:
    """The interface over one folder, always on the same port."""

    def __init__(self, folder, *options):
        self.folder = folder
        self._options = options
        self.errors = folder / "api.log"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self._process = None

    def start(self):
        """Return when it listens."""
        with self.errors.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, PROGRAM, self.folder, str(self.port), *self._options],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        assert self._process.stdout.readline() == "ready\n", self.errors.read_text()

    def kill(self):
        """Kill it, wherever it is."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_error):
        self.kill()
