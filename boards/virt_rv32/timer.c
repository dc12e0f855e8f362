// The CLINT's timer: ticks, sleep, and the watchdog, which ends in a reset. One comparator serves the last two.
// SPDX-License-Identifier: Apache-2.0

#include "firmware/board.h"
#include "firmware/fault.h"
#include "hardware.h"

#define COMPARE (LAYOUT_CLINT_ADDRESS + 0x4000)
#define TIME (LAYOUT_CLINT_ADDRESS + 0xbff8)
#define MIE_TIMER (1 << 7)

static uint64_t watchdog_at;
static volatile bool had_event;

static uint64_t now(void) {
    uint32_t high, low;
    do {
        high = *reg32(TIME + 4);
        low = *reg32(TIME);
    } while (high != *reg32(TIME + 4));
    return (uint64_t)high << 32 | low;
}

static void set_compare(uint64_t at) {
    *reg32(COMPARE + 4) = UINT32_MAX; // no false alarm between the halves
    *reg32(COMPARE) = at;
    *reg32(COMPARE + 4) = at >> 32;
}

void timer_start(void) {
    board_watchdog_feed();
    __asm volatile ("csrs mie, %0" : : "r" (MIE_TIMER));
}

uint64_t board_ticks_us(void) {
    return now() / (LAYOUT_TIMER_HZ / 1000000);
}

void board_watchdog_feed(void) {
    bool were_on = interrupts_off();
    watchdog_at = now() + (uint64_t)firmware_watchdog_s() * LAYOUT_TIMER_HZ;
    set_compare(watchdog_at);
    interrupts_restore(were_on);
}

void timer_interrupt(uint32_t at, uint32_t caller) {
    if (now() >= watchdog_at) {
        static const char words[] = "\r\nfirmware: watchdog\r\nfirmware: it was at";
        board_console_write(words, sizeof(words) - 1);
        fault_print("mepc", at);
        fault_print("ra", caller);
        fault_end();
    }
    set_compare(watchdog_at);
}

void timer_event(void) {
    had_event = true;
}

// With interrupts off, one that comes still ends `wfi`, and none is lost between the look and the sleep.
void board_sleep(int timeout_ms) {
    bool were_on = interrupts_off();
    if (!had_event) {
        uint64_t until = now() + (uint64_t)timeout_ms * (LAYOUT_TIMER_HZ / 1000);
        if (timeout_ms >= 0 && until < watchdog_at) {
            set_compare(until);
        }
        __asm volatile ("wfi");
        set_compare(watchdog_at);
    }
    had_event = false;
    interrupts_restore(were_on);
}
