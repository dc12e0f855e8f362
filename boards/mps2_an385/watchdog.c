// The watchdog: its first end is an interrupt that can't be masked, which resets and keeps the cause; a second is a reset.
// SPDX-License-Identifier: Apache-2.0

#include "firmware/board.h"
#include "hardware.h"

#define LOAD (LAYOUT_WATCHDOG_ADDRESS + 0x00)
#define CONTROL (LAYOUT_WATCHDOG_ADDRESS + 0x08)
#define CLEAR (LAYOUT_WATCHDOG_ADDRESS + 0x0c)
#define LOCK (LAYOUT_WATCHDOG_ADDRESS + 0xc00)

#define CONTROL_INTERRUPT_AND_RESET (3)
#define UNLOCK (0x1acce551)

static void set(uintptr_t place, uint32_t value) {
    *reg32(LOCK) = UNLOCK;
    *reg32(place) = value;
    *reg32(LOCK) = 0;
}

void watchdog_start(void) {
    set(LOAD, firmware_watchdog_s() * LAYOUT_CLOCK_HZ);
    set(CONTROL, CONTROL_INTERRUPT_AND_RESET);
}

void watchdog_stop(void) {
    set(CONTROL, 0);
}

void board_watchdog_feed(void) {
    set(CLEAR, 1);
}

void watchdog_interrupt(void) {
    static const char words[] = "\r\nfirmware: watchdog\r\n";
    board_console_write(words, sizeof(words) - 1);
    board_reset(RESET_CAUSE_WATCHDOG);
}
