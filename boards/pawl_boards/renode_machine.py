"""Scripts of Renode that make a board in a folder, switched off: they name its flash and firmware, and fill its parameters page."""

import struct
from pathlib import Path

from pawl_boards.errors import BoardError
from pawl_boards.maps import Hardware

_BOARDS = Path(__file__).resolve().parents[1]

# Renode works in a folder of its own, and takes the file's path from here only.
_PLATFORM = """\
using "{platform}"

flash:
    fileName: "{flash}"
"""

_SCRIPT = """\
$name="{name}"
$platform=@{platform}
$firmware=@{firmware}
include @{machine}
{page}
"""


def find(name: str) -> Path:
    """Return the .resc of a kind of board; the .repl lies beside it. BoardError if there is none."""
    script = _BOARDS / name / f"{name}.resc"
    if not script.is_file():
        raise BoardError(f"{name} doesn't run on Renode: there is no {script}")
    return script


def write(folder: Path, layout: Hardware, firmware: Path, page: bytes) -> Path:
    """Write machine.resc and board.repl for the folder's flash.bin; return the former. `page` is what one start is told."""
    script, platform = folder / "machine.resc", folder / "board.repl"
    machine = find(layout.NAME)
    platform.write_text(_PLATFORM.format(platform=machine.with_suffix(".repl"), flash=folder / "flash.bin"))
    script.write_text(
        _SCRIPT.format(
            name=layout.NAME,
            platform=platform,
            firmware=firmware,
            machine=machine,
            page="\n".join(_writes(layout.PARAMETERS_ADDRESS, page)),
        )
    )
    return script


def _writes(address: int, page: bytes) -> list[str]:
    words = struct.unpack(f"<{len(page) // 4}I", page)
    return [f"sysbus WriteDoubleWord {address + 4 * n:#x} {word:#x}" for n, word in enumerate(words)]
