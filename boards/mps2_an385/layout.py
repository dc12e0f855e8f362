"""The memory map of mps2_an385: firmware, tools, QEMU's arguments and Renode's platform follow it or are checked against it.

Offsets in REGIONS count from FLASH_ADDRESS.
"""

NAME = "mps2_an385"

# Data flash: the machine's 16 MiB of external RAM, kept in a file by the emulator, behind a driver with the rules of NOR.
FLASH_ADDRESS = 0x21000000
FLASH_BYTES = 0x1000000
ERASE_BYTES = 0x1000
PROGRAM_BYTES = 32
ERASED = 0xFF

# Firmware: the code SRAM, loaded by the emulator before every start and executed in place.
FIRMWARE_ADDRESS = 0x0
FIRMWARE_BYTES = 0x400000

RAM_ADDRESS = 0x20000000
RAM_BYTES = 0x400000
HEAP_BYTES = 0x40000
TLS_BYTES = 0x6000  # memory of mbedTLS alone: a handshake takes 14 KB
PACKET_BYTES = (
    0x1800  # the largest MQTT message: of an image with two variants, the index is that large from 368 KB on
)
KEPT_ADDRESS = 0x203FE000  # a page that warm resets leave alone: reset cause, state of the random generator
PARAMETERS_ADDRESS = 0x203FF000  # the last page of RAM: heap size and entropy, from the emulator

CONSOLE_ADDRESS = 0x40004000
LINE_ADDRESS = 0x40005000
LINE_RECEIVE_INTERRUPT = 2
LINE_SEND_INTERRUPT = 3
TIMER_ADDRESS = 0x40002000  # the dual timer
TIMER_INTERRUPT = 10
WATCHDOG_ADDRESS = 0x40008000

CLOCK_HZ = 25000000
TICK_HZ = 1000000  # SysTick, by its reference clock
WATCHDOG_S = 30

# name: (start, size)
REGIONS = {
    "identity_a": (0x0000, 0x3000),
    "identity_b": (0x3000, 0x3000),
    "anchor_a": (0x6000, 0x1000),
    "anchor_b": (0x7000, 0x1000),
    "ratchet": (0x8000, 0x2000),
    "boots": (0xA000, 0x2000),
    "quarantine": (0xC000, 0x2000),
    "clock": (0xE000, 0x2000),
    "log": (0x10000, 0x2000),
    "page_a": (0x12000, 0x1000),
    "envelope_a": (0x13000, 0x1000),
    "page_b": (0x14000, 0x1000),
    "envelope_b": (0x15000, 0x1000),
    "image_a": (0x100000, 0x400000),
    "image_b": (0x500000, 0x400000),
    "data_a": (0x900000, 0x100000),
    "data_b": (0xA00000, 0x100000),
    "staging": (0xB00000, 0x100000),
}
