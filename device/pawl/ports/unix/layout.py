"""The memory map of the unix board; agent, provisioning and tests all read it from here."""

from pawl.compat import const

NAME = "unix"

ERASE_BYTES = const(4096)
PROGRAM_BYTES = const(32)
ERASED = const(0xFF)
RESET_EXIT_CODE = const(75)  # what the launcher takes for a reset
FLASH_BYTES = const(0x160000)

# name: (start, size) in bytes
REGIONS = {
    "identity_a": (0x0000, 0x3000),
    "anchor_a": (0x3000, 0x1000),
    "anchor_b": (0x4000, 0x1000),
    "ratchet": (0x5000, 0x2000),
    "boots": (0x7000, 0x2000),
    "page_a": (0x9000, 0x1000),
    "envelope_a": (0xA000, 0x1000),
    "page_b": (0xB000, 0x1000),
    "envelope_b": (0xC000, 0x1000),
    "identity_b": (0xD000, 0x3000),
    "image_a": (0x10000, 0x80000),
    "image_b": (0x90000, 0x80000),
    "data_a": (0x110000, 0x20000),
    "data_b": (0x130000, 0x20000),
    "quarantine": (0x150000, 0x2000),
    "clock": (0x152000, 0x2000),
    "log": (0x154000, 0x2000),
}
