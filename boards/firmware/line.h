// _board.Line, the type.
// SPDX-License-Identifier: Apache-2.0
#ifndef PAWL_LINE_H
#define PAWL_LINE_H

#include "py/obj.h"

extern const mp_obj_type_t line_type;

#endif
