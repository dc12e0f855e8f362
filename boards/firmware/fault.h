// What a machine exception leaves on the console before it ends in a reset.
// SPDX-License-Identifier: Apache-2.0
#ifndef PAWL_FAULT_H
#define PAWL_FAULT_H

#include <stddef.h>
#include <stdint.h>

void fault_begin(void);
void fault_print(const char *name, uint32_t value);
void fault_print_all(const char *const *names, const uint32_t *values, size_t count); // a line of them
void fault_end(void) __attribute__((noreturn));

#endif
