// Where the linker script put what the shared firmware asks for.
// SPDX-License-Identifier: Apache-2.0

#include "board.h"
#include "layout.h"

extern uint8_t heap_start[], heap_end[], stack[], stack_top[];

const parameters_t *board_parameters(void) {
    return (const parameters_t *)LAYOUT_PARAMETERS_ADDRESS;
}

void *board_heap(void) {
    return heap_start;
}

size_t board_heap_room(void) {
    return heap_end - heap_start;
}

void *board_stack_top(void) {
    return stack_top;
}

size_t board_stack_bytes(void) {
    return stack_top - stack;
}
