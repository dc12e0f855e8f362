"""The flash image of an ESP32: the Wi-Fi goes in, all else stays, and what can't be right is refused."""

import json
import stat

import pytest
from typer.testing import CliRunner

from pawl.flash import MemoryFlash, Region
from pawl.ports.esp32 import wifi
from pawl_tools import esp32_provision as esp32
from pawl_tools.cli import app
from pawl_tools.errors import ToolError

BOARD = esp32.layout()


def device_image():
    """Return an image with something in every region but Wi-Fi's."""
    flash = MemoryFlash(BOARD.flash_bytes)
    for name, (start, _) in BOARD.regions.items():
        if name not in wifi.REGIONS:
            flash.program(start, name.encode().ljust(32))
    return bytes(flash.store)


def test_both_records_and_nothing_else():
    """A network that was in the image before is replaced."""
    before = esp32.with_wifi(device_image(), BOARD, wifi.Network("old", "old-password"))
    after = esp32.with_wifi(before, BOARD, wifi.Network("shop floor", "correct horse"))
    flash = MemoryFlash(BOARD.flash_bytes)
    flash.store[:] = after
    regions = [Region(flash, *BOARD.regions[name]) for name in wifi.REGIONS]
    assert [wifi.load([region]) for region in regions] == [wifi.Network("shop floor", "correct horse")] * 2
    for region in regions:
        region.erase()
    assert bytes(flash.store) == device_image()


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "0 lines"),
        (b"net\nkey\nmore\n", "3 lines"),
        (b"\xff\n", "UTF-8"),
        (b"net\nshort\n", "8 to 64"),
        (b"n" * 33, "1 to 32"),
    ],
)
def test_a_wifi_file_that_cannot_be_right(raw, words):
    """Refused by its cause, before an image is made."""
    with pytest.raises(ToolError, match=words):
        esp32.with_wifi(device_image(), BOARD, esp32.read_network(raw))


def test_an_image_of_another_board():
    """The next step is named."""
    with pytest.raises(ToolError, match="--board esp32"):
        esp32.with_wifi(bytes(100), BOARD, wifi.Network("net", ""))


def test_a_layout_that_is_not_there(tmp_path):
    """Installed without the source tree."""
    with pytest.raises(ToolError, match="source tree"):
        esp32.layout(tmp_path / "layout.py")


def test_the_command(tmp_path):
    """It writes a private file once, prints what to run, and never the key."""
    (tmp_path / "flash.bin").write_bytes(device_image())
    (tmp_path / "wifi").write_text("shop floor\ncorrect horse\n")
    (tmp_path / "fw.bin").write_bytes(b"firmware")
    arguments = [
        "esp32",
        str(tmp_path),
        "--wifi",
        f"{tmp_path}/wifi",
        "--firmware",
        f"{tmp_path}/fw.bin",
        "--json",
    ]
    ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == 0
    image = tmp_path / "esp32.bin"
    assert image.stat().st_size == BOARD.flash_bytes
    assert stat.S_IMODE(image.stat().st_mode) == 0o600
    files = f"0x1000 {tmp_path}/fw.bin 0x310000 {image}"
    tool = "esptool.py --chip esp32 --port /dev/ttyUSB0"
    assert json.loads(ran.output)["commands"] == [
        f"{tool} erase_flash",
        f"{tool} write_flash {files}",
        f"{tool} verify_flash {files}",
    ]
    assert "correct horse" not in ran.output
    again = CliRunner().invoke(app, arguments)
    assert isinstance(again.exception, ToolError)


def test_the_command_without_firmware(tmp_path):
    """Where it comes from is named, and nothing is written."""
    arguments = ["esp32", str(tmp_path), "--wifi", f"{tmp_path}/wifi", "--firmware", f"{tmp_path}/none"]
    ran = CliRunner().invoke(app, arguments)
    assert isinstance(ran.exception, ToolError)
    assert "README" in str(ran.exception)
    assert not list(tmp_path.iterdir())
