"""`pawl rollout`: a release goes to a fleet in phases, and stops, or goes back, by itself when too many fail."""

from typing import Annotated

import typer

from pawl_server.domain.progress import Progress
from pawl_tools.cli import api, rollout_create, rollout_view
from pawl_tools.cli.api import Json

app = typer.Typer(help="Rollouts: a release goes to a fleet in phases.", no_args_is_help=True)
app.command("create")(rollout_create.create)

_Rollout = Annotated[str, typer.Argument(help="Name or number of the rollout")]


@app.callback()
def _rollout() -> None:
    """Rollouts: a release goes to a fleet in phases."""


@app.command("list")
def list_rollouts(*, json: Json = False) -> None:
    """List the rollouts, the oldest first."""
    with api.connect() as fleet:
        found = list(fleet.pages("/rollouts", "rollouts"))
    if json:
        api.print_json(found)
        return
    rollout_view.table(found)


@app.command()
def show(rollout: _Rollout, *, json: Json = False) -> None:
    """Show a rollout: its state, its phases, what to do next."""
    with api.connect() as fleet:
        rollout_view.show(fleet.get(api.path("rollouts", rollout)), as_json=json)


@app.command()
def devices(
    rollout: _Rollout,
    progress: Annotated[Progress | None, typer.Option(help="Only those that are as far as this")] = None,
    *,
    json: Json = False,
) -> None:
    """List the devices of a rollout, how far they are, and why."""
    path = api.path("rollouts", rollout)
    with api.connect() as fleet:
        found = list(fleet.pages(f"{path}/devices", "devices", progress=progress))
        phases = fleet.get(path)["phases"]
    if json:
        api.print_json(found)
        return
    rollout_view.members(found, phases)


@app.command()
def watch(rollout: _Rollout, *, json: Json = False) -> None:
    """Watch a rollout until it ends or pauses: exit 0 if it is done, 1 if not. With --json, a line per change."""
    rollout_view.watch(rollout, as_json=json)


@app.command()
def approve(rollout: _Rollout, *, json: Json = False) -> None:
    """Let a rollout begin that waits for approval."""
    _command(rollout, "approve", as_json=json)


@app.command()
def reject(rollout: _Rollout, *, json: Json = False) -> None:
    """End a rollout that waits for approval."""
    _command(rollout, "reject", as_json=json)


@app.command()
def pause(rollout: _Rollout, *, json: Json = False) -> None:
    """Stop offering: devices that install are held where they are."""
    _command(rollout, "pause", as_json=json)


@app.command()
def resume(rollout: _Rollout, *, json: Json = False) -> None:
    """Go on, and overlook the failures so far: only new ones stop it again."""
    _command(rollout, "resume", as_json=json)


@app.command()
def retry(rollout: _Rollout, *, json: Json = False) -> None:
    """Go on, and ask devices that failed once more, where that can help."""
    _command(rollout, "retry", as_json=json)


@app.command("roll-back")
def roll_back(rollout: _Rollout, *, json: Json = False) -> None:
    """Bring everybody who took the release back with the rollout's recovery release."""
    _command(rollout, "roll-back", as_json=json)


@app.command()
def cancel(rollout: _Rollout, *, json: Json = False) -> None:
    """End it here: offers are withdrawn, what was installed stays."""
    _command(rollout, "cancel", as_json=json)


def _command(rollout: str, name: str, *, as_json: bool) -> None:
    with api.connect() as fleet:
        after = fleet.post(f"{api.path('rollouts', rollout)}/commands", {"command": name})
    rollout_view.show(after, as_json=as_json)
