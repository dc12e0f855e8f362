"""`pawl esp32`: a provisioned device's flash image, ready for the chip."""

from pathlib import Path
from typing import Annotated

import typer

from pawl_tools.cli import files
from pawl_tools.errors import ToolError

IMAGE = "esp32.bin"


def esp32(
    folder: Annotated[Path, typer.Argument(help="Folder of the device, made by provision --board esp32")],
    wifi: Annotated[Path, typer.Option(help="File with the Wi-Fi's name, and on a second line its key")],
    firmware: Annotated[Path, typer.Option(help="firmware.bin of the board")],
    port: Annotated[str, typer.Option(help="Serial port of the chip")] = "/dev/ttyUSB0",
    *,
    json: files.Json = False,
) -> None:
    """Put the Wi-Fi into a device's flash image, and print the commands that flash it with esptool."""
    from pawl_tools import esp32_provision, pki

    board = esp32_provision.layout()
    if not firmware.is_file():
        raise ToolError(f"{firmware} is missing: boards/esp32/README.md says how it is built")
    network = esp32_provision.read_network(files.read(wifi))
    content = esp32_provision.with_wifi(files.read(folder / "flash.bin"), board, network)
    image = folder / IMAGE
    try:
        pki.write_private(image, content)
    except FileExistsError:
        raise ToolError(f"{image} exists: delete it to make it anew") from None
    lines = esp32_provision.commands(board, port, firmware, image)
    text = f"{image} (private), network {network.name!r}; now run\n\n" + "\n".join(lines)
    files.done(text, {"image": str(image), "network": network.name, "commands": lines}, as_json=json)
