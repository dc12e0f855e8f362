"""Time of one signature check on MicroPython, beside two checks without its tricks."""

import os
import subprocess
from pathlib import Path

from benchmarks.figures import Figure
from pawl_tools.launcher import HEAP
from pawl_tools.toolchain import Toolchain

_ROOT = Path(__file__).resolve().parents[1]
_ON_DEVICE = Path(__file__).resolve().parent / "on_device"
_TIMEOUT_S = 60
_REFERENCES = {
    "affine": "double-and-add, affine",
    "jacobian": "double-and-add, Jacobian",
}


def measure(programs: Toolchain) -> list[Figure]:
    """Return p256.verify beside each reference."""
    times = _times_ms(programs)
    return [
        Figure(
            name="signature check",
            value=times["verify"],
            unit="ms",
            reference=words,
            reference_value=times[name],
        )
        for name, words in _REFERENCES.items()
    ]


def _times_ms(programs: Toolchain) -> dict[str, float]:
    """Return the median times that the program on MicroPython prints, one `name milliseconds` a line."""
    command = [
        str(programs.micropython),
        "-X",
        f"heapsize={HEAP}",
        str(_ON_DEVICE / "signature_check.py"),
    ]
    environment = dict(os.environ, MICROPYPATH=f"{_ROOT / 'device'}:{_ON_DEVICE}:.frozen")
    ran = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True
    )
    pairs = (line.split() for line in ran.stdout.splitlines())
    return {name: float(milliseconds) for name, milliseconds in pairs}
