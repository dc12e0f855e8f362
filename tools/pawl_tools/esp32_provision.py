"""Makes the flash image of a provisioned device ready for an ESP32: puts its Wi-Fi in, and says how it is flashed.

Nothing here talks to a chip: `esptool` does, which speaks to the ROM of every ESP32, also of one without firmware, and reads
back what it wrote. Firmware in production has no prompt that anything else could write through.
"""

import runpy
import shlex
from dataclasses import dataclass
from pathlib import Path

from pawl.flash import MemoryFlash, Region
from pawl.ports.esp32 import wifi
from pawl_tools.errors import ToolError

LAYOUT = Path(__file__).resolve().parents[2] / "boards" / "esp32" / "layout.py"
FIRMWARE_ADDRESS = (
    0x1000  # of the image that MicroPython's build makes of loader, partition table and firmware
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What of the board's memory map is needed here."""

    flash_address: int
    flash_bytes: int
    erase_bytes: int
    program_bytes: int
    regions: dict[str, tuple[int, int]]


def layout(path: Path = LAYOUT) -> Layout:
    """Return the memory map of the ESP32."""
    if not path.is_file():
        raise ToolError(
            f"{path} is missing: the board's files come with the source tree, run pawl from there"
        )
    names = runpy.run_path(str(path))
    return Layout(
        flash_address=names["FLASH_ADDRESS"],
        flash_bytes=names["FLASH_BYTES"],
        erase_bytes=names["ERASE_BYTES"],
        program_bytes=names["PROGRAM_BYTES"],
        regions=names["REGIONS"],
    )


def read_network(raw: bytes) -> wifi.Network:
    """Return the network of a file of two lines, its name and its key; an open one has one line."""
    try:
        lines = raw.decode().splitlines()
    except UnicodeDecodeError:
        raise ToolError("the Wi-Fi file is no UTF-8 text") from None
    if not 1 <= len(lines) <= 2:
        raise ToolError(
            f"the Wi-Fi file has {len(lines)} lines: one is the network's name, the second its key"
        )
    return wifi.Network(lines[0], lines[1] if len(lines) == 2 else "")


def with_wifi(image: bytes, board: Layout, network: wifi.Network) -> bytes:
    """Return a device's flash image with both copies of the Wi-Fi record, written by the device's own code."""
    if len(image) != board.flash_bytes:
        raise ToolError(
            f"the flash image has {len(image)} bytes, an ESP32's {board.flash_bytes}: provision it with --board esp32"
        )
    flash = MemoryFlash(len(image), board.erase_bytes, board.program_bytes)
    flash.store[:] = image
    try:
        wifi.write([Region(flash, *board.regions[name]) for name in wifi.REGIONS], network)
    except ValueError as error:
        raise ToolError(f"{error}: change the Wi-Fi file") from None
    return bytes(flash.store)


def commands(board: Layout, port: str, firmware: Path, image: Path) -> list[str]:
    """Return what a person runs: erase the chip, write firmware and image, compare both with what the chip holds."""
    tool = ["esptool.py", "--chip", "esp32", "--port", port]
    files = [f"{FIRMWARE_ADDRESS:#x}", str(firmware), f"{board.flash_address:#x}", str(image)]
    return [
        shlex.join([*tool, *step])
        for step in (["erase_flash"], ["write_flash", *files], ["verify_flash", *files])
    ]
