"""The demo's applications: blinky 1 and 2 with as much data beside their code as a real one has, and one that crashes."""

import hashlib
import shutil
import tempfile
from pathlib import Path

from pawl_tools import pack
from pawl_tools.toolchain import Toolchain

_ASSET_BYTES = 100_000
_BLINKY = Path(__file__).resolve().parents[3] / "examples" / "blinky"


def blinky(version: int, programs: Toolchain, flavour: int = 0) -> bytes:
    """Return the image of a version of blinky; another flavour is another image that does the same."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "blinky"
        shutil.copytree(_BLINKY / str(version), folder)
        seed = f"{version}.{flavour}".encode()
        pages = (
            hashlib.sha256(seed + number.to_bytes(2)).hexdigest() for number in range(_ASSET_BYTES // 64)
        )
        (folder / "assets.txt").write_text("".join(pages))
        return pack.pack_application(folder, programs)


def crashing(programs: Toolchain) -> bytes:
    """Return the image of an application that raises as soon as it starts."""
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "main.py").write_text("async def main():\n    raise ValueError('on purpose')\n")
        return pack.pack_application(Path(scratch), programs)
