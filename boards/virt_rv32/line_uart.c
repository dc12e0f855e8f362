// The line: an NS16550, received by interrupt. What has no room in the ring stays in the FIFO, and the sender waits.
// SPDX-License-Identifier: Apache-2.0

#include "firmware/board.h"
#include "firmware/line_ring.h"
#include "hardware.h"
#include "ns16550.h"

static uintptr_t base;
static uint8_t enabled; // what IER holds
static volatile bool is_waiting_for_room;

static void enable(uint8_t interrupts) {
    enabled = interrupts;
    *reg8(base + NS16550_IER) = interrupts;
}

// Not until it is empty: bytes that come one by one meanwhile would cost an exit of the emulator each. Those are told of
// when they are enough, or after a pause.
static void receive(void) {
    for (int i = 0; i < NS16550_TRIGGER_BYTES; i++) {
        uint8_t status = *reg8(base + NS16550_LSR);
        if (status & LSR_OVERRUN) {
            line_ring.overruns++;
        }
        if (!(status & LSR_RECEIVED)) {
            return;
        }
        if (line_ring_is_full()) {
            is_waiting_for_room = true;
            enable(enabled & ~IER_RECEIVED);
            return;
        }
        line_ring_put(*reg8(base + NS16550_DATA));
    }
}

unsigned line_start(void) {
    unsigned source = LAYOUT_LINE_INTERRUPT;
    base = pci_serial(&source);
    if (!base) {
        base = LAYOUT_LINE_ADDRESS;
    }
    ns16550_start(base);
    enable(IER_RECEIVED);
    return source;
}

// Until the UART asks for nothing: QEMU's PLIC notices only that a request begins, so one left standing is never seen
// again.
void line_interrupt(void) {
    while (!(*reg8(base + NS16550_IIR) & IIR_NOTHING)) {
        receive();
        if ((enabled & IER_SENT) && (*reg8(base + NS16550_LSR) & LSR_SENT)) {
            enable(enabled & ~IER_SENT);
        }
    }
    timer_event();
}

void board_line_resume(void) {
    if (!is_waiting_for_room) {
        return;
    }
    bool were_on = interrupts_off();
    is_waiting_for_room = false;
    enable(enabled | IER_RECEIVED);
    receive();
    interrupts_restore(were_on);
}

size_t board_line_write(const uint8_t *data, size_t length) {
    size_t taken = 0;
    while (taken < length && (*reg8(base + NS16550_LSR) & LSR_SENT)) {
        for (int room = NS16550_FIFO_BYTES; room && taken < length; room--) {
            *reg8(base + NS16550_DATA) = data[taken++];
        }
    }
    return taken;
}

bool board_line_is_writable(void) {
    if (*reg8(base + NS16550_LSR) & LSR_SENT) {
        return true;
    }
    bool were_on = interrupts_off();
    enable(enabled | IER_SENT);
    interrupts_restore(were_on);
    return false;
}
