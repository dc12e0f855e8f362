// Sets up an NS16550, and the console, which is one that is only written to.
// SPDX-License-Identifier: Apache-2.0

#include "firmware/board.h"
#include "hardware.h"
#include "ns16550.h"

void ns16550_start(uintptr_t base) {
    *reg8(base + NS16550_IER) = 0;
    *reg8(base + NS16550_LCR) = LCR_DIVISOR;
    // As fast as it goes: the pause after which a few bytes are told of is measured in bit times.
    *reg8(base + NS16550_DATA) = 1;
    *reg8(base + NS16550_IER) = 0;
    *reg8(base + NS16550_LCR) = LCR_8N1;
    *reg8(base + NS16550_FCR) = FCR_TRIGGER_14 | FCR_CLEAR;
    *reg8(base + NS16550_MCR) = MCR_READY;
    (void)*reg8(base + NS16550_DATA); // Renode empties its FIFO and still says that there is something in it
}

void board_console_write(const char *text, size_t length) {
    while (length--) {
        while (!(*reg8(LAYOUT_CONSOLE_ADDRESS + NS16550_LSR) & LSR_SENT)) {
        }
        *reg8(LAYOUT_CONSOLE_ADDRESS + NS16550_DATA) = *text++;
    }
}
