// Certificates are judged by a floor of the time, not by a clock: a floor can say "expired", never "not yet valid".
// SPDX-License-Identifier: Apache-2.0

#include <time.h>

#include "mbedtls/platform_time.h"
#include "mbedtls/platform_util.h"
#include "mbedtls/x509.h"

#include "board.h"
#include "tls_time.h"

static int64_t floor_s; // 0 until it is told: nothing is expired then

void tls_set_time(int64_t unix_seconds) {
    floor_s = unix_seconds;
}

mbedtls_time_t tls_now(mbedtls_time_t *now) {
    if (now) {
        *now = floor_s;
    }
    return floor_s;
}

mbedtls_ms_time_t mbedtls_ms_time(void) {
    return board_ticks_us() / 1000;
}

struct tm *mbedtls_platform_gmtime_r(const mbedtls_time_t *time, struct tm *to) {
    time_t seconds = *time;
    return gmtime_r(&seconds, to);
}

// x509_crt.c asks twice, each way round: the end of validity must not be earlier (negative), its start not later
// (positive) than now. The linker puts this in front of mbedTLS's own; the second question is always answered with no.
int __real_mbedtls_x509_time_cmp(const mbedtls_x509_time *one, const mbedtls_x509_time *other);
int __wrap_mbedtls_x509_time_cmp(const mbedtls_x509_time *one, const mbedtls_x509_time *other);
int __wrap_mbedtls_x509_time_cmp(const mbedtls_x509_time *one, const mbedtls_x509_time *other) {
    int order = __real_mbedtls_x509_time_cmp(one, other);
    return order > 0 ? 0 : order;
}
