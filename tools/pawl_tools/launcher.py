"""Power supply and watchdog of a unix-board device: starts it again whenever it ends, kills it when it isn't fed.

Decides nothing else: what runs is decided by the device's own boot code from its flash.
"""

import os
import select
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pawl.ports.unix.layout import RESET_EXIT_CODE
from pawl_tools.errors import ToolError
from pawl_tools.toolchain import Toolchain

WATCHDOG_TIMEOUT_S = 30.0
HEAP = "256k"
_CRASH_PAUSE_S = 0.2
# The path is cut before stage0 is looked up: nothing in the working folder can shadow it.
_STAGE0 = (
    "import sys; sys.path[:] = ['.frozen']; import stage0; stage0.main({agent!r}, {flash!r}, {watchdog})"
)


class Device:
    """One device: a flash file and the MicroPython process that runs from it.

    `on_line` is called with each line of its console, from the thread that reads it. `heap` may be set before it starts.
    """

    def __init__(
        self,
        folder: Path,
        agent: Path,
        toolchain: Toolchain,
        on_line: Callable[[str], None] = print,
        watchdog_timeout_s: float = WATCHDOG_TIMEOUT_S,
    ) -> None:
        if not (folder / "flash.bin").is_file():
            raise ToolError(f"{folder} has no flash.bin: `pawl provision` makes one")
        self.folder = folder
        self.heap = HEAP
        self.agent = agent
        self._toolchain = toolchain
        self._on_line = on_line
        self._watchdog_timeout_s = watchdog_timeout_s
        self._process: subprocess.Popen[str] | None = None
        self._is_powered = False
        self._thread: threading.Thread | None = None
        self.starts = 0

    @property
    def flash(self) -> Path:
        """The file that stands for its flash."""
        return self.folder / "flash.bin"

    def start_code(self, watchdog: int) -> str:
        """Return what MicroPython runs first; called each time before the process starts."""
        return _STAGE0.format(
            agent=str(self.agent.resolve()), flash=str(self.flash.resolve()), watchdog=watchdog
        )

    def _command(self, watchdog: int) -> list[str]:
        code = self.start_code(watchdog)
        return [str(self._toolchain.micropython), "-X", f"heapsize={self.heap}", "-c", code]

    def power_on(self) -> None:
        """Start the device and keep it running."""
        self._is_powered = True
        self._thread = threading.Thread(target=self._keep_running, daemon=True)
        self._thread.start()

    def power_off(self) -> None:
        """Cut the power: the process gets SIGKILL, in the middle of whatever it does."""
        self._is_powered = False
        self.kill()
        if self._thread is not None:
            self._thread.join()

    def kill(self) -> None:
        """Kill the process; while powered, the device starts again."""
        if self._process is not None:
            self._process.kill()

    def run(self) -> None:
        """Run the device in the foreground until `power_off`."""
        self._is_powered = True
        self._keep_running()

    def _keep_running(self) -> None:
        with tempfile.TemporaryDirectory() as empty:
            while self._is_powered:
                code = self._run_once(Path(empty))
                if code != RESET_EXIT_CODE and self._is_powered:
                    time.sleep(_CRASH_PAUSE_S)

    def _run_once(self, working_folder: Path) -> int:
        read_end, write_end = os.pipe()
        try:
            self.starts += 1
            self._process = subprocess.Popen(
                self._command(write_end),
                cwd=working_folder,
                env={"PATH": os.defpath, "HOME": str(working_folder), "MICROPYPATH": ".frozen"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                pass_fds=(write_end,),
            )
        finally:
            os.close(write_end)
        if not self._is_powered:  # cut off while it was being started
            self._process.kill()
        watchdog = threading.Thread(target=self._watch, args=(read_end, self._process), daemon=True)
        watchdog.start()
        return self._read_console(self._process)

    def _read_console(self, process: subprocess.Popen[str]) -> int:
        with process:
            assert process.stdout is not None  # noqa: S101 (Popen was given a pipe)
            for line in process.stdout:
                self._on_line(line.rstrip("\n"))
        return process.returncode

    def _watch(self, read_end: int, process: subprocess.Popen[str]) -> None:
        """Kill the process when nothing was written to its watchdog for too long; ends with the process."""
        with os.fdopen(read_end, "rb", buffering=0) as feed:
            while True:
                ready, _, _ = select.select([feed], [], [], self._watchdog_timeout_s)
                if not ready:
                    process.kill()
                    return
                if not feed.read(64):
                    return
