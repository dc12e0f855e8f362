// The line: UART 1, received by interrupt. What has no room in the ring stays in the UART, and the emulator waits.
// SPDX-License-Identifier: Apache-2.0

#include "cmsdk_uart.h"
#include "firmware/board.h"
#include "firmware/line_ring.h"
#include "hardware.h"

static uint32_t control;
static volatile bool is_waiting_for_room;

static volatile uint32_t *line_reg(unsigned place) {
    return reg32(LAYOUT_LINE_ADDRESS + place);
}

static void set_control(uint32_t bits) {
    control = bits;
    *line_reg(UART_CONTROL) = bits;
}

static void receive(void) {
    uint32_t state;
    // Cleared before the byte is taken, because the next one may come right after that.
    *line_reg(UART_INTERRUPTS) = INTERRUPT_RECEIVED;
    while ((state = *line_reg(UART_STATE)) & STATE_RECEIVED) {
        if (state & STATE_OVERRUN) {
            line_ring.overruns++;
            *line_reg(UART_STATE) = STATE_OVERRUN;
        }
        if (line_ring_is_full()) {
            is_waiting_for_room = true;
            set_control(control & ~CONTROL_RECEIVED_INTERRUPT);
            return;
        }
        line_ring_put(*line_reg(UART_DATA));
    }
}

void line_start(void) {
    *line_reg(UART_DIVISOR) = DIVISOR_MIN;
    set_control(CONTROL_SEND | CONTROL_RECEIVE | CONTROL_RECEIVED_INTERRUPT);
    *reg32(NVIC_ENABLE) = 1 << LAYOUT_LINE_RECEIVE_INTERRUPT | 1 << LAYOUT_LINE_SEND_INTERRUPT;
}

void line_interrupt(void) {
    receive();
    if (!(*line_reg(UART_STATE) & STATE_SEND_FULL)) {
        set_control(control & ~CONTROL_SENT_INTERRUPT);
    }
    *line_reg(UART_INTERRUPTS) = INTERRUPT_SENT;
    timer_event();
}

void board_line_resume(void) {
    if (!is_waiting_for_room) {
        return;
    }
    bool were_on = interrupts_off();
    is_waiting_for_room = false;
    set_control(control | CONTROL_RECEIVED_INTERRUPT);
    receive();
    interrupts_restore(were_on);
}

size_t board_line_write(const uint8_t *data, size_t length) {
    size_t taken = 0;
    while (taken < length && !(*line_reg(UART_STATE) & STATE_SEND_FULL)) {
        *line_reg(UART_DATA) = data[taken++];
    }
    return taken;
}

bool board_line_is_writable(void) {
    if (!(*line_reg(UART_STATE) & STATE_SEND_FULL)) {
        return true;
    }
    bool were_on = interrupts_off();
    set_control(control | CONTROL_SENT_INTERRUPT);
    interrupts_restore(were_on);
    // It may have been sent before that, and no interrupt tells of it.
    return !(*line_reg(UART_STATE) & STATE_SEND_FULL);
}
