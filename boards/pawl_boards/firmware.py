"""Where a board's firmware is: in `PAWL_FIRMWARE`, else where `make firmware` puts it."""

import os
from pathlib import Path

from pawl_boards.errors import BoardError

_PROJECT = Path(__file__).resolve().parents[2]


def find(board: str) -> Path:
    """Return <folder>/<board>/firmware.bin; BoardError says how to make it."""
    folder = Path(os.environ.get("PAWL_FIRMWARE", _PROJECT / "build" / "firmware"))
    path = folder / board / "firmware.bin"
    if not path.is_file():
        raise BoardError(
            f"{path} is missing: run `make firmware BOARD={board}`, or set PAWL_FIRMWARE to a folder that has it"
        )
    return path
