// Module _pawl_native: the signature check of pawl.p256 on the firmware's own mbedTLS, with the same verdicts.
// SPDX-License-Identifier: Apache-2.0

#include <string.h>

#include "mbedtls/ecdsa.h"
#include "mbedtls/sha256.h"
#include "py/runtime.h"

#define NUMBER_BYTES (32)

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

static const mp_rom_map_elem_t native_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR__pawl_native) },
    { MP_ROM_QSTR(MP_QSTR_verify), MP_ROM_PTR(&verify_obj) },
};
static MP_DEFINE_CONST_DICT(native_globals, native_globals_table);

const mp_obj_module_t pawl_native_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&native_globals,
};

MP_REGISTER_MODULE(MP_QSTR__pawl_native, pawl_native_module);
