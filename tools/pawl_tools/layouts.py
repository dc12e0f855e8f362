"""Memory maps of boards: what a flash image is made by.

    layout = load("virt_rv32")
    MemoryFlash(layout.FLASH_BYTES, layout.ERASE_BYTES, layout.PROGRAM_BYTES)

Boards other than `unix` have theirs in `boards/<name>/layout.py` of the source tree, which firmware and emulators follow too.
"""

import importlib
import importlib.util
from pathlib import Path
from typing import Protocol, cast

from pawl import flash
from pawl_tools.errors import ToolError

UNIX = "unix"
BOARDS = Path(__file__).resolve().parents[2] / "boards"
_FIELDS = ("NAME", "FLASH_BYTES", "ERASE_BYTES", "PROGRAM_BYTES", "ERASED", "REGIONS")


class Layout(Protocol):
    """A board's memory map; `REGIONS` maps a name to (start, size) in bytes."""

    NAME: str
    FLASH_BYTES: int
    ERASE_BYTES: int
    PROGRAM_BYTES: int
    ERASED: int
    REGIONS: dict[str, tuple[int, int]]


def load(name: str, boards: Path = BOARDS) -> Layout:
    """Return the layout of a board; ToolError for a board that isn't there, or whose layout is none."""
    if name == UNIX:
        return cast("Layout", importlib.import_module("pawl.ports.unix.layout"))
    paths = _paths(boards)
    if name not in paths:
        raise ToolError(f"{name!r} is no board that is known here: {_listed(paths, boards)}")
    return _checked(name, _imported(name, paths[name]), paths[name])


def _paths(boards: Path) -> dict[str, Path]:
    return {path.parent.name: path for path in sorted(boards.glob("*/layout.py"))}


def _listed(paths: dict[str, Path], boards: Path) -> str:
    names = ", ".join(sorted([UNIX, *paths]))
    hint = (
        "" if boards.is_dir() else " (layouts of other boards come with the source tree: run pawl from there)"
    )
    return f"there is {names}{hint}"


def _imported(name: str, path: Path) -> object:
    specification = importlib.util.spec_from_file_location(f"pawl_layout_{name}", path)
    if specification is None or specification.loader is None:
        raise ToolError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def _checked(name: str, module: object, path: Path) -> Layout:
    """Return the layout; ToolError unless it is complete, is this board's, and is of flash that images are made for."""
    for field in _FIELDS:
        if not hasattr(module, field):
            raise ToolError(f"{path} is no layout: {field} is missing")
    layout = cast("Layout", module)
    if name != layout.NAME:
        raise ToolError(f"{path} is the layout of {layout.NAME!r}: its folder must have that name")
    if layout.ERASED != flash.ERASED:
        raise ToolError(f"{path}: images are made for flash whose erased bytes read 0xFF only")
    return layout
