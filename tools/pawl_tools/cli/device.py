"""`pawl device` and `pawl demo`: devices of the unix board, run."""

from pathlib import Path
from typing import Annotated

import typer

from pawl_tools.cli import files

app = typer.Typer(help="Devices: those of the fleet, and those of the unix board.", no_args_is_help=True)


@app.callback()
def _device() -> None:
    """Devices: those of the fleet, and those of the unix board."""


@app.command()
def run(
    folder: Annotated[Path, typer.Argument(help="Folder that `pawl provision` made")],
) -> None:
    """Run a device until interrupted: power supply and watchdog, nothing else."""
    from pawl_tools import launcher, pack, toolchain

    programs = toolchain.find()
    agent = folder / "agent.romfs"
    files.write(agent, pack.pack_agent(programs))
    launcher.Device(folder, agent, programs).run()


def demo(
    *,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON")] = False,
    keep: Annotated[bool, typer.Option(help="Leave server and devices running until Ctrl-C")] = False,
) -> None:
    """Update a fleet of five over MQTT-TLS in two groups, then attack it: exit 0 only if all went as it must."""
    from pawl_tools import demo as demonstration

    if not demonstration.run(as_json=json, keep=keep):
        raise typer.Exit(1)
