"""`pawl device tag|timezone|clear`: what operators say of a device."""

from typing import Annotated

import typer

from pawl_tools.cli import api
from pawl_tools.cli.api import Device, Json
from pawl_tools.errors import ToolError


def add_to(devices: typer.Typer) -> None:
    """Put the commands beside the others on devices."""
    devices.command("tag")(tag)
    devices.command("timezone")(timezone)
    devices.command("clear")(clear)


def tag(
    device: Device,
    tags: Annotated[list[str], typer.Argument(help="site=b1 sets a tag, site= deletes it; the others stay")],
    *,
    json: Json = False,
) -> None:
    """Set tags of a device, or delete them."""
    _describe(device, {"tags": dict(_pair(one) for one in tags)}, as_json=json)


def _pair(text: str) -> tuple[str, str | None]:
    key, found, value = text.partition("=")
    if not found or not key:
        raise ToolError(f"{text!r} is no tag: write site=b1 to set one, site= to delete it")
    return key, value or None


def timezone(
    device: Device,
    zone: Annotated[str, typer.Argument(help="Where it is: an IANA name such as Europe/Rome")],
    *,
    json: Json = False,
) -> None:
    """Say in which time zone a device is: the windows of rollouts are hours on its own clock."""
    _describe(device, {"timezone": zone}, as_json=json)


def _describe(device: str, body: dict[str, object], *, as_json: bool) -> None:
    with api.connect() as fleet:
        after = fleet.patch(api.path("devices", device), body)
    if as_json:
        api.print_json(after)
        return
    tags = ", ".join(f"{key}={value}" for key, value in sorted(after["tags"].items())) or "no tags"
    print(f"{device}: {tags}; {after['timezone']}")


def clear(device: Device, *, json: Json = False) -> None:
    """Say that somebody looked at a device: it needs no attention any more, and rollouts take it again."""
    with api.connect() as fleet:
        fleet.delete(f"{api.path('devices', device)}/attention")
        after = fleet.get(api.path("devices", device))
    if json:
        api.print_json(after)
        return
    # That a device is late ends with its next proof only.
    left = ", ".join(note["cause"] for note in after["attention"])
    print(f"{device}: cleared" + (f"; still {left}" if left else ""))
