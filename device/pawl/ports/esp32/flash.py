"""The ESP32's flash: one data partition, written through `esp32.Partition` and read through its mapping.

MicroPython maps one partition alone into memory: the data partition with the label "romfs", which `vfs.rom_ioctl` gives
(esp32_partition.c). So everything of Pawl lies in it, and images run in place:

    partition = find(vfs.rom_ioctl, layout)
    flash = PartitionFlash(partition, memoryview(partition), layout)

Refuses a partition that isn't the layout's, and a mapping that doesn't show what the flash holds.
"""

from pawl import codes
from pawl.compat import const
from pawl.errors import StorageError
from pawl.flash import ERASED, check_program

_GET_SEGMENT = const(2)  # of vfs.rom_ioctl
_BLOCK_BYTES = const(5)  # of the block protocol
_ERASE_BLOCK = const(6)
_SIZE = const(3)  # of Partition.info()
_LABEL = const(4)
_IS_ENCRYPTED = const(5)
_PROBE_BYTES = const(32)


def find(rom_ioctl, layout):
    """Return the partition that firmware maps, or raise StorageError if it isn't the one of the layout."""
    partition = rom_ioctl(_GET_SEGMENT, 0)
    if isinstance(partition, int):
        raise StorageError(codes.REASON_FLASH_RANGE, "no partition %s: flash partitions.csv" % layout.LABEL)
    info = partition.info()
    if (info[_LABEL], info[_SIZE]) != (layout.LABEL, layout.FLASH_BYTES):
        raise StorageError(
            codes.REASON_FLASH_RANGE,
            "partition %s has %d bytes, the layout says %d: flash partitions.csv"
            % (info[_LABEL], info[_SIZE], layout.FLASH_BYTES),
        )
    if info[_IS_ENCRYPTED]:
        raise StorageError(
            codes.REASON_FLASH_READ_BACK, "the partition is encrypted: erased bytes can't be told from others"
        )
    return partition


class PartitionFlash:
    """Flash in a partition; `mapped` is a view of all of it, in place."""

    erased = ERASED

    def __init__(self, partition, mapped, layout):
        assert partition.ioctl(_BLOCK_BYTES, 0) == layout.ERASE_BYTES, "a partition with other blocks"
        self.partition = partition
        self.mapped = mapped
        self.erase_bytes = layout.ERASE_BYTES
        self.program_bytes = layout.PROGRAM_BYTES
        self._check_mapping()

    def _check_mapping(self):
        """Under flash encryption the mapping decrypts what was never encrypted; then nothing it shows is true."""
        stored = bytearray(_PROBE_BYTES)
        self.partition.readblocks(0, stored, 0)
        if stored != self.mapped[:_PROBE_BYTES]:
            raise StorageError(
                codes.REASON_FLASH_READ_BACK,
                "the mapping shows other bytes than flash holds: is flash encryption on?",
            )

    def view(self, offset, size):
        """Return what is stored, without a copy."""
        return self.mapped[offset : offset + size]

    def sector(self, offset):
        """Return (start, size) of the sector that holds this byte."""
        return offset - offset % self.erase_bytes, self.erase_bytes

    def program(self, offset, data):
        """Program whole units; a bit that would rise is our mistake: the controller would drop it in silence."""
        assert offset % self.program_bytes == 0 and len(data) % self.program_bytes == 0, "not whole units"
        check_program(self.view(offset, len(data)), data)
        block, rest = divmod(offset, self.erase_bytes)
        try:
            self.partition.writeblocks(block, data, rest)  # without the offset it would erase first
        except OSError as error:
            raise StorageError(codes.REASON_FLASH_PROGRAM, "flash refused to program: %s" % error)

    def erase(self, offset):
        """Erase one sector."""
        assert offset % self.erase_bytes == 0, "not a sector"
        try:
            fault = self.partition.ioctl(_ERASE_BLOCK, offset // self.erase_bytes)
        except OSError as error:
            fault = error
        if fault:
            raise StorageError(codes.REASON_FLASH_READ_BACK, "flash refused to erase: %s" % fault)
