// Runs the frozen _boot.py and nothing else; whatever ends it is printed and ends in a reset.
// SPDX-License-Identifier: Apache-2.0

#include <string.h>

#include "py/builtin.h"
#include "py/cstack.h"
#include "py/emitglue.h"
#include "py/frozenmod.h"
#include "py/gc.h"
#include "py/mphal.h"
#include "py/persistentcode.h"
#include "py/runtime.h"
#include "shared/runtime/gchelper.h"

#include "board.h"
#include "layout.h"
#include "random.h"
#include "tls_memory.h"

#define PARAMETERS_MAGIC (0x4c574150) // "PAWL"
#define HEAP_MIN_BYTES (8192)
#define PAUSE_MS (1000)

static void say(const char *text) {
    mp_hal_stdout_tx_str(text);
}

static void stop(const char *why) {
    say("firmware: ");
    say(why);
    say("\r\n");
    board_halt();
}

static size_t heap_bytes(const parameters_t *parameters) {
    static const uint8_t no_entropy[sizeof(parameters->entropy)];
    if (parameters->magic != PARAMETERS_MAGIC) {
        stop("no parameters page: the emulator must fill it before start");
    }
    if (!memcmp(parameters->entropy, no_entropy, sizeof(no_entropy))) {
        stop("no entropy in the parameters page: TLS and keys need it");
    }
    size_t bytes = parameters->heap_bytes ? parameters->heap_bytes : LAYOUT_HEAP_BYTES;
    if (bytes < HEAP_MIN_BYTES || bytes > board_heap_room()) {
        stop("heap size in the parameters page is too small or too large");
    }
    return bytes;
}

uint32_t firmware_watchdog_s(void) {
    uint32_t asked = board_parameters()->watchdog_s;
    return asked && asked < LAYOUT_WATCHDOG_S ? asked : LAYOUT_WATCHDOG_S;
}

static void run_frozen(const char *name) {
    int type;
    void *found;
    if (mp_find_frozen_module(name, &type, &found) != MP_IMPORT_STAT_FILE || type != MP_FROZEN_MPY) {
        stop("nothing to run is frozen in");
    }
    const mp_frozen_module_t *frozen = found;
    mp_module_context_t *context = m_new_obj(mp_module_context_t);
    context->module.globals = mp_globals_get();
    context->constants = frozen->constants;
    mp_call_function_0(mp_make_function_from_proto_fun(frozen->proto_fun, context, NULL));
}

int main(void) {
    board_start();
    const parameters_t *parameters = board_parameters();
    size_t bytes = heap_bytes(parameters);
    tls_memory_start();
    random_start(board_random_state(), parameters->entropy);
    mp_cstack_init_with_top(board_stack_top(), board_stack_bytes());
    gc_init(board_heap(), (char *)board_heap() + bytes);
    mp_init();
    nlr_buf_t nlr;
    if (nlr_push(&nlr) == 0) {
        run_frozen("_boot.py");
        nlr_pop();
        say("firmware: _boot.py ended\r\n");
    } else {
        mp_obj_print_exception(&mp_plat_print, MP_OBJ_FROM_PTR(nlr.ret_val));
    }
    // A crash that comes at once must not be a hundred a second.
    mp_hal_delay_ms(PAUSE_MS);
    board_reset(RESET_CAUSE_WATCHDOG);
}

unsigned long firmware_random_seed(void) {
    unsigned long seed;
    random_fill((uint8_t *)&seed, sizeof(seed));
    return seed;
}

void gc_collect(void) {
    gc_collect_start();
    gc_helper_collect_regs_and_stack();
    gc_collect_end();
}

void nlr_jump_fail(void *value) {
    (void)value;
    say("firmware: an exception that nothing handles\r\n");
    board_reset(RESET_CAUSE_WATCHDOG);
}
