// RAM that behaves as NOR: programming only clears bits, an erase sets a sector's. The emulator keeps it in a file.
// SPDX-License-Identifier: Apache-2.0

#include <string.h>

#include "firmware/board.h"
#include "hardware.h"

static uint8_t *const flash = (uint8_t *)LAYOUT_FLASH_ADDRESS;

const uint8_t *board_flash(void) {
    return flash;
}

int board_flash_program(size_t offset, const uint8_t *data, size_t length) {
    for (size_t i = 0; i < length; i++) {
        flash[offset + i] &= data[i];
    }
    return 0;
}

int board_flash_erase(size_t offset) {
    memset(flash + offset, LAYOUT_ERASED, LAYOUT_ERASE_BYTES);
    return 0;
}
