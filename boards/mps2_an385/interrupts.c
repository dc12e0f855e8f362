// Starts the board; faults, all of which come here as a hard one, are printed and end in a reset.
// SPDX-License-Identifier: Apache-2.0

#include "firmware/board.h"
#include "firmware/fault.h"
#include "firmware/kept.h"
#include "hardware.h"

#define FRAME_WORDS (8)

void board_start(void) {
    watchdog_start();
    kept_start();
    console_start();
    timer_start();
    line_start();
}

// `frame` is what the processor saved where the stack was: not there, if that was the fault. `others`: r4 to r11.
void fault(const uint32_t *frame, const uint32_t *others) {
    static const char *const frame_names[FRAME_WORDS] = { "r0", "r1", "r2", "r3", "r12", "lr", "pc", "xpsr" };
    static const char *const other_names[FRAME_WORDS] = { "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11" };
    fault_begin();
    fault_print("cfsr", *reg32(CFSR));
    fault_print("hfsr", *reg32(HFSR));
    fault_print("bfar", *reg32(BFAR));
    fault_print("sp", (uintptr_t)frame);
    uintptr_t offset = (uintptr_t)frame - LAYOUT_RAM_ADDRESS;
    if (offset <= LAYOUT_RAM_BYTES - FRAME_WORDS * sizeof(*frame)) {
        fault_print_all(frame_names, frame, FRAME_WORDS);
    }
    fault_print_all(other_names, others, FRAME_WORDS);
    fault_end();
}
