// SPDX-License-Identifier: Apache-2.0
#ifndef PAWL_TLS_MEMORY_H
#define PAWL_TLS_MEMORY_H

#include <stddef.h>

// Before anything of mbedTLS is called.
void tls_memory_start(void);
// The most that was ever taken since start, of LAYOUT_TLS_BYTES.
size_t tls_memory_most(void);

#endif
