"""The memory map of an ESP32 with 4 MiB of flash: firmware, tools and tests follow it; partitions.csv is checked against it.

Offsets in REGIONS count from FLASH_ADDRESS, where the one partition of Pawl begins.
"""

NAME = "esp32"

# The data partition that firmware maps into memory. MicroPython maps one alone, and finds it by this label.
LABEL = "romfs"
FLASH_ADDRESS = 0x310000
FLASH_BYTES = 0xF0000
ERASE_BYTES = 0x1000
PROGRAM_BYTES = 32
ERASED = 0xFF

WATCHDOG_MS = 30000


def _sectors(counts):
    """Return {name: (start, size)} of regions that follow one another, from (name, number of sectors)."""
    regions = {}
    first = 0
    for name, count in counts:
        regions[name] = (first * ERASE_BYTES, count * ERASE_BYTES)
        first += count
    return regions


# An identity comes first: MicroPython mounts what begins like a ROMFS image there, before any Python runs.
REGIONS = _sectors(
    (
        ("identity_a", 3),
        ("identity_b", 3),
        ("wifi_a", 1),
        ("wifi_b", 1),
        ("anchor_a", 1),
        ("anchor_b", 1),
        ("ratchet", 2),
        ("boots", 2),
        ("quarantine", 2),
        ("clock", 2),
        ("log", 2),
        ("page_a", 1),
        ("envelope_a", 1),
        ("page_b", 1),
        ("envelope_b", 1),
        ("image_a", 88),
        ("image_b", 88),
        ("data_a", 20),
        ("data_b", 20),
    )
)
