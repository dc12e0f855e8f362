"""A board on Renode: a script made from the memory map and the board's .repl, commands through its monitor on stdin.

Renode keeps what it programmed in a buffer of its own. So cutting the power first stops the machine, between any two
instructions, and lets the flash finish what it was told: then comes SIGKILL.
"""

import contextlib
import os
import shutil
import socket
import struct
import threading
import time
from pathlib import Path

from pawl_boards.board import BoardPlan
from pawl_boards.emulated import EmulatedBoard
from pawl_boards.errors import BoardError
from pawl_boards.line_port import ADDRESS, LinePort

ABSENT = "no renode on PATH or in RENODE_HOME"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
_BOARDS = Path(__file__).resolve().parents[1]
_PAUSE_S = 0.05
_STOPPED = "PAWL" + "-STOPPED"

_SCRIPT = """\
$name="{name}"
$platform=@{platform}
$firmware=@{firmware}
include @{machine}
{page}
emulation CreateServerSocketTerminal {console_port} "console" false
connector Connect sysbus.console console
emulation CreateServerSocketTerminal {line_port} "line" false true
connector Connect sysbus.line line
"""

# Renode works in a folder of its own, and takes the file's path from here only.
_PLATFORM = """\
using "{platform}"

flash:
    fileName: "{flash}"
"""


def find() -> Path | None:
    """Return the program: in RENODE_HOME if that is set, else on the PATH."""
    if home := os.environ.get("RENODE_HOME"):
        program = Path(home) / "renode"
        return program if program.is_file() else None
    on_path = shutil.which("renode")
    return Path(on_path) if on_path else None


class RenodeBoard(EmulatedBoard):
    """A board that Renode emulates. Its folder also has `board.resc` and `renode.log`."""

    def __init__(self, plan: BoardPlan, folder: Path) -> None:
        program = find()
        if program is None:
            raise BoardError(f"{ABSENT}: README says how to install it")
        self._program = program
        self._machine = _BOARDS / plan.name / f"{plan.name}.resc"
        if not self._machine.is_file():
            raise BoardError(f"{plan.name} doesn't run on Renode: there is no {self._machine}")
        super().__init__(plan, folder.resolve())
        self._console_port = LinePort()
        self._console_reader: threading.Thread | None = None
        self._is_stopped = threading.Event()
        self._heard = b""

    def power_off(self) -> None:
        """Stop the machine where it is, let the flash keep what was programmed, kill Renode."""
        is_settled = not self.is_running or self._settle_flash()
        super().power_off()
        if not is_settled:
            raise BoardError(
                f"Renode didn't stop in {STOP_TIMEOUT_S:g} s, flash.bin may lack what was written last"
            )

    def close(self) -> None:
        """Switch it off, and free both ports and the log."""
        try:
            super().close()
        finally:
            self._console_port.close()

    def _place_firmware(self) -> None:
        """Copy the firmware as it is: the memory behind it is there without a file, and 32 MiB take a second to load."""
        super()._place_firmware()
        os.truncate(self.firmware_file, self.plan.firmware.stat().st_size)

    def _start(self, page: bytes) -> None:
        temporary = self.folder / "tmp"  # Renode deletes others' folders in a shared one
        temporary.mkdir(exist_ok=True)
        script = self.folder / "board.resc"
        script.write_text(self._script(page))
        environment = {**os.environ, "TMPDIR": str(temporary), "XDG_CONFIG_HOME": str(temporary)}
        command = f"include @{script}"
        self._run([str(self._program), "--disable-xwt", "--console", "--plain", "-e", command], environment)
        connection = self._connect()
        self._console_reader = threading.Thread(target=self._read_console, args=(connection,), daemon=True)
        self._console_reader.start()
        self.process.send("start\n")

    def _reset(self) -> None:
        self.process.send("machine Reset\n")

    def _script(self, page: bytes) -> str:
        layout = self.plan.layout
        words = struct.unpack(f"<{len(page) // 4}I", page)
        writes = [
            f"sysbus WriteDoubleWord {layout.PARAMETERS_ADDRESS + 4 * n:#x} {word:#x}"
            for n, word in enumerate(words)
        ]
        return _SCRIPT.format(
            name=self.name,
            machine=self._machine,
            platform=self._write_platform(),
            firmware=self.firmware_file,
            page="\n".join(writes),
            console_port=self._console_port.number,
            line_port=self.line_port,
        )

    def _write_platform(self) -> Path:
        path = self.folder / "board.repl"
        path.write_text(_PLATFORM.format(platform=self._machine.with_suffix(".repl"), flash=self.flash_file))
        return path

    def _connect(self) -> socket.socket:
        """Return a connection to the console, once Renode has run the script; BoardError with its log if it doesn't."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while self.is_running and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                return socket.create_connection((ADDRESS, self._console_port.number))
            time.sleep(_PAUSE_S)
        state = "didn't open the console" if self.is_running else "ended"
        raise BoardError(f"Renode {state}; it said: {self._last_log()}")

    def _read_console(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(65536):
                self._console.feed(data)

    def _settle_flash(self) -> bool:
        """Pause, and reset the flash model, which writes its buffer to the file; False if Renode doesn't answer."""
        self._is_stopped.clear()
        try:
            self.process.send("pause\nsysbus.flash Reset\npython \"print('PAWL' + '-STOPPED')\"\n")
        except OSError:
            return True  # it died just now; that is said elsewhere
        return self._is_stopped.wait(STOP_TIMEOUT_S)

    def _take_end(self, death: str) -> None:
        """End the console behind the last bytes that came over its socket."""
        if self._console_reader is not None and threading.current_thread() is not self._console_reader:
            self._console_reader.join()
        super()._take_end(death)

    def _take_output(self, data: bytes) -> None:
        """Keep what Renode says: its log, and the monitor's answers."""
        with (self.folder / "renode.log").open("ab") as log:
            log.write(data)
        self._heard = (self._heard + data)[-4096:]
        if _STOPPED.encode() in self._heard:
            self._heard = b""
            self._is_stopped.set()

    def _last_log(self) -> str:
        path = self.folder / "renode.log"
        return path.read_text(errors="replace")[-2000:] if path.exists() else self._errors()
