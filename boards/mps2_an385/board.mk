# mps2_an385: Cortex-M3.

CROSS_COMPILE ?= arm-none-eabi-

ARCH_FLAGS = -mcpu=cortex-m3 -mthumb --specs=nano.specs

BOARD_C = $(addprefix mps2_an385/, interrupts.c timer.c watchdog.c reset.c console.c line_uart.c flash.c)
BOARD_S = mps2_an385/start.S

FIRMWARE_BIN_FLAGS = -O binary
