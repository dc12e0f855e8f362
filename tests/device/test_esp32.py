"""The ESP32's flash against a model of MicroPython's own API: what it refuses, and a whole update through it."""

import board
import factory
from board import Board
from esp32_model import DATA, INVALID_ARG, INVALID_SIZE, Chip
from simulator import World
from support import refused

from pawl import boot, codes
from pawl.bootloader import Bootloader
from pawl.ports.esp32.flash import PartitionFlash, find

SECTOR = 4096
START = 0x10000


class layout:  # noqa: N801 (stands for the module)
    """A small board's."""

    LABEL = "romfs"
    FLASH_BYTES = board.FLASH_BYTES
    ERASE_BYTES = SECTOR
    PROGRAM_BYTES = 32


def table(label="romfs", size=board.FLASH_BYTES, flags=""):
    """Return a partition table with one of Pawl behind MicroPython's."""
    return (("nvs", DATA, 2, 0x9000, 0x4000, ""), (label, DATA, 0x8F, START, size, flags))


def new_chip(is_encrypting=False, **changes):
    """Return a chip with room for the table."""
    return Chip(START + board.FLASH_BYTES, table(**changes), is_encrypting)


def opened(chip):
    """Return the PartitionFlash of a chip, found as the port finds it."""
    partition = find(chip.rom_ioctl, layout)
    return PartitionFlash(partition, partition.mapped(), layout)


def fault_of(function, *arguments):
    """Return what the vendor's API raises: the first argument of its OSError."""
    try:
        function(*arguments)
    except OSError as error:
        return error.args[0]
    return None


def is_misuse(function, *arguments):
    """Return whether a call is an AssertionError."""
    try:
        function(*arguments)
    except AssertionError:
        return True
    return False


def test_the_model_refuses_what_the_chip_refuses():
    """Outside the partition, half sectors; and a label that isn't there is an empty list."""
    chip = new_chip()
    partition = chip.find(DATA, label="romfs")[0]
    sectors = board.FLASH_BYTES // SECTOR
    assert partition.ioctl(4, 0) == sectors
    assert fault_of(partition.writeblocks, sectors - 1, bytes(64), SECTOR - 32) == -INVALID_SIZE
    assert fault_of(partition.writeblocks, sectors + 1, bytes(32), 0) == -INVALID_ARG
    assert fault_of(partition.writeblocks, -1, bytes(32), 0) == -INVALID_ARG
    assert fault_of(partition.readblocks, sectors, bytearray(1), 0) == -INVALID_SIZE
    assert fault_of(partition.ioctl, 6, sectors) == -INVALID_SIZE
    assert fault_of(partition.writeblocks, 0, bytes(32)) == -INVALID_SIZE
    assert chip.find(DATA, label="pawl") == []
    assert chip.find(label="romfs") == []
    assert chip.find(DATA, label="romfs", block_size=512)[0].ioctl(6, 0) == -22


def test_the_model_drops_bits_that_would_rise():
    """A write with an offset, 0 too, never erases; one without erases first."""
    partition = new_chip().find(DATA, label="romfs")[0]
    got = bytearray(1)
    for buffer, arguments, expected in (
        (b"\x0f" * SECTOR, (0,), 0x0F),
        (b"\xf1" * SECTOR, (0,), 0x01),
        (b"\xf1" * SECTOR, (), 0xF1),
    ):
        partition.writeblocks(1, buffer, *arguments)
        partition.readblocks(1, got, 0)
        assert got[0] == expected


def test_only_the_partition_of_the_layout():
    """None at all, one of another size, one that is encrypted: each is refused before anything is read from it."""
    assert refused(opened, new_chip(label="vfs")) == codes.REASON_FLASH_RANGE
    assert refused(opened, new_chip(size=board.FLASH_BYTES - SECTOR)) == codes.REASON_FLASH_RANGE
    chip = new_chip(is_encrypting=True, flags="encrypted")
    assert refused(find, chip.rom_ioctl, layout) == codes.REASON_FLASH_READ_BACK
    opened(new_chip(flags="encrypted"))  # the flag alone does nothing without the eFuse


def test_a_mapping_that_lies_is_refused():
    """An encrypting chip decrypts what nobody encrypted."""
    assert refused(opened, new_chip(is_encrypting=True)) == codes.REASON_FLASH_READ_BACK


