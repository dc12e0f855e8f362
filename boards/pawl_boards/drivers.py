"""Which class drives a board: by the name that `--emulator` takes."""

from collections.abc import Callable
from pathlib import Path

from pawl_boards.board import Board, BoardPlan
from pawl_boards.qemu import QemuBoard
from pawl_boards.renode import RenodeBoard

QEMU = "qemu"
RENODE = "renode"
SERIAL = "serial"

# How much longer everything may take there than on QEMU.
PATIENCE = {QEMU: 1, RENODE: 4}

EMULATORS: dict[str, Callable[[BoardPlan, Path], Board]] = {QEMU: QemuBoard, RENODE: RenodeBoard}
