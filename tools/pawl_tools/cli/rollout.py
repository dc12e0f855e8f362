"""`pawl rollout`: a release goes to groups of devices, in order, and stops by itself when one fails."""

from typing import Annotated, Any

import typer

from pawl_tools.cli import api
from pawl_tools.cli.api import Json

app = typer.Typer(help="Rollouts: a release goes to groups, in order.", no_args_is_help=True)

_Rollout = Annotated[str, typer.Argument(help="Name or number of the rollout")]


@app.callback()
def _rollout() -> None:
    """Rollouts: a release goes to groups, in order."""


@app.command()
def create(
    release: Annotated[str, typer.Option(help="Digest of an imported release, or its beginning")],
    group: Annotated[list[str], typer.Option(help="Group of devices; repeat, in order")],
    name: Annotated[str | None, typer.Option(help="Name of the rollout")] = None,
    *,
    json: Json = False,
) -> None:
    """Begin a rollout: a group starts when every device of the one before it has succeeded."""
    with api.connect() as fleet:
        plan = {"release": release, "groups": group, "name": name}
        created = fleet.post("/rollouts", plan)
    _show(created, as_json=json)


@app.command("list")
def list_rollouts(*, json: Json = False) -> None:
    """List the rollouts, the oldest first."""
    with api.connect() as fleet:
        found = fleet.items("/rollouts", "rollouts")
    if json:
        api.print_json(found)
        return
    rows = [[str(one["id"]), one["name"], one["release"][:8], *_state(one)] for one in found]
    api.print_table(("id", "name", "release", "state", "succeeded", "reason"), rows)


def _state(rollout: dict[str, Any]) -> list[str]:
    counts = [_counts(phase) for phase in rollout["phases"]]
    succeeded, total = (sum(column) for column in zip(*counts, strict=True))
    return [rollout["state"], f"{succeeded}/{total}", rollout["reason"]]


def _counts(phase: dict[str, Any]) -> tuple[int, int]:
    """Return how many devices of a phase succeeded, and how many it has."""
    return phase["devices"]["succeeded"], sum(phase["devices"].values())


@app.command()
def show(rollout: _Rollout, *, json: Json = False) -> None:
    """Show a rollout and all of its devices."""
    with api.connect() as fleet:
        details = fleet.get(api.path("rollouts", rollout))
        details["devices"] = fleet.items(f"{api.path('rollouts', rollout)}/devices", "devices")
    if json:
        api.print_json(details)
        return
    _show(details, as_json=False)
    columns = ("device", "phase", "progress", "reason")
    titles = [phase["title"] for phase in details["phases"]]
    rows = [
        [one["device"], titles[one["phase"]], one["progress"], one["reason"]] for one in details["devices"]
    ]
    api.print_table(columns, rows)


@app.command()
def watch(rollout: _Rollout, *, json: Json = False) -> None:
    """Watch a rollout until it ends or pauses: exit 0 if it is done, 1 if not. With --json, a line per change."""
    from pawl_tools import rollout_watch

    with api.connect() as fleet:
        changes = fleet.stream(f"{api.path('rollouts', rollout)}/events")
        is_done = rollout_watch.watch(changes, as_json=json)
    if not is_done:
        raise typer.Exit(1)


@app.command()
def pause(rollout: _Rollout, *, json: Json = False) -> None:
    """Stop offering: devices that install are held where they are."""
    _command(rollout, "pause", as_json=json)


@app.command()
def resume(rollout: _Rollout, *, json: Json = False) -> None:
    """Go on; devices that failed are asked once more."""
    _command(rollout, "resume", as_json=json)


@app.command()
def cancel(rollout: _Rollout, *, json: Json = False) -> None:
    """End it here: offers are withdrawn, what was installed stays."""
    _command(rollout, "cancel", as_json=json)


def _command(rollout: str, name: str, *, as_json: bool) -> None:
    with api.connect() as fleet:
        after = fleet.post(f"{api.path('rollouts', rollout)}/commands", {"command": name})
    _show(after, as_json=as_json)


def _show(rollout: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        api.print_json(rollout)
        return
    reason = f" ({rollout['reason']})" if rollout["reason"] else ""
    print(f"{rollout['name']}: {rollout['state']}{reason}, release {rollout['release'][:8]}")
    for phase in rollout["phases"]:
        succeeded, total = _counts(phase)
        print(f"  {phase['title']}: {succeeded} of {total} succeeded")
