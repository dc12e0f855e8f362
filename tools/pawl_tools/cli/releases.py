"""`pawl release import|list|show`: releases that the fleet server has; `show` also reads a file."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pawl_tools.cli import api, files
from pawl_tools.cli.api import Json


def add_to(releases: typer.Typer) -> None:
    """Put the commands beside those that need no server."""
    releases.command("import")(import_release)
    releases.command("list")(list_releases)
    releases.command("show")(show_release)


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
        found = list(fleet.pages("/releases", "releases"))
    if json:
        api.print_json(found)
        return
    columns = ("digest", "version", "epoch", "sequence", "bytes", "imported", "for")
    api.print_table(columns, [_row(one) for one in found])


def _row(release: dict[str, Any]) -> list[str]:
    names = ("digest", "version", "epoch", "sequence", "image_bytes")
    purpose = "recovery" if release["is_recovery"] else ""
    return [*(str(release[name]) for name in names), api.time_text(release["imported_at_s"]), purpose]


def show_release(
    release: Annotated[str, typer.Argument(help="Release (*.pawl), or the digest of an imported one")],
    *,
    json: Json = False,
) -> None:
    """Print what a file says of itself (checks no signature: `pawl verify` does), or what the server has."""
    from pawl_tools import description

    path = Path(release)
    # A file's name has a dot, a digest never.
    if path.exists() or "." in release or "/" in release:
        files.show(description.describe(files.read(path), release), as_json=json)
        return
    with api.connect() as fleet:
        facts = fleet.get(api.path("releases", release))
    if json:
        api.print_json(facts)
        return
    for name in ("imported_at_s", "published_at_s"):
        facts[name] = api.time_text(facts[name])
    files.show(
        {name.removesuffix("_s").replace("_", " "): value for name, value in facts.items()}, as_json=False
    )
