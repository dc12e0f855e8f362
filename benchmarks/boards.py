"""Firmware for a benchmark, and whole updates of emulated boards that run it: QEMU, the bridge, TLS over the line."""

import asyncio
import re
import subprocess
import tempfile
from pathlib import Path

from benchmarks.fleet import Fleet
from pawl_boards.board import BoardPlan
from pawl_boards.console import Console, Line
from pawl_boards.qemu import QemuBoard, QemuOptions
from pawl_tools import layouts
from pawl_tools.bridge import Address, BridgeThread
from pawl_tools.errors import ToolError
from pawl_tools.site import HOST

KINDS = ("virt_rv32", "mps2_an385")
FIRST, LAST = "pawl: state DOWNLOAD", "pawl: state CLEANUP"
_PROJECT = Path(__file__).resolve().parents[1]
_ON_DEVICE = Path(__file__).resolve().parent / "on_device"
_TIMEOUT_S = 300.0
_SIZES = re.compile(r"text (\d+), data (\d+), bss (\d+)")


def build(kind: str, *options: str) -> list[tuple[int, ...]]:
    """Build a board's firmware; return text, data and bss of each that it tells the sizes of."""
    command = [str(_PROJECT / "scripts" / "firmware"), kind, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolError(f"no firmware for {kind}: {done.stderr.strip()[-2000:]}")
    return [tuple(map(int, sizes)) for sizes in _SIZES.findall(done.stdout)]


def firmware(kind: str, first_code: str | None = None, behind: str = "") -> Path:
    """Return the shipped firmware, or one that begins with `on_device/<first_code>.py`.

    One file is frozen as first code: `behind` names the module that is put before it there, in place of the import.
    """
    name = kind
    options: list[str] = []
    with tempfile.TemporaryDirectory(prefix="pawl-bench-") as folder:
        if first_code:
            name = f"{kind}-{first_code}"
            file = Path(folder) / f"{first_code}.py"
            file.write_text(joined(first_code, behind))
            options = ["--boot", str(file)]
        build(kind, *options)
    return _PROJECT / "build" / "firmware" / name / "firmware.bin"


def joined(first_code: str, behind: str) -> str:
    """Return one file: the module, and above it, in place of its import, the one that it needs."""
    own = (_ON_DEVICE / f"{first_code}.py").read_text()
    if not behind:
        return own
    rest, count = re.subn(rf"^from {behind} import .*\n", "", own, flags=re.MULTILINE)
    if count != 1:
        raise ToolError(f"{first_code}.py imports {behind} {count} times, not once")
    return (_ON_DEVICE / f"{behind}.py").read_text() + rest


async def update(fleet: Fleet, name: str, plan: BoardPlan, options: QemuOptions) -> list[Line]:
    """Update a new board until it is confirmed; return what it printed."""
    device = f"{name}-{plan.name}".replace("_", "-")
    folder = await fleet.enroll(device, layout=layouts.load(plan.name))
    broker = (HOST, fleet.site.ports.devices)
    return await asyncio.to_thread(_update, plan, options, (folder / "flash.bin").read_bytes(), broker)


def _update(plan: BoardPlan, options: QemuOptions, flash: bytes, broker: Address) -> list[Line]:
    with (
        tempfile.TemporaryDirectory(prefix="pawl-bench-") as place,
        QemuBoard(plan, Path(place), options) as board,
        BridgeThread([board.line], broker),
    ):
        board.write_flash(flash)
        board.power_on()
        _wait_until_confirmed(board.console)
        return board.console.lines


def _wait_until_confirmed(console: Console) -> None:
    """A fault in CONFIRM would not be followed by the report of event 2."""
    for wanted in (FIRST, "pawl: state CONFIRM", " event 2 ", LAST, "pawl: state IDLE"):
        console.wait_for(wanted, _TIMEOUT_S)


def span_ms(lines: list[Line]) -> float:
    """Return the time from the first DOWNLOAD to the first CLEANUP, as the host saw their lines."""
    moments = {line.text: line.seconds for line in reversed(lines)}
    return (moments[LAST] - moments[FIRST]) * 1000
