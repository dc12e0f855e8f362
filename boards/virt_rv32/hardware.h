// Registers of virt_rv32, and what its files ask of one another.
// SPDX-License-Identifier: Apache-2.0
#ifndef PAWL_HARDWARE_H
#define PAWL_HARDWARE_H

#include <stdbool.h>
#include <stdint.h>

#include "layout.h"

static inline volatile uint8_t *reg8(uintptr_t address) {
    return (volatile uint8_t *)address;
}

static inline volatile uint32_t *reg32(uintptr_t address) {
    return (volatile uint32_t *)address;
}

#define MSTATUS_MIE (8)

// Return whether interrupts were on before.
static inline bool interrupts_off(void) {
    uint32_t before;
    __asm volatile ("csrrci %0, mstatus, 8" : "=r" (before) : : "memory");
    return before & MSTATUS_MIE;
}

static inline void interrupts_restore(bool were_on) {
    if (were_on) {
        __asm volatile ("csrsi mstatus, 8" : : : "memory");
    }
}

// interrupts.c
void interrupts_start(unsigned line_source);
// timer.c
void timer_start(void);
void timer_interrupt(uint32_t at, uint32_t caller);
void timer_event(void); // ends the sleep, or the next one
// line_uart.c
unsigned line_start(void); // its interrupt source
void line_interrupt(void);
// pci.c: where the line's registers are, and its interrupt source; 0 without a pci-serial
uintptr_t pci_serial(unsigned *source);
// ns16550.c
void ns16550_start(uintptr_t base);
// flash.c
void flash_start(void);

#endif
