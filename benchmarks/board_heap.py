"""Memory of an update on virt_rv32, by hand: heap in use at each stage, the peak of TLS, the smallest heap that is enough.

make firmware BOARD=virt_rv32
python -m benchmarks.board_heap

Enough is a heap in which two boards make four updates each without a fault. Found by halving, in steps of 1 KB.
"""

import asyncio
import importlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from pawl_boards import firmware
from pawl_boards.bench import Bench
from pawl_boards.qemu import QemuBoard
from pawl_tools import toolchain
from pawl_tools.demo.applications import blinky

_PROJECT = Path(__file__).resolve().parents[1]
_BOARD = "virt_rv32"
_DEVICE = "bench-1"
_PROBE = "benchmarks/on_device/board_heap_probe.py"
_UPDATES = 4
_ROUNDS = 2
_FAILS_KB, _IS_ENOUGH_KB = 64, 128
_STAGE = re.compile(r"bench: memory (\d+) (\d+) (.*)")


def _rig() -> Any:
    sys.path.insert(0, str(_PROJECT / "tests" / "boards"))
    return importlib.import_module("rig").Rig


async def _console(image: Path, heap_bytes: int, updates: int) -> tuple[bool, list[str]]:
    """Return whether all updates ended confirmed, and what the board printed."""
    programs = toolchain.find()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(_BOARD, QemuBoard, Path(folder) / "boards")
        chosen = type("Chosen", (), {"board": lambda _, name, **more: bench.board(name, image, **more)})()
        async with _rig()(Path(folder) / "site", chosen) as rig:
            await rig.add(_DEVICE, rig.release(blinky(1, programs), 1), heap_bytes=heap_bytes)
            try:
                await rig.power_on()
                states = [await _update(rig, number) for number in range(2, 2 + updates)]
            except AssertionError:  # nothing came within its time
                states = ["none"]
            return set(states) == {"succeeded"}, rig.lines(_DEVICE)


async def _update(rig: Any, number: int) -> str:
    await rig.assign(_DEVICE, rig.release(blinky(2 - number % 2, toolchain.find()), number))
    return str((await rig.settled(_DEVICE)).state)


def _is_enough(image: Path, heap_kb: int) -> bool:
    for _ in range(_ROUNDS):
        is_confirmed, lines = asyncio.run(_console(image, heap_kb * 1024, _UPDATES))
        if not is_confirmed or any(" 104" in line or "MemoryError" in line for line in lines):
            return False
    return True


def _smallest_kb(image: Path) -> int:
    fails, good = _FAILS_KB, _IS_ENOUGH_KB
    while good - fails > 1:
        middle = (fails + good) // 2
        is_enough = _is_enough(image, middle)
        print(f"{middle} KB: {'enough' if is_enough else 'too small'}")
        fails, good = (fails, middle) if is_enough else (middle, good)
    return good


def main() -> None:
    """Print the table of stages, then the smallest heap."""
    subprocess.run([_PROJECT / "scripts" / "firmware", _BOARD, "--boot", _PROJECT / _PROBE], check=True)
    probe = _PROJECT / "build" / "firmware" / f"{_BOARD}-{Path(_PROBE).stem}" / "firmware.bin"
    _, lines = asyncio.run(_console(probe.resolve(), 0, 1))
    print("heap in use, peak of TLS, at")
    for found in filter(None, map(_STAGE.match, lines)):
        print(f"{found[1]:>8} {found[2]:>8}  {found[3]}")
    print(f"smallest heap: {_smallest_kb(firmware.find(_BOARD))} KB")


if __name__ == "__main__":
    main()
