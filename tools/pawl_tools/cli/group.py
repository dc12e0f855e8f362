"""`pawl group`: named sets of devices."""

from typing import Annotated

import typer

from pawl_tools.cli import api
from pawl_tools.cli.api import Json

app = typer.Typer(help="Groups of devices.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Groups of devices."""


@app.command("set")
def set_group(
    name: Annotated[str, typer.Argument(help="Name of the group")],
    devices: Annotated[list[str], typer.Argument(help="Its devices, all of them")],
    *,
    json: Json = False,
) -> None:
    """Make a group or replace its members; rollouts that exist keep theirs."""
    with api.connect() as fleet:
        group = fleet.put(api.path("groups", name), {"devices": devices})
    if json:
        api.print_json(group)
        return
    print(f"{group['name']}: {group['count']} devices")


@app.command("list")
def list_groups(*, json: Json = False) -> None:
    """List the groups and their devices."""
    with api.connect() as fleet:
        found = fleet.items("/groups", "groups")
        for group in found:
            group["devices"] = fleet.items(f"{api.path('groups', group['name'])}/devices", "devices")
    if json:
        api.print_json(found)
        return
    api.print_table(("group", "devices"), [[one["name"], ", ".join(one["devices"])] for one in found])
