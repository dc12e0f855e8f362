// Module _pawl_native: pawl.p256's signing and checking on the firmware's own mbedTLS, to the same bytes and verdicts, and
// DEFLATE with no window of its own. Both spare the heap what Python and `deflate` take while they work.
// SPDX-License-Identifier: Apache-2.0

#include <string.h>

#include "lib/uzlib/uzlib.h"
#include "mbedtls/ecdsa.h"
#include "mbedtls/sha256.h"
#include "py/runtime.h"

#define NUMBER_BYTES (32)

// What a firmware seeds mbedTLS with; the header that declares it is private.
int mbedtls_hardware_poll(void *data, unsigned char *output, size_t length, size_t *got);

typedef struct {
    mbedtls_ecp_group curve;
    mbedtls_ecp_point key;
    mbedtls_mpi r, s;
} check_t;

static int read_numbers(check_t *check, const uint8_t *key, const uint8_t *signature) {
    int error = mbedtls_ecp_group_load(&check->curve, MBEDTLS_ECP_DP_SECP256R1);
    error = error ? error : mbedtls_ecp_point_read_binary(&check->curve, &check->key, key, 1 + 2 * NUMBER_BYTES);
    error = error ? error : mbedtls_ecp_check_pubkey(&check->curve, &check->key);
    error = error ? error : mbedtls_mpi_read_binary(&check->r, signature, NUMBER_BYTES);
    return error ? error : mbedtls_mpi_read_binary(&check->s, signature + NUMBER_BYTES, NUMBER_BYTES);
}

static int run_check(const uint8_t *key, const uint8_t *digest, const uint8_t *signature) {
    check_t check;
    mbedtls_ecp_group_init(&check.curve);
    mbedtls_ecp_point_init(&check.key);
    mbedtls_mpi_init(&check.r);
    mbedtls_mpi_init(&check.s);
    int error = read_numbers(&check, key, signature);
    if (!error) {
        error = mbedtls_ecdsa_verify(&check.curve, digest, NUMBER_BYTES, &check.key, &check.r, &check.s);
    }
    mbedtls_mpi_free(&check.s);
    mbedtls_mpi_free(&check.r);
    mbedtls_ecp_point_free(&check.key);
    mbedtls_ecp_group_free(&check.curve);
    return error;
}

