"""Layouts of all boards: complete, and sane enough to make a device by; flash images that follow them."""

import time

import pytest
from release_factory import CLASS, VENDOR, make_anchor, make_keys, make_release

from pawl import codes
from pawl.flash import MemoryFlash
from pawl.storage import Storage
from pawl_tools import layouts, pki, provision
from pawl_tools.errors import ToolError

NAMES = ["unix", *sorted(path.parent.name for path in layouts.BOARDS.glob("*/layout.py"))]
MAKING_MAX_S = 3.0  # this machine is shared: measured alone it is well under half a second


@pytest.mark.parametrize("name", NAMES)
def test_regions_are_whole_sectors_of_their_own(name):
    """In the flash, aligned, none over another, and with everything that a device keeps."""
    layout = layouts.load(name)
    end = 0
    for start, size in sorted(layout.REGIONS.values()):
        assert start >= end and size > 0
        assert start % layout.ERASE_BYTES == size % layout.ERASE_BYTES == 0
        end = start + size
    assert end <= layout.FLASH_BYTES
    assert 0 < layout.PROGRAM_BYTES <= 32
    flash = MemoryFlash(layout.FLASH_BYTES, layout.ERASE_BYTES, layout.PROGRAM_BYTES)
    storage = Storage(flash, layout.REGIONS)
    for part in (storage.ratchet, storage.boot_counter, storage.quarantine, storage.log):
        assert part() is not None


@pytest.mark.parametrize("name", NAMES)
def test_a_device_is_made_by_its_boards_layout(tmp_path, name):
    """As large as the board's flash, soon made, and what was asked for is found by that layout."""
    layout, keys = layouts.load(name), make_keys()
    authority = pki.create_authority("test devices")
    anchor = make_anchor(keys, ca=[authority.certificate_der()])
    plan = provision.DevicePlan(device="one", vendor=VENDOR, device_class=CLASS, host="127.0.0.1", port=1)
    began = time.monotonic()
    provision.provision(tmp_path / "one", plan, anchor, make_release(keys), authority, layout=layout)
    assert time.monotonic() - began < MAKING_MAX_S
    flash = MemoryFlash(layout.FLASH_BYTES, layout.ERASE_BYTES, layout.PROGRAM_BYTES)
    flash.store[:] = (tmp_path / "one" / "flash.bin").read_bytes()
    assert len(flash.store) == layout.FLASH_BYTES
    storage = Storage(flash, layout.REGIONS)
    assert storage.identity().device == "one"
    assert storage.slots[codes.RUNNING_A].status().state == codes.SLOT_CONFIRMED


def test_an_unknown_board_is_told_of_the_known_ones():
    """And no name leads out of the folder of boards."""
    for name in ("virt_rv64", "../boards/virt_rv32", ""):
        with pytest.raises(ToolError, match=r"there is .*unix.*virt_rv32"):
            layouts.load(name)


def test_without_the_source_tree_the_way_to_it_is_told(tmp_path):
    """An installation alone knows the unix board."""
    assert layouts.load("unix", tmp_path / "none").NAME == "unix"
    with pytest.raises(ToolError, match="come with the source tree"):
        layouts.load("virt_rv32", tmp_path / "none")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (("NAME", '"other"'), "layout of 'other'"),
        (("ERASED", "0"), "0xFF only"),
        (("REGIONS", None), "REGIONS is missing"),
    ],
)
def test_a_layout_that_is_none_is_refused(tmp_path, changed, says):
    """What is missing, or of another board, is named."""
    fields = {"NAME": '"mine"', "FLASH_BYTES": "8192", "ERASE_BYTES": "4096", "PROGRAM_BYTES": "32"}
    fields |= {"ERASED": "255", "REGIONS": "{}"} | dict([changed])
    (tmp_path / "mine").mkdir()
    lines = [f"{name} = {value}\n" for name, value in fields.items() if value is not None]
    (tmp_path / "mine" / "layout.py").write_text("".join(lines))
    with pytest.raises(ToolError, match=says):
        layouts.load("mine", tmp_path)
