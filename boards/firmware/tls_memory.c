// Memory of mbedTLS alone: a handshake never fails because MicroPython's heap is full, or in pieces.
// SPDX-License-Identifier: Apache-2.0

#include "mbedtls/memory_buffer_alloc.h"

#include "board.h"
#include "layout.h"
#include "tls_memory.h"

static unsigned char memory[LAYOUT_TLS_BYTES] __attribute__((aligned(8)));

void tls_memory_start(void) {
    mbedtls_memory_buffer_alloc_init(memory, sizeof(memory));
}

size_t tls_memory_most(void) {
    size_t bytes, blocks;
    mbedtls_memory_buffer_alloc_max_get(&bytes, &blocks);
    return bytes;
}

// Something wrote over it.
void tls_memory_exit(int code) {
    board_reset(RESET_CAUSE_WATCHDOG);
}
