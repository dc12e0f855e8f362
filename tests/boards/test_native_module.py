"""What the firmware does in C for the agent gives the bytes and verdicts of the agent's own Python, on the board itself."""

import subprocess
import sys
import zlib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
FIRST_CODE = Path(__file__).with_name("native_check.py")
BLOCK = 4096

pytestmark = pytest.mark.emulators("qemu")  # a real board has a firmware of its own


def deflated(data, level=9):
    """Return raw DEFLATE with the window that devices have."""
    packer = zlib.compressobj(level, zlib.DEFLATED, -12)
    return packer.compress(data) + packer.flush()


def cases():
    """Return (payload, size of the block, bytes that come out or None)."""
    text = (b"a pawl lets a ratchet turn one way only. " * 200)[:BLOCK]
    mixed = bytes(n * n % 251 for n in range(BLOCK))
    whole = deflated(text)
    return [
        (whole, BLOCK, text),
        (deflated(mixed), BLOCK, mixed),
        (deflated(mixed, 0), BLOCK, mixed),  # stored
        (deflated(bytes(BLOCK)), BLOCK, bytes(BLOCK)),
        (deflated(b"x"), 1, b"x"),
        (deflated(b""), BLOCK, b""),
        (deflated(text + b"more"), BLOCK, text + b"m"),  # one byte more than a block shows that there is more
        (whole[:-1], BLOCK, None),
        (whole + b"\0", BLOCK, None),
        (b"", BLOCK, None),
        (b"\x07" * 40, BLOCK, None),  # a kind of block that isn't there
        (bytes.fromhex("4b040000"), BLOCK, None),
        (bytes.fromhex("030200"), BLOCK, None),
    ]


def test_native_code_agrees_with_python(bench, tmp_path):
    """Signatures made and checked, secrets refused, blocks inflated, and what is no block of DEFLATE."""
    program = tmp_path / FIRST_CODE.name
    program.write_text(f"CASES = {cases()!r}\n{FIRST_CODE.read_text()}")
    build = [sys.executable, PROJECT / "scripts" / "firmware", bench.kind, "--boot", program]
    subprocess.run(build, check=True, capture_output=True)
    image = PROJECT / "build" / "firmware" / f"{bench.kind}-{FIRST_CODE.stem}" / "firmware.bin"
    board = bench.board(image=image)
    board.power_on()
    board.console.wait_for("native agrees", timeout_s=60)
