// What a trap was for: the timer, the line through the PLIC, or a fault, which is printed and ends in a reset.
// SPDX-License-Identifier: Apache-2.0

#include "firmware/board.h"
#include "firmware/fault.h"
#include "firmware/kept.h"
#include "hardware.h"

#define CAUSE_TIMER (0x80000007)
#define CAUSE_EXTERNAL (0x8000000b)
#define MIE_EXTERNAL (1 << 11)

#define PLIC_PRIORITY(source) (LAYOUT_PLIC_ADDRESS + 4 * (source))
#define PLIC_ENABLE(source) (LAYOUT_PLIC_ADDRESS + 0x2000 + (source) / 32 * 4)
#define PLIC_THRESHOLD (LAYOUT_PLIC_ADDRESS + 0x200000)
#define PLIC_CLAIM (LAYOUT_PLIC_ADDRESS + 0x200004)

static unsigned line_source;

void handle_trap(uint32_t cause, const uint32_t *registers);

void interrupts_start(unsigned source) {
    line_source = source;
    *reg32(PLIC_PRIORITY(source)) = 1;
    *reg32(PLIC_ENABLE(source)) = 1u << source % 32;
    *reg32(PLIC_THRESHOLD) = 0;
    __asm volatile ("csrs mie, %0" : : "r" (MIE_EXTERNAL));
    interrupts_restore(true);
}

// A source that isn't claimed stays pending, and the processor would never sleep.
static void external_interrupt(void) {
    uint32_t source;
    while ((source = *reg32(PLIC_CLAIM))) {
        if (source == line_source) {
            line_interrupt();
        }
        *reg32(PLIC_CLAIM) = source;
    }
}

#define READ_CSR(name) ({ uint32_t value; __asm volatile ("csrr %0, " #name : "=r" (value)); value; })

static void fault(uint32_t cause, const uint32_t *registers) {
    static const char *const names[32] = {
        "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5",
        "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
    };
    fault_begin();
    fault_print("mcause", cause);
    fault_print("mepc", READ_CSR(mepc));
    fault_print("mtval", READ_CSR(mtval));
    fault_print_all(names + 1, registers + 1, 7);
    for (int i = 8; i < 32; i += 8) {
        fault_print_all(names + i, registers + i, 8);
    }
    fault_end();
}

void handle_trap(uint32_t cause, const uint32_t *registers) {
    if (cause == CAUSE_TIMER) {
        timer_interrupt(READ_CSR(mepc), registers[1]);
    } else if (cause == CAUSE_EXTERNAL) {
        external_interrupt();
    } else {
        fault(cause, registers);
    }
}

void board_start(void) {
    kept_start();
    ns16550_start(LAYOUT_CONSOLE_ADDRESS);
    timer_start();
    flash_start();
    interrupts_start(line_start());
}
