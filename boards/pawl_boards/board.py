"""What a test may do with a board, whatever drives it.

    with QemuBoard(plan, folder) as board:
        board.power_on()
        board.console.wait_for("hello", timeout_s=10)
        board.power_off()
        content = board.read_flash()

It decides nothing about the firmware on it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from pawl_boards.console import Console
from pawl_boards.maps import Hardware


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardPlan:
    """What a board is built from: its memory map, its firmware, size of its heap and time of its watchdog (0: the map's)."""

    layout: Hardware
    firmware: Path
    heap_bytes: int = 0
    watchdog_s: int = 0

    @property
    def name(self) -> str:
        """The name of the kind of board, as the folder in `boards/`."""
        return self.layout.NAME


class Board(Protocol):
    """A board: power, reset, flash, console, line. Leaving its context switches it off and frees what it holds."""

    @property
    def name(self) -> str:
        """The name of the kind of board."""

    @property
    def console(self) -> Console:
        """What the board prints, of all its starts."""

    @property
    def line(self) -> str:
        """The second UART as a pyserial URL; the same one for all starts. A board that is off refuses connections."""

    @property
    def starts(self) -> int:
        """How often it was switched on or reset from here; resets of its own don't count."""

    @property
    def is_running(self) -> bool:
        """Whether it is switched on and alive."""

    def power_on(self) -> None:
        """Switch it on, with fresh entropy; refused while it is on."""

    def power_off(self) -> None:
        """Cut the power, in the middle of whatever it does; nothing happens if it is off."""

    def reset(self) -> None:
        """Reset it from outside, power stays; refused while it is off."""

    def read_flash(self, start: int = 0, size: int | None = None) -> bytes:
        """Return what its data flash holds, or a part of it; refused while it is on."""

    def write_flash(self, content: bytes, start: int = 0) -> None:
        """Put content into its data flash, as a programmer would; refused while it is on."""

    def close(self) -> None:
        """Switch it off for good; its folder stays."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...
