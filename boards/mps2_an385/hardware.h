// Registers of mps2_an385, and what its files ask of one another.
// SPDX-License-Identifier: Apache-2.0
#ifndef PAWL_HARDWARE_H
#define PAWL_HARDWARE_H

#include <stdbool.h>
#include <stdint.h>

#include "layout.h"

static inline volatile uint32_t *reg32(uintptr_t address) {
    return (volatile uint32_t *)address;
}

// System control of the processor (ARMv7-M, B3.2).
#define ICSR (0xe000ed04)
#define ICSR_TICK_IS_PENDING (1 << 26)
#define AIRCR (0xe000ed0c)
#define AIRCR_RESET (0x05fa0004)
#define CFSR (0xe000ed28)
#define HFSR (0xe000ed2c)
#define BFAR (0xe000ed38)
#define NVIC_ENABLE (0xe000e100)

// Return whether interrupts were on before.
static inline bool interrupts_off(void) {
    uint32_t masked;
    __asm volatile ("mrs %0, primask\n cpsid i" : "=r" (masked) : : "memory");
    return !masked;
}

static inline void interrupts_restore(bool were_on) {
    if (were_on) {
        __asm volatile ("cpsie i" : : : "memory");
    }
}

// What the vector table in start.S names.
void fault(const uint32_t *frame, const uint32_t *others);
void tick_interrupt(void);
void timer_interrupt(void);
void watchdog_interrupt(void);
void line_interrupt(void);

// timer.c
void timer_start(void);
void timer_event(void); // ends the sleep, or the next one
// watchdog.c
void watchdog_start(void);
void watchdog_stop(void);
// console.c
void console_start(void);
// line_uart.c
void line_start(void);

#endif
