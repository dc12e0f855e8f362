"""`pawl group`: sets of devices, by name or by a filter, with single devices pinned or excluded."""

from typing import Annotated, Any

import typer

from pawl_tools.cli import api, files
from pawl_tools.cli.api import Filter, Json
from pawl_tools.errors import ToolError

app = typer.Typer(help="Groups of devices.", no_args_is_help=True)

_FIRST_DEVICES = 10
_Group = Annotated[str, typer.Argument(help="Name of the group")]
_Devices = Annotated[list[str], typer.Argument(help="Device ids")]


@app.callback()
def _group() -> None:
    """Groups of devices."""


@app.command("set")
def set_group(
    name: _Group,
    devices: Annotated[list[str] | None, typer.Argument(help="Its devices, all of them")] = None,
    filter_text: Filter = None,
    *,
    json: Json = False,
) -> None:
    """Make a group or say anew which devices it has: those that are named, or whatever matches a filter."""
    if (filter_text is None) == (not devices):
        raise ToolError("name the group's devices, or give a --filter: one of the two")
    body = {"devices": devices} if devices else {"filter": filter_text}
    with api.connect() as fleet:
        group = fleet.put(api.path("groups", name), body)
    _done(group, as_json=json)


def _done(group: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        api.print_json(group)
        return
    print(f"{group['name']}: {api.counted(group['count'], 'device')}")


@app.command("list")
def list_groups(*, json: Json = False) -> None:
    """List the groups and what they have."""
    with api.connect() as fleet:
        found = list(fleet.pages("/groups", "groups"))
    if json:
        api.print_json(found)
        return
    api.print_table(("group", "devices"), [[one["name"], one["filter"] or "by name"] for one in found])


@app.command()
def show(name: _Group, *, json: Json = False) -> None:
    """Show a group and the devices that it has now."""
    with api.connect() as fleet:
        group = fleet.get(api.path("groups", name))
        group["devices"] = list(fleet.pages(f"{api.path('groups', name)}/devices", "devices"))
    if json:
        api.print_json(group)
        return
    files.show({**group, "filter": group["filter"] or ""}, as_json=False)


@app.command()
def preview(filter_text: Filter = None, *, json: Json = False) -> None:
    """Say how many devices a filter matches, and the first of them; changes nothing."""
    if filter_text is None:
        raise ToolError("give the --filter that is to be tried")
    with api.connect() as fleet:
        count = fleet.get("/device-counts", filter=filter_text)["count"]
        page = fleet.get("/devices", filter=filter_text, limit=_FIRST_DEVICES)
    first = [one["device"] for one in page["devices"]]
    if json:
        api.print_json({"count": count, "first": first})
        return
    more = f" and {count - len(first)} more" if count > len(first) else ""
    print(api.counted(count, "device") + (f": {', '.join(first)}{more}" if first else ""))


@app.command()
def pin(name: _Group, devices: _Devices, *, json: Json = False) -> None:
    """Let devices belong to a group, whatever its filter or its members are."""
    _change("put", "pins", name, devices, as_json=json)


@app.command()
def unpin(name: _Group, devices: _Devices, *, json: Json = False) -> None:
    """Take pins back."""
    _change("delete", "pins", name, devices, as_json=json)


@app.command()
def exclude(name: _Group, devices: _Devices, *, json: Json = False) -> None:
    """Keep devices out of a group, though they match, are members, or are pinned."""
    _change("put", "exclusions", name, devices, as_json=json)


@app.command()
def include(name: _Group, devices: _Devices, *, json: Json = False) -> None:
    """Take exclusions back."""
    _change("delete", "exclusions", name, devices, as_json=json)


def _change(verb: str, what: str, name: str, devices: list[str], *, as_json: bool) -> None:
    path = api.path("groups", name)
    with api.connect() as fleet:
        ask = fleet.put if verb == "put" else fleet.delete
        for device in devices:
            ask(f"{path}/{what}{api.path(device)}")
        _done(fleet.get(path), as_json=as_json)


@app.command()
def delete(name: _Group, *, json: Json = False) -> None:
    """Delete a group that no rollout needs any more."""
    with api.connect() as fleet:
        fleet.delete(api.path("groups", name))
    files.done(f"{name}: deleted", {"deleted": name}, as_json=json)
