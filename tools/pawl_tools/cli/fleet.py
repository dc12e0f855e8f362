"""`pawl device list|show|history|rollout` and who is let in: what the fleet server knows of devices."""

import json as json_format
from pathlib import Path
from typing import Annotated, Any

import typer

from pawl_tools.cli import api, device_view, files
from pawl_tools.cli.api import Device, Filter, Json
from pawl_tools.errors import ToolError


def add_to(devices: typer.Typer) -> None:
    """Put the commands beside those that need no server."""
    devices.command("list")(list_devices)
    devices.command("show")(show_device)
    devices.command("history")(show_history)
    devices.command("rollout")(show_rollout)
    devices.command("enroll")(enroll)
    devices.command("claim")(claim)
    devices.command("candidates")(list_candidates)


def list_devices(
    filter_text: Filter = None,
    *,
    attention: Annotated[
        bool, typer.Option("--attention", help="Only those that people have to look at, and why")
    ] = False,
    json: Json = False,
) -> None:
    """List the devices of the fleet: all, those that a filter matches, or those that need a look."""
    if attention and filter_text is not None:
        raise ToolError("--attention lists all that need a look: give it without --filter")
    with api.connect() as fleet:
        if attention:
            found = list(fleet.pages("/attention", "devices"))
        else:
            found = list(fleet.pages("/devices", "devices", filter=filter_text))
    if json:
        api.print_json(found)
    elif attention:
        device_view.attention(found)
    else:
        device_view.table(found)


def show_device(device: Device, *, json: Json = False) -> None:
    """Show a device: what it runs, what it was assigned, what it proved, what it claims, and what was refused of it."""
    with api.connect() as fleet:
        facts = fleet.get(api.path("devices", device))
        applies = fleet.get(f"{api.path('devices', device)}/rollout")
    if json:
        api.print_json(facts)
        return
    files.show(device_view.lines(facts, applies), as_json=False)


def show_history(device: Device, *, json: Json = False) -> None:
    """Show what became of all that a device was assigned, the oldest first."""
    with api.connect() as fleet:
        found = list(fleet.pages(f"{api.path('devices', device)}/history", "history"))[::-1]
    if json:
        api.print_json(found)
        return
    device_view.history(found)


def show_rollout(device: Device, *, json: Json = False) -> None:
    """Say which rollout applies to a device, and why."""
    with api.connect() as fleet:
        applies = fleet.get(f"{api.path('devices', device)}/rollout")
    if json:
        api.print_json(applies)
        return
    print(f"{device}: {applies['why']}")


def enroll(
    enrolments: Annotated[list[Path], typer.Argument(help="enrolment.json of each device")],
    *,
    json: Json = False,
) -> None:
    """Let provisioned devices in; one that is enrolled already stays as it is."""
    bodies = [_enrolment(path) for path in enrolments]
    with api.connect() as fleet:
        enrolled = [fleet.post("/enrolments", body) for body in bodies]
    _show_enrolled(enrolled, as_json=json)


def _enrolment(path: Path) -> Any:
    try:
        return json_format.loads(files.read(path))
    except ValueError:
        raise ToolError(f"{path} is no enrolment: `pawl provision` writes enrolment.json") from None


def _show_enrolled(enrolled: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        api.print_json(enrolled)
        return
    for device in enrolled:
        print(f"{device['device']}: enrolled")


def claim(
    device: Device,
    code: Annotated[str, typer.Argument(help="Claim code on its label")],
    *,
    json: Json = False,
) -> None:
    """Let a device in that said hello and waits, by the code on its label."""
    with api.connect() as fleet:
        enrolled = fleet.post("/claims", {"device": device, "code": code})
    _show_enrolled([enrolled], as_json=json)


def list_candidates(*, json: Json = False) -> None:
    """List the devices that said hello and wait to be claimed: nothing of them is believed."""
    with api.connect() as fleet:
        found = list(fleet.pages("/candidates", "candidates"))
    if json:
        api.print_json(found)
        return
    device_view.candidates(found)
