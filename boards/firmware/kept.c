// The RAM that survives a reset of ours; the linker script places it.
// SPDX-License-Identifier: Apache-2.0

#include "board.h"
#include "kept.h"

#define KEPT_MAGIC (0x5045454b)

static struct {
    uint32_t magic; // only while a reset of ours is under way: at power on there is none
    uint32_t cause;
    uint8_t random_state[32];
} kept __attribute__((section(".kept")));

static unsigned cause;

void kept_start(void) {
    cause = kept.magic == KEPT_MAGIC ? kept.cause : RESET_CAUSE_POWER;
    kept.magic = 0;
}

void kept_note(unsigned why) {
    kept.cause = why;
    kept.magic = KEPT_MAGIC;
}

unsigned board_reset_cause(void) {
    return cause;
}

uint8_t *board_random_state(void) {
    return kept.random_state;
}
