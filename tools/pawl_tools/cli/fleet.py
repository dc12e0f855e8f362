"""`pawl device list|show|enroll` and `pawl release import|list`: what the fleet server knows of both."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pawl_tools.cli import api, files
from pawl_tools.cli.api import Json
from pawl_tools.errors import ToolError


def add_to(devices: typer.Typer, releases: typer.Typer) -> None:
    """Put the commands beside those that need no server."""
    devices.command("list")(list_devices)
    devices.command("show")(show_device)
    devices.command("enroll")(enroll)
    releases.command("import")(import_release)
    releases.command("list")(list_releases)


def list_devices(*, json: Json = False) -> None:
    """List the devices of the fleet."""
    with api.connect() as fleet:
        found = fleet.items("/devices", "devices")
    if json:
        api.print_json(found)
        return
    columns = ("device", "slot", "confirmed", "release", "state", "last seen", "notes")
    api.print_table(columns, [_line_of(device) for device in found])


def _line_of(device: dict[str, Any]) -> list[str]:
    assignment = device["assignment"] or {"release": "", "state": ""}
    return [
        device["device"],
        device["slot"] or "",
        _short(device["confirmed"] or ""),
        _short(assignment["release"]),
        assignment["state"],
        api.time_text(device["last_seen_s"]),
        ", ".join([*(["late"] if device["late"] else []), *(["flagged"] if device["flagged"] else [])]),
    ]


def show_device(
    device: Annotated[str, typer.Argument(help="Device id")],
    *,
    json: Json = False,
) -> None:
    """Show a device: what it runs, what it was assigned, what it proved, what it claims, and what was refused of it."""
    with api.connect() as fleet:
        facts = fleet.get(api.path("devices", device))
    if json:
        api.print_json(facts)
        return
    assignment = facts.pop("assignment") or {}
    refusals, reports, claims = facts.pop("refusals"), facts.pop("reports"), facts.pop("claims")
    flag, log = facts.pop("flagged"), facts.pop("log")
    tags, attention = facts.pop("tags"), facts.pop("attention")
    for name in ("last_seen_s", "fresh_at_s"):
        facts[name] = api.time_text(facts[name])
    lines = {name.removesuffix("_s").replace("_", " "): value for name, value in facts.items()}
    lines |= {f"assigned {name}": value for name, value in assignment.items()}
    lines |= {f"tag {name}": value for name, value in tags.items()}
    lines |= {f"attention {one['cause']}": _note_line(one) for one in attention}
    if flag is not None:
        lines["flagged"] = f"{flag['reason']}, {api.time_text(flag['at_s'])}"
    lines |= {f"refused {one['where']} {one['reason']}": f"{one['count']} times" for one in refusals}
    lines |= {f"report {one['boots']}.{one['number']}": _report_line(one) for one in reports}
    lines |= _claim_lines(claims) if claims else {}
    lines |= {f"log (unsigned) {one['boot']}, {one['uptime_s']} s": _log_line(one) for one in log}
    files.show({name: "" if value is None else value for name, value in lines.items()}, as_json=False)


def _report_line(report: dict[str, Any]) -> str:
    of = f" of {_short(report['release'])}" if report["release"] else ""
    return f"{report['event']}{of}: {report['reason']}, {api.time_text(report['received_at_s'])}"


def _note_line(note: dict[str, Any]) -> str:
    return f"{note['reason']}, since {api.time_text(note['since_s'])}"


def _log_line(entry: dict[str, Any]) -> str:
    return f"{entry['reason']} {_short(entry['detail'] or '')}".strip()


def _claim_lines(claims: dict[str, Any]) -> dict[str, object]:
    """Return what the device says of itself: nobody signed it."""
    lines: dict[str, object] = {
        # Anybody may have written it: nothing that a terminal would obey.
        "claims (unsigned) agent": ascii(claims["agent"])[1:-1],
        "claims (unsigned) anchor": f"version {claims['anchor_version']}, {_short(claims['anchor_digest'])}",
        "claims (unsigned) time floor": api.time_text(claims["time_floor_s"]),
    }
    for name, slot in zip("AB", claims["slots"], strict=False):
        lines[f"claims (unsigned) slot {name}"] = f"{slot['state']} {_short(slot['release'] or '')}".strip()
    for one in claims["failed"]:
        attempts = f"{one['attempts']} attempts, {one['reason']}"
        lines[f"claims (unsigned) failed {_short(one['release'])}"] = attempts
    for reason, count in claims["refusals"].items():
        lines[f"claims (unsigned) refused {reason}"] = f"{count} times"
    return lines


def enroll(
    enrolments: Annotated[list[Path], typer.Argument(help="enrolment.json of each device")],
    *,
    json: Json = False,
) -> None:
    """Let provisioned devices in; one that is enrolled already stays as it is."""
    bodies = [_enrolment(path) for path in enrolments]
    with api.connect() as fleet:
        enrolled = [fleet.post("/enrolments", body) for body in bodies]
    if json:
        api.print_json(enrolled)
        return
    for device in enrolled:
        print(f"{device['device']}: enrolled")


def _enrolment(path: Path) -> Any:
    import json

    try:
        return json.loads(files.read(path))
    except ValueError:
        raise ToolError(f"{path} is no enrolment: `pawl provision` writes enrolment.json") from None


def import_release(
    release: Annotated[Path, typer.Argument(help="Release (*.pawl)")],
    *,
    json: Json = False,
) -> None:
    """Import a release; it is refused if a device would refuse it."""
    content = files.read(release)
    with api.connect() as fleet:
        imported = fleet.upload("/releases", content)
    if json:
        api.print_json(imported)
        return
    print(f"{imported['digest']}: version {imported['version']}, {imported['image_bytes']} bytes")


def list_releases(*, json: Json = False) -> None:
    """List the imported releases, the newest first."""
    with api.connect() as fleet:
        found = fleet.items("/releases", "releases")
    if json:
        api.print_json(found)
        return
    columns = ("digest", "version", "epoch", "sequence", "bytes", "imported")
    names = ("digest", "version", "epoch", "sequence", "image_bytes")
    rows = [[*(str(one[name]) for name in names), api.time_text(one["imported_at_s"])] for one in found]
    api.print_table(columns, rows)


def _short(digest: str) -> str:
    return digest[:8]
