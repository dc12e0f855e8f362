"""`pawl board`: the suite of tests on a board, which needs the project's source tree."""

import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pawl_tools.errors import RefusedError, ToolError

_PROJECT = Path(__file__).resolve().parents[3]

app = typer.Typer(help="Boards: emulated, or real ones at a serial port.", no_args_is_help=True)


class Emulator(StrEnum):
    """What runs the board."""

    QEMU = "qemu"
    RENODE = "renode"
    SERIAL = "serial"


@app.callback()
def _board() -> None:
    """Boards: emulated, or real ones at a serial port."""


@app.command("test")
def run_tests(
    board: Annotated[str, typer.Option(help="Kind of board, a folder of boards/")] = "virt_rv32",
    emulator: Annotated[Emulator | None, typer.Option(help="What runs it; a port means serial")] = None,
    port: Annotated[str | None, typer.Option(help="Serial port of a real board's console")] = None,
    line_port: Annotated[str | None, typer.Option(help="Serial port of a real board's line")] = None,
    power_command: Annotated[str | None, typer.Option(help="Program called with `on` or `off`")] = None,
    tests: Annotated[
        str | None, typer.Option("-k", help="Only tests with these names, as pytest takes it")
    ] = None,
) -> None:
    """Run the tests of tests/boards on a board; exit 1 if one fails."""
    chosen = emulator or (Emulator.SERIAL if port else Emulator.QEMU)
    if (chosen is Emulator.SERIAL) != (port is not None):
        raise ToolError(
            "a real board needs --port, for example --port /dev/ttyUSB0; an emulated one has none"
        )
    named = {
        "--board": board,
        "--emulator": chosen.value,
        "--port": port,
        "--line-port": line_port,
        "--power-command": power_command,
        "-k": tests,
    }
    _run([word for name, value in named.items() if value is not None for word in (name, value)])


def _run(options: list[str]) -> None:
    folder = _PROJECT / "tests" / "boards"
    if not folder.is_dir():
        raise ToolError(f"{folder} is missing: the suite comes with the source tree, run pawl from there")
    done = subprocess.run([sys.executable, "-m", "pytest", folder, *options], cwd=_PROJECT, check=False)
    if done.returncode:
        raise RefusedError(f"the board's tests failed (pytest's exit code {done.returncode})")
