// A generator with SHA-256 that forgets: what was given out can't be computed from what it keeps.
// SPDX-License-Identifier: Apache-2.0

#include <string.h>

#include "mbedtls/platform_util.h"
#include "mbedtls/sha256.h"

#include "random.h"

#define STEP (0)
#define OUTPUT (1)
#define SEED (2)

static uint8_t *kept;

static void hash(uint8_t role, const uint8_t *more, size_t length, uint8_t *digest) {
    mbedtls_sha256_context context;
    mbedtls_sha256_init(&context);
    mbedtls_sha256_starts(&context, 0);
    mbedtls_sha256_update(&context, &role, 1);
    mbedtls_sha256_update(&context, kept, RANDOM_SEED_BYTES);
    mbedtls_sha256_update(&context, more, length);
    mbedtls_sha256_finish(&context, digest);
    mbedtls_sha256_free(&context);
}

// The state survives a warm reset, because then the entropy is the same again. What it holds at power on does no harm.
void random_start(uint8_t *state, const uint8_t *entropy) {
    uint8_t seed[RANDOM_SEED_BYTES];
    kept = state;
    hash(SEED, entropy, RANDOM_SEED_BYTES, seed);
    memcpy(kept, seed, sizeof(seed));
    mbedtls_platform_zeroize(seed, sizeof(seed));
}

void random_fill(uint8_t *to, size_t length) {
    uint8_t block[RANDOM_SEED_BYTES];
    while (length) {
        size_t part = length < sizeof(block) ? length : sizeof(block);
        hash(OUTPUT, NULL, 0, block);
        memcpy(to, block, part);
        hash(STEP, NULL, 0, block);
        memcpy(kept, block, sizeof(block));
        to += part;
        length -= part;
    }
    mbedtls_platform_zeroize(block, sizeof(block));
}

// What mbedTLS seeds the generator of each TLS context with.
int mbedtls_hardware_poll(void *data, unsigned char *output, size_t length, size_t *got) {
    (void)data;
    random_fill(output, length);
    *got = length;
    return 0;
}
