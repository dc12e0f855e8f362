// Reset by the processor's own register; RAM keeps what it holds.
// SPDX-License-Identifier: Apache-2.0

#include "firmware/board.h"
#include "firmware/kept.h"
#include "hardware.h"

void board_reset(unsigned cause) {
    interrupts_off();
    kept_note(cause);
    *reg32(AIRCR) = AIRCR_RESET;
    for (;;) {
        __asm volatile ("dsb");
    }
}

void board_halt(void) {
    interrupts_off();
    watchdog_stop();
    *reg32(NVIC_ENABLE + 0x80) = UINT32_MAX; // all of them off
    for (;;) {
        __asm volatile ("wfi");
    }
}
