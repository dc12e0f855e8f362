// Reset by the test device; RAM keeps what it holds.
// SPDX-License-Identifier: Apache-2.0

#include "firmware/board.h"
#include "firmware/kept.h"
#include "hardware.h"

#define RESET_COMMAND (0x7777)

void board_reset(unsigned cause) {
    interrupts_off();
    kept_note(cause);
    *reg32(LAYOUT_RESET_ADDRESS) = RESET_COMMAND;
    for (;;) {
    }
}

void board_halt(void) {
    interrupts_off();
    for (;;) {
        __asm volatile ("csrw mie, zero\n wfi");
    }
}
