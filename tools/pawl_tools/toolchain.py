"""Where the MicroPython programs are that the project builds for itself."""

import os
from dataclasses import dataclass
from pathlib import Path

from pawl_tools.errors import ToolError

_PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolchain:
    """The compiler, whose ABI must be the device's, and the firmware of the unix board."""

    mpy_cross: Path
    micropython: Path


def find() -> Toolchain:
    """Return the programs in `PAWL_TOOLCHAIN`, else those that `make setup` built."""
    folder = Path(os.environ.get("PAWL_TOOLCHAIN", _PROJECT / "build" / "micropython"))
    programs = Toolchain(mpy_cross=folder / "mpy-cross", micropython=folder / "micropython")
    for program in (programs.mpy_cross, programs.micropython):
        if not program.exists():
            raise ToolError(
                f"{program} is missing: run `make setup`, or set PAWL_TOOLCHAIN to a folder that has it"
            )
    return programs
