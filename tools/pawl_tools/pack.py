"""Packs a folder into a ROMFS image: Python compiled by our own mpy-cross, other files as they are.

The same folder gives the same bytes. mpremote only lays out what is compiled already: by itself it would pack sources
in silence where it finds no compiler.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pawl
from pawl_tools.errors import ToolError
from pawl_tools.toolchain import Toolchain

_IGNORED = ("__pycache__", ".git")
_OTHER_PORTS = ("esp32", "firmware", "host")


def pack_application(folder: Path, toolchain: Toolchain) -> bytes:
    """Return the image of an application: a folder with `main.py`."""
    if not (folder / "main.py").is_file():
        raise ToolError(f"{folder} has no main.py: an application starts with it")
    return pack(folder, toolchain)


def pack_agent(toolchain: Toolchain) -> bytes:
    """Return the unix board's agent: the `pawl` package that this host has installed."""
    return pack(Path(pawl.__file__).parent, toolchain, prefix="pawl", ignored=(*_IGNORED, *_OTHER_PORTS))


def pack(
    folder: Path, toolchain: Toolchain, *, prefix: str = "", ignored: tuple[str, ...] = _IGNORED
) -> bytes:
    """Return the ROMFS image of a folder, its content placed under `prefix`."""
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "tree"
        for source in _files(folder, ignored):
            _place(source, Path(prefix) / source.relative_to(folder), tree, toolchain)
        image = Path(scratch) / "image.romfs"
        _run([sys.executable, "-m", "mpremote", "romfs", "-o", str(image), "--no-mpy", "build", str(tree)])
        return image.read_bytes()


def _files(folder: Path, ignored: tuple[str, ...]) -> list[Path]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [path for path in paths if not any(part in ignored for part in path.relative_to(folder).parts)]


def _place(source: Path, name: Path, tree: Path, toolchain: Toolchain) -> None:
    target = tree / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix == ".py":
        # -s: the name in tracebacks, which must not hold a path of this machine.
        _run([str(toolchain.mpy_cross), "-s", str(name), "-o", str(target.with_suffix(".mpy")), str(source)])
    else:
        shutil.copyfile(source, target)


def _run(command: list[str]) -> None:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        lines = (ran.stderr or ran.stdout).strip().splitlines() or ["no message"]
        raise ToolError(f"{Path(command[0]).name} failed: {lines[-1]}")
