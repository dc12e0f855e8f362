// Random bytes for TLS, keys and os.urandom, from the entropy that the board was started with.
// SPDX-License-Identifier: Apache-2.0
#ifndef PAWL_RANDOM_H
#define PAWL_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#define RANDOM_SEED_BYTES (32)

void random_start(uint8_t *state, const uint8_t *entropy);
void random_fill(uint8_t *to, size_t length);

#endif
