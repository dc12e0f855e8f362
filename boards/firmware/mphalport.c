// MicroPython's hardware layer, over board.h: ticks, delays and a console that is only written to.
// SPDX-License-Identifier: Apache-2.0

#include "py/mphal.h"
#include "py/runtime.h"

#include "board.h"

mp_uint_t mp_hal_ticks_ms(void) {
    return board_ticks_us() / 1000;
}

mp_uint_t mp_hal_ticks_us(void) {
    return board_ticks_us();
}

mp_uint_t mp_hal_ticks_cpu(void) {
    return board_ticks_us();
}

void mp_hal_delay_ms(mp_uint_t delay_ms) {
    mp_uint_t start = mp_hal_ticks_ms();
    mp_uint_t passed;
    while ((passed = mp_hal_ticks_ms() - start) < delay_ms) {
        mp_event_wait_ms(delay_ms - passed);
    }
}

void mp_hal_delay_us(mp_uint_t delay_us) {
    uint64_t end = board_ticks_us() + delay_us;
    while (board_ticks_us() < end) {
    }
}

mp_uint_t mp_hal_stdout_tx_strn(const char *text, size_t length) {
    board_console_write(text, length);
    return length;
}
