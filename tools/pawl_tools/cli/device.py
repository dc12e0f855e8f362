"""`pawl provision`, `pawl device` and `pawl demo`: devices of the unix board, made and run."""

from pathlib import Path
from typing import Annotated

import typer

from pawl_tools.cli import files
from pawl_tools.errors import ToolError

app = typer.Typer(help="Devices of the unix board.", no_args_is_help=True)


@app.callback()
def _device() -> None:
    """Devices of the unix board."""


def provision(
    folder: Annotated[Path, typer.Argument(help="New folder for the device's flash image and enrolment")],
    device: Annotated[str, typer.Option(help="Device id: a-z, 0-9 and -")],
    trust: Annotated[Path, typer.Option(help="Trust anchor file")],
    release: Annotated[Path, typer.Option(help="Factory release (*.pawl)")],
    ca: Annotated[Path, typer.Option(help="Folder of the authority: ca.crt and ca.key")],
    broker: Annotated[str, typer.Option(help="host:port of the broker")],
) -> None:
    """Make a device: a flash image with identity, trust anchor and factory release."""
    from pawl_tools import pki
    from pawl_tools import provision as provisioning

    host, port = _host_and_port(broker)
    bundle = files.read(release)
    plan = provisioning.plan_for(bundle, device=device, host=host, port=port)
    provisioning.provision(
        folder, plan, files.read(trust), bundle, pki.load_authority(ca / "ca.crt", ca / "ca.key")
    )
    print(f"{folder}: flash.bin (private), enrolment.json (for the server)")


def _host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ToolError(f"{text!r} is not host:port")
    return host, int(port)


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
) -> None:
    """Update a real device over MQTT-TLS, then attack it: exit 0 only if all went as it must."""
    from pawl_tools import demo as demonstration

    if not demonstration.run(as_json=json):
        raise typer.Exit(1)
