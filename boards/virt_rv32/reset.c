// Reset by the test device, and the RAM that survives it.
// SPDX-License-Identifier: Apache-2.0

#include "firmware/board.h"
#include "hardware.h"

#define RESET_COMMAND (0x7777)
#define KEPT_MAGIC (0x5045454b)

static struct {
    uint32_t magic; // only while a reset of ours is under way: at power on there is none
    uint32_t cause;
    uint8_t random_state[32];
} kept __attribute__((section(".kept")));

static unsigned cause;

void reset_start(void) {
    cause = kept.magic == KEPT_MAGIC ? kept.cause : RESET_CAUSE_POWER;
    kept.magic = 0;
}

unsigned board_reset_cause(void) {
    return cause;
}

uint8_t *board_random_state(void) {
    return kept.random_state;
}

void board_reset(unsigned why) {
    interrupts_off();
    kept.cause = why;
    kept.magic = KEPT_MAGIC;
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
