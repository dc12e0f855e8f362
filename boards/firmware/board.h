// What the shared firmware asks of a board; each board's folder implements it for its hardware.
// SPDX-License-Identifier: Apache-2.0
#ifndef PAWL_BOARD_H
#define PAWL_BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RESET_CAUSE_POWER = 0,
    RESET_CAUSE_ASKED = 1,
    RESET_CAUSE_WATCHDOG = 2, // or a machine exception, or firmware that ended: nobody asked for it
};

// The first call from main: console, interrupts, line; the watchdog is armed when it returns.
void board_start(void);

// The page that the emulator fills at power on.
typedef struct {
    uint32_t magic;
    uint32_t heap_bytes; // 0: LAYOUT_HEAP_BYTES
    uint8_t entropy[32];
    uint32_t watchdog_s; // 0: LAYOUT_WATCHDOG_S; only less than that counts
} parameters_t;

const parameters_t *board_parameters(void);

// Free RAM for MicroPython's heap.
void *board_heap(void);
size_t board_heap_room(void);
void *board_stack_top(void);
size_t board_stack_bytes(void);

// 32 bytes of RAM that a warm reset doesn't clear.
uint8_t *board_random_state(void);

void board_reset(unsigned cause) __attribute__((noreturn));
unsigned board_reset_cause(void);
void board_halt(void) __attribute__((noreturn)); // for ever, without a watchdog

uint64_t board_ticks_us(void);
void board_watchdog_feed(void);
// How long it lasts, in seconds: the layout's time, or less if the page says so. Boards ask the shared firmware.
uint32_t firmware_watchdog_s(void);
// Until an interrupt or, unless negative, the timeout. An event since the last sleep ends it at once.
void board_sleep(int timeout_ms);

void board_console_write(const char *text, size_t length);

// Data flash, from its first byte; offsets were checked by the caller. 0, or an errno.
const uint8_t *board_flash(void);
int board_flash_program(size_t offset, const uint8_t *data, size_t length);
int board_flash_erase(size_t offset);

// The line: bytes received go through line_ring.h. The number of bytes that were taken.
size_t board_line_write(const uint8_t *data, size_t length);
bool board_line_is_writable(void); // if not, an event comes when it is
void board_line_resume(void);      // there is room in the ring again

#endif
