"""A real board: its console on a serial port, reset by the port's control lines, power by a command if there is one.

What isn't wired can't be done: each such call says what is missing.
"""

import contextlib
import os
import shlex
import subprocess
import threading
import time
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import serial

from pawl_boards.board import Board
from pawl_boards.console import Console
from pawl_boards.errors import BoardError, NotPossibleError

BAUD = 115200
RESET_PULSE_S = 0.1
SERIAL_PATIENCE = 4  # a real board is slower than an emulated one
POWER_COMMAND_TIMEOUT_S = 30
_READ_TIMEOUT_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """How a board is connected: ports as pyserial names them (devices or URLs), and programs that switch its power."""

    console: str
    line: str = ""
    power_on: str = ""
    power_off: str = ""

    @classmethod
    def of_options(cls, options: Namespace) -> Self:
        """Read pytest's options; PAWL_POWER_ON and PAWL_POWER_OFF hold whole commands, --power-command takes a word."""
        command = options.power_command
        return cls(
            console=options.port,
            line=options.line_port or "",
            power_on=f"{command} on" if command else os.environ.get("PAWL_POWER_ON", ""),
            power_off=f"{command} off" if command else os.environ.get("PAWL_POWER_OFF", ""),
        )


class SerialBoard:
    """A board at a serial port. Without power commands it counts as on from the first `power_on`, which resets it."""

    def __init__(self, name: str, wiring: Wiring, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._name = name
        self._wiring = wiring
        self._console = Console(folder / "console.log")
        self._is_running = False
        self._starts = 0
        try:
            self._port = serial.serial_for_url(wiring.console, BAUD, timeout=_READ_TIMEOUT_S)
        except (serial.SerialException, ValueError) as error:
            self._console.close()
            raise BoardError(
                f"{wiring.console} can't be opened: {error}; is the board connected, the port free?"
            ) from error
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True, name=f"serial {name}")
        self._thread.start()

    @property
    def name(self) -> str:
        """The name of the kind of board."""
        return self._name

    @property
    def console(self) -> Console:
        """What the board prints."""
        return self._console

    @property
    def line(self) -> str:
        """The port of its second UART."""
        if not self._wiring.line:
            raise NotPossibleError(
                f"{self.name}: no port is known for its line; name it with --line-port /dev/tty…"
            )
        return self._wiring.line

    @property
    def starts(self) -> int:
        """How often it was switched on or reset from here."""
        return self._starts

    @property
    def is_running(self) -> bool:
        """Whether it was switched on and its port is there."""
        return self._is_running and not self.console.death

    def power_on(self) -> None:
        """Switch it on by its command; a board without one is reset."""
        self._begin()
        if self._wiring.power_on:
            self._run(self._wiring.power_on)
        else:
            self._pulse()
        self._is_running = True

    def power_off(self) -> None:
        """Switch it off by its command."""
        if not self._wiring.power_off:
            raise NotPossibleError(
                f"{self.name} at {self._wiring.console}: its power can't be cut from here; "
                "set --power-command, or PAWL_POWER_OFF and PAWL_POWER_ON"
            )
        self._run(self._wiring.power_off)
        self._is_running = False

    def reset(self) -> None:
        """Reset it by DTR and RTS."""
        self._begin()
        self._pulse()

    def read_flash(self, start: int = 0, size: int | None = None) -> bytes:
        """Refuse: what is in a real flash can't be read from outside."""
        raise NotPossibleError(
            f"{self.name}: the flash of a real board can't be read from here ({start}, {size})"
        )

    def write_flash(self, content: bytes, start: int = 0) -> None:
        """Refuse: a real board is provisioned over its serial line."""
        raise NotPossibleError(
            f"{self.name}: the flash of a real board can't be written from here ({len(content)} bytes at {start})"
        )

    def close(self) -> None:
        """Switch it off if that can be done, and free the port."""
        if self._is_running and self._wiring.power_off:
            self.power_off()
        self._is_closed.set()
        self._thread.join()
        self._port.close()
        self._console.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self) -> None:
        self._starts += 1
        self._console.begin(self._starts)

    def _pulse(self) -> None:
        """Hold the lines that boards with an automatic reset wire to it: RTS resets, DTR off means no bootloader."""
        with contextlib.suppress(OSError):  # a pseudo-terminal has no such lines
            self._port.dtr = False
            self._port.rts = True
            time.sleep(RESET_PULSE_S)
            self._port.rts = False

    def _run(self, command: str) -> None:
        try:
            subprocess.run(
                shlex.split(command), check=True, capture_output=True, timeout=POWER_COMMAND_TIMEOUT_S
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise BoardError(f"{self.name}: the power command failed: {error}") from error

    def _read(self) -> None:
        while not self._is_closed.is_set():
            try:
                data = self._port.read(self._port.in_waiting or 1)
            except (OSError, serial.SerialException) as error:
                self._console.end(f"{self._wiring.console} is gone: {error}")
                return
            if data:
                self._console.feed(data)


class SerialBench:
    """The bench of a real board: there is one."""

    def __init__(self, kind: str, options: Namespace, folder: Path) -> None:
        self.kind = kind
        self.patience = SERIAL_PATIENCE
        self._wiring = Wiring.of_options(options)
        self._folder = folder
        self._board: Board | None = None

    def board(
        self, name: str = "board", image: Path | None = None, heap_bytes: int = 0, watchdog_s: int = 0
    ) -> Board:
        """Return the board; its firmware is what was flashed, its heap and its watchdog what that has."""
        if image is not None or heap_bytes or watchdog_s:
            raise NotPossibleError("a real board runs what was flashed: no other firmware, heap or watchdog")
        if self._board is not None:
            raise NotPossibleError(f"one board is at {self._wiring.console}: there is no board {name!r}")
        self._board = SerialBoard(self.kind, self._wiring, self._folder / name)
        return self._board

    def close(self) -> None:
        """Free the board."""
        if self._board is not None:
            self._board.close()

    def keep(self, target: Path) -> None:
        """Keep its console."""
        target.mkdir(parents=True, exist_ok=True)
        for log in self._folder.glob("*/console.log"):
            (target / log.name).write_bytes(log.read_bytes())
