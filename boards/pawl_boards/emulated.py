"""What boards of every emulator share: a folder with flash and logs, a console, a line, a process that can be killed.

    flash.bin     the data flash, as the emulator writes it
    firmware.bin  what runs, read only
    console.log   lines of the console
    emulator.log  what the emulator itself complains of

The folder stays when the board is closed.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pawl_boards import parameters
from pawl_boards.board import BoardPlan
from pawl_boards.console import Console
from pawl_boards.errors import BoardError
from pawl_boards.line_port import LinePort
from pawl_boards.maps import Hardware
from pawl_boards.process import EmulatorProcess, Program, last_errors

ERRORS = "emulator.log"
_CHUNK_BYTES = 1 << 20


def write_erased(path: Path, layout: Hardware) -> None:
    """Write an erased data flash, whole: an emulator maps the file as it is."""
    chunk = bytes([layout.ERASED]) * _CHUNK_BYTES
    with path.open("wb") as file:
        for start in range(0, layout.FLASH_BYTES, _CHUNK_BYTES):
            file.write(chunk[: layout.FLASH_BYTES - start])


class EmulatedBoard:
    """A board in a folder of its own; an emulator's class says how it is started and reset."""

    def __init__(self, plan: BoardPlan, folder: Path) -> None:
        if not plan.firmware.is_file():
            raise BoardError(f"no firmware at {plan.firmware}: `make firmware BOARD={plan.name}` builds it")
        folder.mkdir(parents=True, exist_ok=True)
        self.plan = plan
        self.folder = folder
        self._place_firmware()
        if not self.flash_file.exists():
            write_erased(self.flash_file, plan.layout)
        self._console = Console(folder / "console.log")
        self._port = LinePort()
        self._process: EmulatorProcess | None = None
        self._starts = 0

    # --- what Board promises ---

    @property
    def name(self) -> str:
        """The name of the kind of board."""
        return self.plan.name

    @property
    def console(self) -> Console:
        """What the board prints."""
        return self._console

    @property
    def line(self) -> str:
        """The second UART as a pyserial URL."""
        return self._port.url

    @property
    def line_port(self) -> int:
        """The TCP port of the line."""
        return self._port.number

    @property
    def starts(self) -> int:
        """How often it was switched on or reset from here."""
        return self._starts

    @property
    def is_running(self) -> bool:
        """Whether it is switched on and alive."""
        return self._process is not None and self._process.is_running

    def power_on(self) -> None:
        """Start the emulator; what was started is stopped if that fails."""
        self._refuse_while(is_running=True, what="switched on")
        self.power_off()  # reaps what died by itself
        self._begin()
        try:
            self._start(parameters.fresh(self.plan.heap_bytes, self.plan.watchdog_s))
        except BaseException:
            self.power_off()
            raise

    def power_off(self) -> None:
        """Kill the emulator (SIGKILL); a callback of the console may do so too."""
        if self._process is None:
            return
        self._process.kill()
        if not self._console.is_calling_back:  # else whoever comes next waits for its end
            self._process.wait()
            self._process = None

    def reset(self) -> None:
        """Reset the machine from outside."""
        self._refuse_while(is_running=False, what="reset")
        self._console.end()
        self._begin()
        self._reset()

    def read_flash(self, start: int = 0, size: int | None = None) -> bytes:
        """Return the content of the flash, or a part of it."""
        self._refuse_while(is_running=True, what="read out")
        with self.flash_file.open("rb") as file:
            file.seek(start)
            return file.read(size)

    def write_flash(self, content: bytes, start: int = 0) -> None:
        """Put content into the flash; refuses what reaches beyond its end."""
        self._refuse_while(is_running=True, what="written to")
        if start < 0 or start + len(content) > self.plan.layout.FLASH_BYTES:
            raise BoardError(f"{len(content)} bytes at {start:#x} don't fit the flash of {self.name}")
        with self.flash_file.open("r+b") as file:
            file.seek(start)
            file.write(content)

    def close(self) -> None:
        """Switch it off, and free port and log."""
        try:
            self.power_off()
        finally:
            self._port.close()
            self._console.close()

    def __enter__(self) -> Self:
        """Return itself, switched off."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- what an emulator's class uses and brings ---

    @property
    def flash_file(self) -> Path:
        """The file that stands for the data flash."""
        return self.folder / "flash.bin"

    @property
    def firmware_file(self) -> Path:
        """The board's copy of its firmware."""
        return self.folder / "firmware.bin"

    @property
    def process(self) -> EmulatorProcess:
        """The emulator's process; refused while the board is off."""
        if self._process is None:
            raise BoardError(f"{self.name} is off: switch it on first")
        return self._process

    def _start(self, page: bytes) -> None:
        """Start the emulator with this content of the parameters page."""
        raise NotImplementedError

    def _reset(self) -> None:
        """Reset the machine that runs."""
        raise NotImplementedError

    def _run(
        self, arguments: list[str], environment: Mapping[str, str], pass_fds: tuple[int, ...] = ()
    ) -> None:
        program = Program(
            arguments=arguments,
            folder=self.folder,
            errors=self.folder / ERRORS,
            environment=environment,
            pass_fds=pass_fds,
        )
        self._process = EmulatorProcess(program, self._take_output, self._take_end)

    def _errors(self) -> str:
        """Return the end of what the emulator complained of."""
        return last_errors(self.folder / ERRORS) or "nothing"

    def _take_output(self, data: bytes) -> None:
        self._console.feed(data)

    def _take_end(self, death: str) -> None:
        self._console.end(death)

    def _begin(self) -> None:
        self._starts += 1
        self._console.begin(self._starts)

    def _place_firmware(self) -> None:
        """Copy the firmware, extended to the size of the memory that it lies in."""
        shutil.copyfile(self.plan.firmware, self.firmware_file)
        size, limit = self.firmware_file.stat().st_size, self.plan.layout.FIRMWARE_BYTES
        if size > limit:
            raise BoardError(f"{self.plan.firmware} has {size} bytes, {self.name} has room for {limit}")
        with self.firmware_file.open("r+b") as file:
            file.truncate(limit)

    def _refuse_while(self, *, is_running: bool, what: str) -> None:
        if self.is_running != is_running:
            return
        state, remedy = ("on", "off") if is_running else ("off", "on")
        cause = f" ({self._console.death})" if self._console.death else ""
        raise BoardError(f"{self.name} is {state}{cause} and can't be {what}: switch it {remedy} first")
