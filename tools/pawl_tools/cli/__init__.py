"""The `pawl` command: parses arguments, calls the library, prints. Exit codes: 0 done, 1 refused, 2 unusable."""

import sys

import typer

from pawl_tools.cli import (
    board,
    boot_table,
    bridge,
    describe,
    device,
    esp32,
    events,
    fleet,
    group,
    keys,
    policy,
    provision,
    release,
    releases,
    rollout,
    server,
    sim,
    trust,
)
from pawl_tools.errors import ToolError

app = typer.Typer(
    help="Signed, one-way, power-cut-safe updates for MicroPython fleets.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(keys.app, name="keys")
app.add_typer(keys.authorities, name="ca")
app.add_typer(trust.app, name="trust")
app.add_typer(release.app, name="release")
app.add_typer(device.app, name="device")
app.add_typer(group.app, name="group")
app.add_typer(board.app, name="board")
app.add_typer(rollout.app, name="rollout")
app.add_typer(server.app, name="server")
app.add_typer(sim.app, name="sim")
fleet.add_to(device.app)
describe.add_to(device.app)
releases.add_to(release.app)
app.command("pack")(release.pack)
app.command("verify")(release.verify)
app.command("provision")(provision.provision)
app.command("esp32")(esp32.esp32)
app.command("policy")(policy.policy)
app.command("boot-table")(boot_table.boot_table)
app.command("events")(events.events)
app.command("bridge")(bridge.bridge)
app.command("demo")(device.demo)


def main() -> None:
    """Run the command; what can't go on is one line with the cause and the next step."""
    try:
        app()
    except ToolError as error:
        print(f"pawl: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