def test_views_are_of_the_flash_itself():
    """What is programmed later shows in a view made before."""
    flash = opened(new_chip())
    view = flash.view(2 * SECTOR, 64)
    flash.program(2 * SECTOR + 32, b"later" + bytes(27))
    assert bytes(view[:5]) == b"\xff" * 5
    assert bytes(view[32:37]) == b"later"
    flash.erase(2 * SECTOR)
    assert bytes(view) == b"\xff" * 64


def test_programming_never_erases():
    """Units at the begin of a sector, across two of them, and at the last place."""
    chip = new_chip()
    flash = opened(chip)
    for offset in (0, SECTOR - 32, board.FLASH_BYTES - 64):
        flash.program(offset, b"\x5a" * 64)
        assert bytes(flash.view(offset, 64)) == b"\x5a" * 64
    assert chip.erases == 0
    assert bytes(chip.store[START - 32 : START]) == b"\xff" * 32


def test_misuse_is_caught_before_the_chip():
    """Bits that would rise, half units, half sectors: the chip would drop the first in silence."""
    flash = opened(new_chip())
    flash.program(0, bytes(32))
    assert is_misuse(flash.program, 0, b"\x01" * 32)
    assert is_misuse(flash.program, 16, bytes(32))
    assert is_misuse(flash.program, 64, bytes(31))
    assert is_misuse(flash.erase, 32)


def test_what_the_chip_refuses_is_a_fault_of_storage():
    """A sector behind the end; a unit behind the end never gets there."""
    flash = opened(new_chip())
    assert refused(flash.erase, board.FLASH_BYTES) == codes.REASON_FLASH_READ_BACK
    assert is_misuse(flash.program, board.FLASH_BYTES, bytes(32))
    flash.partition = Broken()
    assert refused(flash.erase, 0) == codes.REASON_FLASH_READ_BACK
    assert refused(flash.program, 0, bytes(32)) == codes.REASON_FLASH_PROGRAM


class Broken:
    """A partition whose chip doesn't answer."""

    def ioctl(self, command, argument):
        """Refuse by a number."""
        return -5

    def writeblocks(self, *arguments):
        """Refuse."""
        raise OSError(-0x107)


def new_board(chip):
    """Return a provisioned board whose flash is the chip's."""
    return Board(flash=opened(chip))


def restarted(chip, earlier):
    """Return the board as the chip has it after a reset."""
    again = object.__new__(Board)
    again.verify = earlier.verify
    again.flash = opened(chip)
    again.storage = type(earlier.storage)(again.flash, board.REGIONS)
    again.anchor_file = earlier.anchor_file
    return again


def test_an_update_is_tried_confirmed_and_reverted():
    """A to B on trial and confirmed, then one into A that never confirms: three trials, then B again."""
    chip = new_chip()
    device = new_board(chip)
    device.boot()
    device.put(1, factory.release(sequence=2, version=(2,))).mark_pending()
    device = restarted(chip, device)
    loader, decision = device.boot()
    assert (decision.action, decision.slot) == (boot.TRY, 1)
    loader.confirm(1)
    device.put(0, factory.release(sequence=3, version=(3,))).mark_pending()
    for expected in (0, 0, 0, 1):
        device = restarted(chip, device)
        assert device.boot()[1].slot == expected
    release = device.storage.ratchet().reading.roles[codes.IMAGE_APP]
    assert release.sequence == 2


def test_a_damaged_image_does_not_boot():
    """One bit of the confirmed image falls: the device is left to the agent alone."""
    chip = new_chip()
    device = new_board(chip)
    device.boot()
    at = START + board.REGIONS["image_a"][0] + 4
    chip.store[at] &= chip.store[at] - 1
    loader = Bootloader(restarted(chip, device).storage, factory.verify)
    assert loader.settle(False).action == boot.RECOVER


def test_the_agent_updates_itself_through_the_partition():
    """From the offer to the confirmation, blocks from the broker, both boots from the chip."""
    chip = new_chip()
    world = World()
    world.board = new_board(chip)
    world.publish(factory.release(sequence=2, version=(2,)))
    world.run()
    assert world.is_reset
    world.board = restarted(chip, world.board)
    world.run()
    events = [event for event, _ in world.reports()]
    assert codes.EVENT_INSTALLED in events
    assert restarted(chip, world.board).boot()[1].slot == 1
