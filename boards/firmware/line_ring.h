// Bytes received from the line: the interrupt puts, MicroPython gets. A full ring refuses; nothing is overwritten.
// SPDX-License-Identifier: Apache-2.0
#ifndef PAWL_LINE_RING_H
#define PAWL_LINE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINE_RING_BYTES (8192) // a power of two

typedef struct {
    volatile uint32_t put; // count since start; only the interrupt writes it
    volatile uint32_t got; // likewise; only MicroPython writes it
    volatile uint32_t overruns;
    uint8_t bytes[LINE_RING_BYTES];
} line_ring_t;

extern line_ring_t line_ring;

static inline size_t line_ring_used(void) {
    return line_ring.put - line_ring.got;
}

static inline bool line_ring_is_full(void) {
    return line_ring_used() == LINE_RING_BYTES;
}

static inline void line_ring_put(uint8_t byte) {
    line_ring.bytes[line_ring.put % LINE_RING_BYTES] = byte;
    line_ring.put++;
}

#endif
