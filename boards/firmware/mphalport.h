// MicroPython's hardware layer, over board.h.
// SPDX-License-Identifier: Apache-2.0

#include <stddef.h>

#include "shared/runtime/interrupt_char.h"
