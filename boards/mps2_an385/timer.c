// SysTick for ticks, at 1 MHz from its reference clock; the dual timer's first half ends a sleep.
// SPDX-License-Identifier: Apache-2.0

#include "firmware/board.h"
#include "hardware.h"

#define TICK_CONTROL (0xe000e010)
#define TICK_RELOAD (0xe000e014)
#define TICK_VALUE (0xe000e018)
#define TICK_ON (3) // with its interrupt, by the reference clock
#define TICK_PERIOD (1 << 24)

#define ALARM_LOAD (LAYOUT_TIMER_ADDRESS + 0x00)
#define ALARM_CONTROL (LAYOUT_TIMER_ADDRESS + 0x08)
#define ALARM_CLEAR (LAYOUT_TIMER_ADDRESS + 0x0c)
#define ALARM_OFF (0x23) // 32 bits, one shot, with interrupt
#define ALARM_ON (0xa3)
#define ALARM_MS_MAX (100000) // 32 bits at 25 MHz are 171 s

static volatile uint32_t periods;
static volatile bool had_event;

void timer_start(void) {
    *reg32(TICK_RELOAD) = TICK_PERIOD - 1;
    *reg32(TICK_VALUE) = 0;
    *reg32(TICK_CONTROL) = TICK_ON;
    *reg32(ALARM_CONTROL) = ALARM_OFF;
    *reg32(NVIC_ENABLE) = 1 << LAYOUT_TIMER_INTERRUPT;
}

void tick_interrupt(void) {
    periods++;
}

void timer_interrupt(void) {
    *reg32(ALARM_CLEAR) = 1;
}

uint64_t board_ticks_us(void) {
    static uint64_t last;
    bool were_on = interrupts_off();
    uint32_t left = *reg32(TICK_VALUE);
    uint64_t past = periods;
    if (*reg32(ICSR) & ICSR_TICK_IS_PENDING) {
        past++;
        left = *reg32(TICK_VALUE);
    }
    uint64_t now = past * TICK_PERIOD + (TICK_PERIOD - left) % TICK_PERIOD;
    // An emulator can be late with the interrupt at the end of a period; time never goes back.
    last = now > last ? now : last;
    now = last;
    interrupts_restore(were_on);
    return now;
}

void timer_event(void) {
    had_event = true;
}

static void set_alarm(int timeout_ms) {
    uint32_t ms = timeout_ms < ALARM_MS_MAX ? timeout_ms : ALARM_MS_MAX;
    *reg32(ALARM_LOAD) = ms * (LAYOUT_CLOCK_HZ / 1000) + 1; // zero would never end
    *reg32(ALARM_CONTROL) = ALARM_ON;
}

// With interrupts off, one that comes still ends `wfi`, and none is lost between the look and the sleep.
void board_sleep(int timeout_ms) {
    bool were_on = interrupts_off();
    if (!had_event) {
        if (timeout_ms >= 0) {
            set_alarm(timeout_ms);
        }
        __asm volatile ("dsb\n wfi");
        *reg32(ALARM_CONTROL) = ALARM_OFF;
    }
    had_event = false;
    interrupts_restore(were_on);
}
