"""The process of an emulator: one thread starts it, drains its output, and reaps it.

The thread lives as long as the process, because the kernel kills the process (setpriv --pdeathsig) when the thread
that started it ends: so nothing is left running when the tests themselves are killed.
"""

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pawl_boards.errors import BoardError

_CHUNK_BYTES = 65536
_ERROR_BYTES_SHOWN = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What is started: arguments, working folder, environment, file descriptors to pass, and where stderr goes."""

    arguments: Sequence[str]
    folder: Path
    errors: Path
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    pass_fds: tuple[int, ...] = ()


class EmulatorProcess:
    """A running emulator. `on_output` gets bytes of its stdout, `on_end` what it died of ("" if it was killed here)."""

    def __init__(
        self, program: Program, on_output: Callable[[bytes], None], on_end: Callable[[str], None]
    ) -> None:
        self._program = program
        self._on_output = on_output
        self._on_end = on_end
        self._is_started = threading.Event()
        self._is_wanted = True
        self._start_fault: OSError | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, daemon=True, name=program.arguments[0])
        self._thread.start()
        self._is_started.wait()
        if self._start_fault is not None:
            self._thread.join()
            raise BoardError(f"{program.arguments[0]} can't be started: {self._start_fault}")

    @property
    def is_running(self) -> bool:
        """Whether the process lives and wasn't killed here."""
        return self._is_wanted and self._lives()

    @property
    def process_id(self) -> int:
        """The process's id."""
        assert self._process is not None  # noqa: S101 (the constructor would have raised)
        return self._process.pid

    def kill(self) -> None:
        """Kill it and all it started; doesn't wait."""
        self._is_wanted = False
        if self._lives():
            os.killpg(self.process_id, signal.SIGKILL)

    def wait(self) -> None:
        """Return when it is reaped and its last output was taken; not for callbacks, which are part of that."""
        self._thread.join()

    def send(self, text: str) -> None:
        """Write to its stdin."""
        assert self._process is not None  # noqa: S101 (as above)
        assert self._process.stdin is not None  # noqa: S101 (a pipe)
        self._process.stdin.write(text.encode())
        self._process.stdin.flush()

    def _lives(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _run(self) -> None:
        try:
            with self._program.errors.open("ab") as errors:
                self._process = self._start(errors.fileno())
        except OSError as fault:
            self._start_fault = fault
            return
        finally:
            self._is_started.set()
        with self._process as process:
            assert process.stdout is not None  # noqa: S101 (a pipe)
            while chunk := os.read(process.stdout.fileno(), _CHUNK_BYTES):
                self._on_output(chunk)
        self._on_end(self._cause(process.returncode))

    def _start(self, errors: int) -> subprocess.Popen[bytes]:
        guard = [setpriv, "--pdeathsig", "KILL", "--"] if (setpriv := shutil.which("setpriv")) else []
        return subprocess.Popen(
            [*guard, *self._program.arguments],
            cwd=self._program.folder,
            env=dict(self._program.environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            pass_fds=self._program.pass_fds,
            start_new_session=True,  # what it starts dies with it; Ctrl-C is for the tests
        )

    def _cause(self, code: int) -> str:
        if not self._is_wanted:
            return ""
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        return f"{self._program.arguments[0]} ended by itself {how}: {last_errors(self._program.errors) or 'it said nothing'}"


def last_errors(path: Path) -> str:
    """Return the end of what an emulator wrote to stderr."""
    return path.read_bytes()[-_ERROR_BYTES_SHOWN:].decode(errors="replace").strip()
