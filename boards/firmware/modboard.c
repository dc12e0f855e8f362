// Module _board: the hardware as the frozen Python code sees it. docs: boards/virt_rv32/README.md
// SPDX-License-Identifier: Apache-2.0

#include <string.h>

#include "py/mperrno.h"
#include "py/objint.h"
#include "py/runtime.h"

#include "board.h"
#include "layout.h"
#include "line.h"
#include "random.h"
#include "tls_memory.h"
#include "tls_time.h"

// flash_view() -> memoryview, read only, of the whole data flash in place
static mp_obj_t flash_view(void) {
    return mp_obj_new_memoryview('B', LAYOUT_FLASH_BYTES, (void *)board_flash());
}
static MP_DEFINE_CONST_FUN_OBJ_0(flash_view_obj, flash_view);

static size_t flash_offset(mp_obj_t value, size_t unit, size_t length) {
    mp_int_t offset = mp_obj_get_int(value);
    if (offset < 0 || (size_t)offset > LAYOUT_FLASH_BYTES || LAYOUT_FLASH_BYTES - offset < length) {
        mp_raise_ValueError(MP_ERROR_TEXT("outside the flash"));
    }
    if (offset % unit || length % unit) {
        mp_raise_ValueError(MP_ERROR_TEXT("not whole units"));
    }
    return offset;
}

// A controller may set bits without an erase, where real NOR can't: so it is refused here.
static void check_no_bit_rises(const uint8_t *now, const uint8_t *data, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (data[i] & ~now[i]) {
            mp_raise_ValueError(MP_ERROR_TEXT("not erased"));
        }
    }
}

// flash_program(offset, data): whole units of PROGRAM_BYTES
static mp_obj_t flash_program(mp_obj_t offset_in, mp_obj_t data_in) {
    mp_buffer_info_t data;
    mp_get_buffer_raise(data_in, &data, MP_BUFFER_READ);
    size_t offset = flash_offset(offset_in, LAYOUT_PROGRAM_BYTES, data.len);
    check_no_bit_rises(board_flash() + offset, data.buf, data.len);
    int error = board_flash_program(offset, data.buf, data.len);
    if (!error && memcmp(board_flash() + offset, data.buf, data.len)) {
        error = MP_EIO;
    }
    if (error) {
        mp_raise_OSError(error);
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(flash_program_obj, flash_program);

// flash_erase(offset): the sector that begins there
static mp_obj_t flash_erase(mp_obj_t offset_in) {
    int error = board_flash_erase(flash_offset(offset_in, LAYOUT_ERASE_BYTES, LAYOUT_ERASE_BYTES));
    if (error) {
        mp_raise_OSError(error);
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(flash_erase_obj, flash_erase);

// random(count) -> bytes
static mp_obj_t random_bytes(mp_obj_t count) {
    mp_int_t length = mp_obj_get_int(count);
    if (length < 0) {
        mp_raise_ValueError(NULL);
    }
    vstr_t vstr;
    vstr_init_len(&vstr, length);
    random_fill((uint8_t *)vstr.buf, vstr.len);
    return mp_obj_new_bytes_from_vstr(&vstr);
}
static MP_DEFINE_CONST_FUN_OBJ_1(random_bytes_obj, random_bytes);

// reset(): doesn't return
static mp_obj_t reset(void) {
    board_reset(RESET_CAUSE_ASKED);
}
static MP_DEFINE_CONST_FUN_OBJ_0(reset_obj, reset);

// reset_cause() -> 0 power, 1 asked, 2 watchdog or crash
static mp_obj_t reset_cause(void) {
    return MP_OBJ_NEW_SMALL_INT(board_reset_cause());
}
static MP_DEFINE_CONST_FUN_OBJ_0(reset_cause_obj, reset_cause);

// feed(): the watchdog, for another WATCHDOG_S
static mp_obj_t feed(void) {
    board_watchdog_feed();
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(feed_obj, feed);

// set_time(unix_seconds): a certificate whose validity ended before is expired
static mp_obj_t set_time(mp_obj_t unix_seconds) {
    if (mp_obj_is_small_int(unix_seconds)) {
        tls_set_time(MP_OBJ_SMALL_INT_VALUE(unix_seconds));
        return mp_const_none;
    }
    uint8_t bytes[8];
    if (!mp_obj_is_exact_type(unix_seconds, &mp_type_int) ||
        !mp_obj_int_to_bytes_impl(unix_seconds, false, sizeof(bytes), bytes)) {
        mp_raise_ValueError(MP_ERROR_TEXT("seconds since 1970 expected"));
    }
    int64_t seconds;
    memcpy(&seconds, bytes, sizeof(seconds));
    tls_set_time(seconds);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(set_time_obj, set_time);

// tls_memory() -> the most bytes that mbedTLS ever took since start, of TLS_BYTES
static mp_obj_t tls_memory(void) {
    return MP_OBJ_NEW_SMALL_INT(tls_memory_most());
}
static MP_DEFINE_CONST_FUN_OBJ_0(tls_memory_obj, tls_memory);

static const mp_rom_map_elem_t board_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR__board) },
    { MP_ROM_QSTR(MP_QSTR_flash_view), MP_ROM_PTR(&flash_view_obj) },
    { MP_ROM_QSTR(MP_QSTR_flash_program), MP_ROM_PTR(&flash_program_obj) },
    { MP_ROM_QSTR(MP_QSTR_flash_erase), MP_ROM_PTR(&flash_erase_obj) },
    { MP_ROM_QSTR(MP_QSTR_Line), MP_ROM_PTR(&line_type) },
    { MP_ROM_QSTR(MP_QSTR_random), MP_ROM_PTR(&random_bytes_obj) },
    { MP_ROM_QSTR(MP_QSTR_reset), MP_ROM_PTR(&reset_obj) },
    { MP_ROM_QSTR(MP_QSTR_reset_cause), MP_ROM_PTR(&reset_cause_obj) },
    { MP_ROM_QSTR(MP_QSTR_feed), MP_ROM_PTR(&feed_obj) },
    { MP_ROM_QSTR(MP_QSTR_set_time), MP_ROM_PTR(&set_time_obj) },
    { MP_ROM_QSTR(MP_QSTR_tls_memory), MP_ROM_PTR(&tls_memory_obj) },
};
static MP_DEFINE_CONST_DICT(board_globals, board_globals_table);

const mp_obj_module_t board_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&board_globals,
};

MP_REGISTER_MODULE(MP_QSTR__board, board_module);
