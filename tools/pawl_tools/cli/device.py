"""`pawl device` and `pawl demo`: devices of the unix board, run."""

from pathlib import Path
from typing import Annotated

import typer

from pawl_tools.cli import files
from pawl_tools.errors import ToolError

app = typer.Typer(help="Devices: those of the fleet, and those of the unix board.", no_args_is_help=True)


@app.callback()
def _device() -> None:
    """Devices: those of the fleet, and those of the unix board."""


@app.command()
def run(
    folder: Annotated[Path, typer.Argument(help="Folder that `pawl provision` made")],
) -> None:
    """Run a device until interrupted: power supply and watchdog, nothing else."""
    from pawl_tools import launcher, layouts, pack, toolchain

    flash = folder / "flash.bin"
    if flash.exists() and flash.stat().st_size != layouts.load(layouts.UNIX).FLASH_BYTES:
        raise ToolError(
            f"{flash} is of another board than unix, and only those run here: see `pawl device write`"
        )
    programs = toolchain.find()
    agent = folder / "agent.romfs"
    files.write(agent, pack.pack_agent(programs))
    launcher.Device(folder, agent, programs).run()


@app.command()
def write(
    folder: Annotated[Path, typer.Argument(help="Folder that `pawl provision` made")],
    line: Annotated[str, typer.Option(help=f"The blank board is on {files.LINE}")],
    board: Annotated[str, typer.Option(help="The board that it was made for")],
) -> None:
    """Write a device that was made into a blank board, over its serial line."""
    from pawl_tools import layouts, line_provision

    layout, image = layouts.load(board), files.read(folder / "flash.bin")
    if len(image) != layout.FLASH_BYTES:
        raise ToolError(
            f"{folder}/flash.bin has {len(image)} bytes, the flash of {board} {layout.FLASH_BYTES}"
        )
    line_provision.provision(line, layout, lambda: image, files.progress)


def demo(
    *,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON")] = False,
    keep: Annotated[bool, typer.Option(help="Leave server and devices running until Ctrl-C")] = False,
) -> None:
    """Update a fleet of five over MQTT-TLS in two groups, then attack it: exit 0 only if all went as it must."""
    from pawl_tools import demo as demonstration

    if not demonstration.run(as_json=json, keep=keep):
        raise typer.Exit(1)
