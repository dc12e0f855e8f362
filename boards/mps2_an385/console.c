// The console: UART 0, which is only written to.
// SPDX-License-Identifier: Apache-2.0

#include "cmsdk_uart.h"
#include "firmware/board.h"
#include "hardware.h"

void console_start(void) {
    *reg32(LAYOUT_CONSOLE_ADDRESS + UART_DIVISOR) = DIVISOR_MIN;
    *reg32(LAYOUT_CONSOLE_ADDRESS + UART_CONTROL) = CONTROL_SEND;
}

void board_console_write(const char *text, size_t length) {
    while (length--) {
        while (*reg32(LAYOUT_CONSOLE_ADDRESS + UART_STATE) & STATE_SEND_FULL) {
        }
        *reg32(LAYOUT_CONSOLE_ADDRESS + UART_DATA) = *text++;
    }
}
