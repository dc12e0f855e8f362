"""What the commands on the fleet server's interface share: the connection, paths, and how answers are printed."""

import json as json_format
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from pawl_tools.cli import files
from pawl_tools.errors import ToolError

if TYPE_CHECKING:
    from pawl_tools.fleet_client import FleetClient

Json = files.Json
Device = Annotated[str, typer.Argument(help="Device id")]
Filter = Annotated[
    str | None,
    typer.Option(
        "--filter",
        help='Which devices, such as: class == "esp32" and tag.site in ("b1", "b2")',
        metavar="FILTER",
    ),
]
_DIGEST_SHOWN = 8


def connect() -> "FleetClient":
    """Return a connection to the server that the environment or a file names."""
    from pawl_tools import credentials
    from pawl_tools.fleet_client import FleetClient

    return FleetClient(credentials.find())


def path(*parts: str) -> str:
    """Return a path of names that a person gave."""
    for part in parts:
        # A server's path would be another one, whatever is quoted.
        if "/" in part or part in {"", ".", ".."}:
            raise ToolError(f"{part!r} is no name of anything: names have a-z, 0-9, . and -")
    return "".join("/" + quote(part, safe="") for part in parts)


def time_text(seconds: int | None) -> str:
    """Return a time for people; one that no calendar has, as the number that it is."""
    if seconds is None:
        return ""
    try:
        return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return str(seconds)


def short(digest: str) -> str:
    """Return what people see of a digest."""
    return digest[:_DIGEST_SHOWN]


def counted(number: int, noun: str) -> str:
    """Return a number of things."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def print_json(value: object) -> None:
    """Print an answer as it came."""
    print(json_format.dumps(value, indent=2))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print aligned columns under their names."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        print("  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip())
