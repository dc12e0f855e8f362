"""Reading and writing the files that commands are given."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from pawl_tools.errors import ToolError

Json = Annotated[bool, typer.Option("--json", help="Print JSON")]
From = Annotated[Path | None, typer.Option("--from", help="Anchor file of the version before")]
LINE = "this line: /dev/ttyUSB0[,BAUD] or socket://HOST:PORT"
FILE_MAX_BYTES = 64 * 1024 * 1024


def read(path: Path) -> bytes:
    """Return a file of at most 64 MiB."""
    try:
        if path.stat().st_size > FILE_MAX_BYTES:
            raise ToolError(f"{path} is larger than {FILE_MAX_BYTES} bytes: no release is")
        return path.read_bytes()
    except OSError as error:
        raise ToolError(f"cannot read {path}: {error.strerror}") from None


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ToolError(f"cannot write {path}: {error.strerror}") from None


def disagreements(release: Path) -> Path:
    """Return where a case is kept about which the judges differ: beside the release."""
    return release.with_name(release.name + ".disagreements")


def show(facts: dict[str, object], *, as_json: bool) -> None:
    """Print facts as JSON, or as aligned lines."""
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        text = ", ".join(str(item) for item in value) if isinstance(value, list) else value
        print(f"{name:<{width}}  {text}")


def done(text: str, facts: dict[str, object], *, as_json: bool) -> None:
    """Print what was made: a line for people, or its facts as JSON."""
    print(json.dumps(facts, indent=2) if as_json else text)


def progress(text: str) -> None:
    """Say how far it is, beside the result."""
    print(text, file=sys.stderr)


def tell(title: str, lines: list[str]) -> None:
    """Print a title and indented lines under it."""
    print("\n".join([title, *(f"  {line}" for line in lines)]))
