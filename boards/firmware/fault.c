// A fault on the console: no memory is taken, nothing but the console is used.
// SPDX-License-Identifier: Apache-2.0

#include <string.h>

#include "board.h"
#include "fault.h"

static void say(const char *text) {
    board_console_write(text, strlen(text));
}

void fault_begin(void) {
    say("\r\nfirmware: fault:");
}

void fault_print(const char *name, uint32_t value) {
    char digits[] = " 00000000";
    for (int i = 8; i > 0; i--, value >>= 4) {
        digits[i] = "0123456789abcdef"[value & 15];
    }
    say(" ");
    say(name);
    say(digits);
}

void fault_print_all(const char *const *names, const uint32_t *values, size_t count) {
    say("\r\n");
    while (count--) {
        fault_print(*names++, *values++);
    }
}

void fault_end(void) {
    say("\r\n");
    board_reset(RESET_CAUSE_WATCHDOG);
}
