// _board.Line: the line as a stream that never blocks.
// SPDX-License-Identifier: Apache-2.0

#include "py/runtime.h"
#include "py/stream.h"

#include "board.h"
#include "line.h"
#include "line_ring.h"

line_ring_t line_ring;

typedef struct {
    mp_obj_base_t base;
} line_obj_t;

static const line_obj_t the_line = { { &line_type } };

static mp_obj_t line_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    (void)type;
    (void)args;
    mp_arg_check_num(n_args, n_kw, 0, 0, false);
    return MP_OBJ_FROM_PTR(&the_line);
}

static mp_uint_t line_read(mp_obj_t self, void *buffer, mp_uint_t size, int *error) {
    (void)self;
    uint8_t *to = buffer;
    size_t got = 0;
    while (got < size && line_ring_used()) {
        to[got++] = line_ring.bytes[line_ring.got % LINE_RING_BYTES];
        line_ring.got++;
    }
    if (got) {
        board_line_resume();
    } else if (size) {
        *error = MP_EAGAIN;
        return MP_STREAM_ERROR;
    }
    return got;
}

static mp_uint_t line_write(mp_obj_t self, const void *data, mp_uint_t size, int *error) {
    (void)self;
    size_t taken = board_line_write(data, size);
    if (taken == 0 && size) {
        *error = MP_EAGAIN;
        return MP_STREAM_ERROR;
    }
    return taken;
}

static mp_uint_t line_ioctl(mp_obj_t self, mp_uint_t request, uintptr_t arg, int *error) {
    (void)self;
    if (request == MP_STREAM_CLOSE) {
        return 0;
    }
    if (request != MP_STREAM_POLL) {
        *error = MP_EINVAL;
        return MP_STREAM_ERROR;
    }
    mp_uint_t ready = 0;
    if ((arg & MP_STREAM_POLL_RD) && line_ring_used()) {
        ready |= MP_STREAM_POLL_RD;
    }
    if ((arg & MP_STREAM_POLL_WR) && board_line_is_writable()) {
        ready |= MP_STREAM_POLL_WR;
    }
    return ready;
}

static mp_obj_t line_any(mp_obj_t self) {
    (void)self;
    return MP_OBJ_NEW_SMALL_INT(line_ring_used());
}
static MP_DEFINE_CONST_FUN_OBJ_1(line_any_obj, line_any);

// Bytes that the hardware lost, as far as it tells.
static mp_obj_t line_overruns(mp_obj_t self) {
    (void)self;
    return mp_obj_new_int_from_uint(line_ring.overruns);
}
static MP_DEFINE_CONST_FUN_OBJ_1(line_overruns_obj, line_overruns);

static const mp_rom_map_elem_t line_locals_table[] = {
    { MP_ROM_QSTR(MP_QSTR_read), MP_ROM_PTR(&mp_stream_read1_obj) },
    { MP_ROM_QSTR(MP_QSTR_readinto), MP_ROM_PTR(&mp_stream_readinto_obj) },
    { MP_ROM_QSTR(MP_QSTR_write), MP_ROM_PTR(&mp_stream_write1_obj) },
    { MP_ROM_QSTR(MP_QSTR_ioctl), MP_ROM_PTR(&mp_stream_ioctl_obj) },
    { MP_ROM_QSTR(MP_QSTR_close), MP_ROM_PTR(&mp_stream_close_obj) },
    { MP_ROM_QSTR(MP_QSTR_any), MP_ROM_PTR(&line_any_obj) },
    { MP_ROM_QSTR(MP_QSTR_overruns), MP_ROM_PTR(&line_overruns_obj) },
};
static MP_DEFINE_CONST_DICT(line_locals, line_locals_table);

static const mp_stream_p_t line_stream = {
    .read = line_read,
    .write = line_write,
    .ioctl = line_ioctl,
};

MP_DEFINE_CONST_OBJ_TYPE(
    line_type, MP_QSTR_Line, MP_TYPE_FLAG_NONE,
    make_new, line_make_new,
    protocol, &line_stream,
    locals_dict, &line_locals
    );