// verify(x, y, message, signature) -> bool: ECDSA on P-256 with SHA-256; the signature is r and s, 32 bytes each.
// MemoryError if the check couldn't be done: that is no verdict.
static mp_obj_t verify(size_t count, const mp_obj_t *args) {
    (void)count;
    mp_buffer_info_t x, y, message, signature;
    mp_get_buffer_raise(args[0], &x, MP_BUFFER_READ);
    mp_get_buffer_raise(args[1], &y, MP_BUFFER_READ);
    mp_get_buffer_raise(args[2], &message, MP_BUFFER_READ);
    mp_get_buffer_raise(args[3], &signature, MP_BUFFER_READ);
    if (x.len != NUMBER_BYTES || y.len != NUMBER_BYTES || signature.len != 2 * NUMBER_BYTES) {
        return mp_const_false;
    }
    uint8_t key[1 + 2 * NUMBER_BYTES] = { 4 }; // uncompressed (SEC 1, 2.3.3)
    memcpy(key + 1, x.buf, NUMBER_BYTES);
    memcpy(key + 1 + NUMBER_BYTES, y.buf, NUMBER_BYTES);
    uint8_t digest[NUMBER_BYTES];
    mbedtls_sha256(message.buf, message.len, digest, 0);
    int error = run_check(key, digest, signature.buf);
    if (error == MBEDTLS_ERR_MPI_ALLOC_FAILED || error == MBEDTLS_ERR_ECP_ALLOC_FAILED) {
        mp_raise_type(&mp_type_MemoryError);
    }
    return mp_obj_new_bool(error == 0);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(verify_obj, 4, 4, verify);

// Masks computations; the signature doesn't depend on it.
static int blinding(void *data, unsigned char *output, size_t length) {
    size_t got;
    int error = mbedtls_hardware_poll(data, output, length, &got);
    return error ? error : (got == length ? 0 : MBEDTLS_ERR_ECP_RANDOM_FAILED);
}

static int run_sign(const uint8_t *secret, const uint8_t *digest, uint8_t *signature) {
    mbedtls_ecp_group curve;
    mbedtls_mpi d, r, s;
    mbedtls_ecp_group_init(&curve);
    mbedtls_mpi_init(&d);
    mbedtls_mpi_init(&r);
    mbedtls_mpi_init(&s);
    int error = mbedtls_ecp_group_load(&curve, MBEDTLS_ECP_DP_SECP256R1);
    error = error ? error : mbedtls_mpi_read_binary(&d, secret, NUMBER_BYTES);
    error = error ? error : mbedtls_ecp_check_privkey(&curve, &d);
    error = error ? error : mbedtls_ecdsa_sign_det_ext(&curve, &r, &s, &d, digest, NUMBER_BYTES, MBEDTLS_MD_SHA256, blinding, NULL);
    error = error ? error : mbedtls_mpi_write_binary(&r, signature, NUMBER_BYTES);
    error = error ? error : mbedtls_mpi_write_binary(&s, signature + NUMBER_BYTES, NUMBER_BYTES);
    mbedtls_mpi_free(&s);
    mbedtls_mpi_free(&r);
    mbedtls_mpi_free(&d);
    mbedtls_ecp_group_free(&curve);
    return error;
}

// sign(secret, message) -> bytes: the deterministic signature (RFC 6979) of the message by a secret of 32 bytes.
// ValueError for a secret out of range, MemoryError if there was no room, OSError for what else mbedTLS reports.
static mp_obj_t sign(mp_obj_t secret_in, mp_obj_t message_in) {
    mp_buffer_info_t secret, message;
    mp_get_buffer_raise(secret_in, &secret, MP_BUFFER_READ);
    mp_get_buffer_raise(message_in, &message, MP_BUFFER_READ);
    uint8_t digest[NUMBER_BYTES], signature[2 * NUMBER_BYTES];
    mbedtls_sha256(message.buf, message.len, digest, 0);
    int error = secret.len == NUMBER_BYTES ? run_sign(secret.buf, digest, signature) : MBEDTLS_ERR_ECP_INVALID_KEY;
    if (error == MBEDTLS_ERR_ECP_INVALID_KEY) {
        mp_raise_ValueError(MP_ERROR_TEXT("secret out of range"));
    }
    if (error == MBEDTLS_ERR_MPI_ALLOC_FAILED || error == MBEDTLS_ERR_ECP_ALLOC_FAILED || error == MBEDTLS_ERR_MD_ALLOC_FAILED) {
        mp_raise_type(&mp_type_MemoryError);
    }
    if (error) {
        mp_raise_OSError(error);
    }
    return mp_obj_new_bytes(signature, sizeof(signature));
}
static MP_DEFINE_CONST_FUN_OBJ_2(sign_obj, sign);

// inflate(payload, block) -> bytes written, or -1: not raw DEFLATE data, without an end, or it goes on behind it.
// What the block has no room for is left out: whoever wants to know whether that was all gives one byte more.
static mp_obj_t inflate(mp_obj_t payload_in, mp_obj_t block_in) {
    mp_buffer_info_t payload, block;
    mp_get_buffer_raise(payload_in, &payload, MP_BUFFER_READ);
    mp_get_buffer_raise(block_in, &block, MP_BUFFER_WRITE);
    uzlib_uncomp_t state;
    memset(&state, 0, sizeof(state));
    uzlib_uncompress_init(&state, NULL, 0); // what was written is the window
    state.source = payload.buf;
    state.source_limit = state.source + payload.len;
    state.dest = state.dest_start = block.buf;
    state.dest_limit = state.dest + block.len;
    int result = block.len ? uzlib_uncompress(&state) : UZLIB_OK;
    bool is_full = result == UZLIB_OK;
    bool is_whole = result == UZLIB_DONE && state.source == state.source_limit;
    if (state.eof || !(is_full || is_whole)) {
        return MP_OBJ_NEW_SMALL_INT(-1);
    }
    return MP_OBJ_NEW_SMALL_INT(state.dest - state.dest_start);
}
static MP_DEFINE_CONST_FUN_OBJ_2(inflate_obj, inflate);

static const mp_rom_map_elem_t native_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR__pawl_native) },
    { MP_ROM_QSTR(MP_QSTR_verify), MP_ROM_PTR(&verify_obj) },
    { MP_ROM_QSTR(MP_QSTR_sign), MP_ROM_PTR(&sign_obj) },
    { MP_ROM_QSTR(MP_QSTR_inflate), MP_ROM_PTR(&inflate_obj) },
};
static MP_DEFINE_CONST_DICT(native_globals, native_globals_table);

const mp_obj_module_t pawl_native_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&native_globals,
};

MP_REGISTER_MODULE(MP_QSTR__pawl_native, pawl_native_module);
