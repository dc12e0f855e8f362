"""Memory maps of boards that can be emulated: those of `boards/<name>/layout.py` that also name hardware."""

from typing import Protocol, cast

from pawl_boards.errors import BoardError
from pawl_tools import layouts
from pawl_tools.errors import ToolError


class Hardware(Protocol):
    """What an emulator is told of a memory map."""

    NAME: str
    FLASH_ADDRESS: int
    FLASH_BYTES: int
    ERASED: int
    FIRMWARE_ADDRESS: int
    FIRMWARE_BYTES: int
    RAM_ADDRESS: int
    RAM_BYTES: int
    PARAMETERS_ADDRESS: int


def load(name: str) -> Hardware:
    """Return the memory map of a board; BoardError for an unknown one and for one without hardware of its own."""
    try:
        layout = layouts.load(name)
    except ToolError as error:
        raise BoardError(str(error)) from error
    missing = [field for field in Hardware.__annotations__ if not hasattr(layout, field)]
    if missing:
        raise BoardError(f"{name} can't be emulated: its layout doesn't say {', '.join(missing)}")
    return cast("Hardware", layout)
