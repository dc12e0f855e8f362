"""The vendor's side of the ESP32 in memory: `esp32.Partition`, `vfs.rom_ioctl` and `network.WLAN`, with what they refuse.

Follows MicroPython 1.25 (ports/esp32/esp32_partition.c, network_wlan.c) on ESP-IDF (esp_partition/partition_target.c).
"""

ENOENT = 2
EINVAL = 22
INVALID_ARG = 0x102  # esp_err_t: ESP_ERR_INVALID_ARG and so on; MicroPython raises them negated
INVALID_SIZE = 0x104
NATIVE_BLOCK_BYTES = 4096
DATA = 1
ANY = 0xFF
_ENCRYPTION_UNIT = 16
_KEY = 0x5A  # stands for AES

_WORDS = {INVALID_ARG: "ESP_ERR_INVALID_ARG", INVALID_SIZE: "ESP_ERR_INVALID_SIZE"}


def _refuse(code):
    raise OSError(-code, _WORDS[code])


class Chip:
    """The flash chip: bits fall, sectors rise; `is_encrypting` is the eFuse of flash encryption."""

    def __init__(self, size, table, is_encrypting=False):
        self.store = bytearray(b"\xff" * size)
        self.table = table  # rows of partitions.csv: (label, type, subtype, offset, size, flags)
        self.is_encrypting = is_encrypting
        self.erases = 0

    def find(self, kind=0, subtype=ANY, label=None, block_size=NATIVE_BLOCK_BYTES):
        """Do as Partition.find: partitions of a type, without one that fits an empty list."""
        return [
            Partition(self, row, block_size)
            for row in self.table
            if row[1] == kind and subtype in (ANY, row[2]) and label in (None, row[0])
        ]

    def rom_ioctl(self, command, segment):
        """Do as vfs.rom_ioctl: one segment at most, the data partition with the label romfs; errors are numbers."""
        found = self.find(DATA, ANY, "romfs")
        if command == 1:
            return 1 if found else 0
        return found[0] if command == 2 and found else -EINVAL


class Partition:
    """One `esp32.Partition`; `mapped` stands for the buffer that MicroPython makes of the romfs one."""

    def __init__(self, chip, row, block_size):
        self._chip = chip
        self._row = row
        self._start, self._size = row[3], row[4]
        self._is_encrypted = chip.is_encrypting and "encrypted" in row[5]
        self._block_size = block_size

    def mapped(self):
        """Return the mapping: of an encrypting chip it shows everything decrypted, encrypted or not."""
        view = memoryview(self._chip.store)[self._start : self._start + self._size]
        if not self._chip.is_encrypting:
            return view
        return memoryview(bytes([byte ^ _KEY for byte in view[:4096]]) + bytes(self._size - 4096))

    def info(self):
        """Return (type, subtype, address, size, label, encrypted)."""
        row = self._row
        return (row[1], row[2], row[3], row[4], row[0], self._is_encrypted)

    def _crypted(self, content):
        return bytes([byte ^ _KEY for byte in content]) if self._is_encrypted else content

    def _check(self, offset, size):
        offset &= 0xFFFFFFFF  # uint32_t there
        if offset > self._size:
            _refuse(INVALID_ARG)
        if offset + size > self._size:
            _refuse(INVALID_SIZE)
        return self._start + offset

    def _erase_range(self, offset, size):
        at = self._check(offset, size)
        if size % NATIVE_BLOCK_BYTES:
            _refuse(INVALID_SIZE)
        if offset % NATIVE_BLOCK_BYTES:
            _refuse(INVALID_ARG)
        self._chip.erases += size // NATIVE_BLOCK_BYTES
        self._chip.store[at : at + size] = b"\xff" * size

    def readblocks(self, block, buffer, offset=0):
        """Fill the buffer from a block on."""
        at = self._check(block * self._block_size + offset, len(buffer))
        buffer[:] = self._crypted(self._chip.store[at : at + len(buffer)])

    def writeblocks(self, block, buffer, offset=None):
        """Without an offset the blocks are erased first; with one, 0 too, bits only fall, and nobody says so."""
        place = block * self._block_size
        if offset is None:
            self._erase_range(place, len(buffer))
            offset = 0
        at = self._check(place + offset, len(buffer))
        if self._is_encrypted and (at % _ENCRYPTION_UNIT or len(buffer) % _ENCRYPTION_UNIT):
            _refuse(INVALID_ARG)
        store = self._chip.store
        for index, byte in enumerate(self._crypted(buffer)):
            store[at + index] &= byte

    def ioctl(self, command, argument):
        """4 number of blocks, 5 their size, 6 erase; another block size than the chip's isn't erased: a number says so."""
        if command in (1, 2, 3):
            return 0
        if command == 4:
            return self._size // self._block_size
        if command == 5:
            return self._block_size
        if command != 6:
            return None
        if self._block_size != NATIVE_BLOCK_BYTES:
            return -EINVAL
        self._erase_range(argument * NATIVE_BLOCK_BYTES, NATIVE_BLOCK_BYTES)
        return 0


class Wlan:
    """`network.WLAN` as a station; a test sets `outcome` to the status that joining ends in, 1010 is joined."""

    JOINED = 1010
    JOINING = 1001

    def __init__(self, outcome=JOINED):
        self.outcome = outcome
        self.calls = []
        self.is_joining = False
        self.is_active = False

    def active(self, wanted=None):
        """Turn the radio on or off, or tell."""
        if wanted is not None:
            self.is_active = wanted
        return self.is_active

    def connect(self, name, key):
        """Begin to join; refused while the radio is off, or while it is joining already."""
        if not self.is_active:
            raise OSError("Wifi Not Started")
        if self.is_joining:
            raise OSError("Wifi Internal State Error")
        self.calls.append((name, key))
        self.is_joining = True

    def disconnect(self):
        """Stop joining, and joining again."""
        if not self.is_active:
            raise OSError("Wifi Not Started")
        self.is_joining = False

    def isconnected(self):
        """Tell whether there is an address."""
        return self.is_active and self.is_joining and self.outcome == self.JOINED

    def status(self):
        """Tell where joining stands."""
        return self.outcome
