// What TLS takes for now.
// SPDX-License-Identifier: Apache-2.0
#ifndef PAWL_TLS_TIME_H
#define PAWL_TLS_TIME_H

#include <stdint.h>

void tls_set_time(int64_t unix_seconds);

#endif
