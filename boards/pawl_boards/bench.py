"""Boards of one test: made on demand, switched off after it, their logs kept if it failed."""

import contextlib
import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

from pawl_boards import firmware, maps
from pawl_boards.board import Board, BoardPlan
from pawl_boards.errors import BoardDiedError, BoardError

Driver = Callable[[BoardPlan, Path], Board]


class Bench:
    """Makes boards of one kind in folders of their own.

    first = bench.board("first")
    second = bench.board("second", heap_bytes=96 * 1024)
    """

    def __init__(self, kind: str, driver: Driver, folder: Path) -> None:
        self.kind = kind
        self._driver = driver
        self._folder = folder
        self._boards: dict[str, Board] = {}

    def board(
        self, name: str = "board", image: Path | None = None, heap_bytes: int = 0, watchdog_s: int = 0
    ) -> Board:
        """Return a new board, switched off; `image` is its firmware, if not the project's."""
        if name in self._boards:
            raise ValueError(f"there is a board {name!r} on this bench: give each one its own name")
        layout = maps.load(self.kind)
        plan = BoardPlan(
            layout=layout,
            firmware=image or firmware.find(self.kind),
            heap_bytes=heap_bytes,
            watchdog_s=watchdog_s,
        )
        board = self._driver(plan, self._folder / name)
        self._boards[name] = board
        return board

    def close(self) -> None:
        """Switch all off.

        Raises:
            BoardDiedError: a board had ended by itself and was left so.

        """
        deaths = {name: board.console.death for name, board in self._boards.items()}
        with contextlib.ExitStack() as all_boards:
            for board in self._boards.values():
                all_boards.callback(board.close)
        for name, death in deaths.items():
            if death:
                raise BoardDiedError(f"board {name!r}: {death}")

    def keep(self, target: Path) -> None:
        """Switch all off and keep their logs and what their flash holds, compressed."""
        shutil.rmtree(target, ignore_errors=True)
        for name, board in self._boards.items():
            with contextlib.suppress(BoardError):  # its logs say so
                board.power_off()
            _keep_folder(self._folder / name, target / name)


def _keep_folder(source: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for log in source.glob("*.log"):
        shutil.copyfile(log, target / log.name)
    for flash in source.glob("flash.bin"):
        with flash.open("rb") as content, gzip.open(target / "flash.bin.gz", "wb", compresslevel=1) as packed:
            shutil.copyfileobj(content, packed)
