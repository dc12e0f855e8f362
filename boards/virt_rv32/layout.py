"""The memory map of virt_rv32: firmware, tools, QEMU's arguments and Renode's platform follow it or are checked against it.

Offsets in REGIONS count from FLASH_ADDRESS. Every region has sectors of its own: 256 KiB is what this flash erases.
"""

NAME = "virt_rv32"

# Data flash: CFI NOR, pflash unit 1; two 16-bit chips side by side, so commands go to both.
FLASH_ADDRESS = 0x22000000
FLASH_BYTES = 0x2000000
ERASE_BYTES = 0x40000
PROGRAM_BYTES = 32
ERASED = 0xFF

# Firmware: pflash unit 0, copied into RAM by its own first instructions.
FIRMWARE_ADDRESS = 0x20000000
FIRMWARE_BYTES = 0x2000000

RAM_ADDRESS = 0x80000000
RAM_BYTES = 0x1000000
HEAP_BYTES = 0x40000
TLS_BYTES = 0x6000  # memory of mbedTLS alone: a handshake takes 14 KB
PACKET_BYTES = (
    0x1800  # the largest MQTT message: of an image with two variants, the index is that large from 368 KB on
)
KEPT_ADDRESS = 0x80FFE000  # a page that warm resets leave alone: reset cause, state of the random generator
PARAMETERS_ADDRESS = 0x80FFF000  # the last page of RAM: heap size and entropy, from the emulator

CLINT_ADDRESS = 0x2000000
PLIC_ADDRESS = 0xC000000
RESET_ADDRESS = 0x100000  # SiFive test device
CONSOLE_ADDRESS = 0x10000000
CONSOLE_INTERRUPT = 10
# The line on QEMU is a pci-serial, whose registers are I/O ports: firmware places them in the window.
PCI_CONFIG_ADDRESS = 0x30000000
PCI_IO_ADDRESS = 0x3000000
PCI_INTERRUPT = 32  # pin A of device 0; the next device's is one more, four in a circle
LINE_ADDRESS_PCI = 0x3001000
LINE_ADDRESS = 0x10001000  # the line on Renode: a second NS16550
LINE_INTERRUPT = 11

TIMER_HZ = 10000000
WATCHDOG_S = 30


def _sectors(counts):
    """Return {name: (start, size)} of regions that follow one another, from (name, number of sectors)."""
    regions = {}
    first = 0
    for name, count in counts:
        regions[name] = (first * ERASE_BYTES, count * ERASE_BYTES)
        first += count
    return regions


REGIONS = _sectors(
    (
        ("identity_a", 1),
        ("identity_b", 1),
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
        ("image_a", 16),
        ("image_b", 16),
        ("data_a", 4),
        ("data_b", 4),
        ("staging", 4),
    ),
)
