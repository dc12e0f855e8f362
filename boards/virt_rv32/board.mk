# virt_rv32: RV32IMAC, and what starts it from flash.

CROSS_COMPILE ?= riscv64-unknown-elf-

# GCC 12 takes CSR instructions for a part of the base set only in the older specification.
RV32_ARCH ?= rv32imac
ARCH_FLAGS = -march=$(RV32_ARCH) -mabi=ilp32 -misa-spec=2.2

BOARD_C = $(addprefix virt_rv32/, interrupts.c timer.c reset.c ns16550.c line_uart.c pci.c flash.c)
BOARD_S = $(addprefix virt_rv32/, start.S trap.S)

# The bytes of pflash unit 0: from its first address, code that copies the rest into RAM.
FIRMWARE_BIN_FLAGS = -O binary
