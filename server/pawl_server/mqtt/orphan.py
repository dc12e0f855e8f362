"""Ends a broker that outlived the server which had started it: a server that is killed can't stop its child.

Refuses to end anything else: the process must be the one whose number was kept, and run with our configuration file.
"""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

FILE_NAME = "mosquitto.pid"
_STOP_TIMEOUT_S = 15.0
_POLL_S = 0.02


def remember(folder: Path, pid: int) -> None:
    """Keep the number of the broker that was started with this folder's configuration."""
    (folder / FILE_NAME).write_text(str(pid))


def end(folder: Path, configuration: Path) -> None:
    """End the broker that was left over in this folder, if any, so that it saves its state."""
    try:
        pid = int((folder / FILE_NAME).read_text())
    except (OSError, ValueError):
        return
    if not _is_ours(pid, configuration):
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_TIMEOUT_S
    while _is_ours(pid, configuration) and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def _is_ours(pid: int, configuration: Path) -> bool:
    return str(configuration) in _command_of(pid)


def _command_of(pid: int) -> list[str]:
    """Return the arguments of a process, or nothing if there is none."""
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return _command_by_ps(pid)


def _command_by_ps(pid: int) -> list[str]:
    # Systems without /proc.
    try:
        shown = subprocess.run(
            ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return []
    return shown.stdout.split()
