// CFI NOR with Intel's commands: two 16-bit chips side by side, so each command and status is there twice (QEMU), or one
// chip as wide as the bus (Renode), which answers in the low byte alone and takes the same commands.
// While a command runs, the flash can't be read: code runs from RAM, and interrupts read RAM only.
// SPDX-License-Identifier: Apache-2.0

#include <errno.h>
#include <string.h>

#include "firmware/board.h"
#include "hardware.h"

#define BOTH(command) ((command) * 0x10001u)
#define READ_ARRAY BOTH(0xff)
#define CLEAR_STATUS BOTH(0x50)
#define QUERY BOTH(0x98)
#define ERASE BOTH(0x20)
#define BUFFERED_PROGRAM BOTH(0xe8)
#define CONFIRM BOTH(0xd0)
#define READY (0x80)
#define FAULTS (0x3a) // erase, program, voltage, locked

#define QUERY_PLACE (0x55 * 4)
#define QUERY_Q (0x10 * 4) // the first letter of "QRY"

// Chips take at least this much at once; a multiple of PROGRAM_BYTES.
#define BUFFER_BYTES (512)
#define BUFFER_WORDS (BUFFER_BYTES / 4)

// What one chip answers, times this, is what is read.
static uint32_t lanes;

static volatile uint32_t *word_at(size_t offset) {
    return reg32(LAYOUT_FLASH_ADDRESS + offset);
}

void flash_start(void) {
    *word_at(QUERY_PLACE) = QUERY;
    lanes = *word_at(QUERY_Q) == BOTH('Q') ? BOTH(1) : 1;
    *word_at(0) = READ_ARRAY;
}

const uint8_t *board_flash(void) {
    return (const uint8_t *)LAYOUT_FLASH_ADDRESS;
}

static uint32_t wait_until_ready(volatile uint32_t *place) {
    uint32_t ready = READY * lanes, status;
    do {
        status = *place;
    } while ((status & ready) != ready);
    return status;
}

static int finish(volatile uint32_t *place) {
    uint32_t status = wait_until_ready(place);
    *place = CLEAR_STATUS;
    *place = READ_ARRAY;
    return status & FAULTS * lanes ? EIO : 0;
}

static int program_words(volatile uint32_t *place, const uint32_t *words, size_t count) {
    uint32_t ready = READY * lanes;
    do {
        *place = BUFFERED_PROGRAM;
    } while ((*place & ready) != ready);
    *place = BOTH(count - 1);
    for (size_t i = 0; i < count; i++) {
        place[i] = words[i];
    }
    *place = CONFIRM;
    return finish(place);
}

int board_flash_program(size_t offset, const uint8_t *data, size_t length) {
    // The data may lie in this flash, which can't be read meanwhile.
    static uint32_t words[BUFFER_WORDS];
    while (length) {
        // A write must not cross a border of the chips' buffer.
        size_t part = BUFFER_BYTES - offset % BUFFER_BYTES;
        part = part < length ? part : length;
        memcpy(words, data, part);
        int error = program_words(word_at(offset), words, part / 4);
        if (error) {
            return error;
        }
        offset += part;
        data += part;
        length -= part;
    }
    return 0;
}

int board_flash_erase(size_t offset) {
    volatile uint32_t *place = word_at(offset);
    *place = ERASE;
    *place = CONFIRM;
    return finish(place);
}
