// MicroPython as boards of Pawl have it: no prompt, no threads, no file system but ROMFS.
// SPDX-License-Identifier: Apache-2.0

#include <alloca.h>
#include <stdint.h>

#define MICROPY_CONFIG_ROM_LEVEL (MICROPY_CONFIG_ROM_LEVEL_EXTRA_FEATURES)

#define MICROPY_ENABLE_GC (1)
#define MICROPY_ENABLE_EMERGENCY_EXCEPTION_BUF (1)
#define MICROPY_LONGINT_IMPL (MICROPY_LONGINT_IMPL_MPZ)
#define MICROPY_FLOAT_IMPL (MICROPY_FLOAT_IMPL_FLOAT)
#define MICROPY_PERSISTENT_CODE_LOAD (1)

// What C takes between two looks at the stack, TLS above all: recursion without end is an exception, not an overflow.
#define MICROPY_STACK_CHECK_MARGIN (8192)

#define MICROPY_MBEDTLS_CONFIG_BARE_METAL (1)

// Application images are ROMFS. With rom_ioctl one would be mounted before anything verified it.
#define MICROPY_VFS (1)
#define MICROPY_VFS_ROM (1)
#define MICROPY_VFS_ROM_IOCTL (0)
#define MICROPY_READER_VFS (1)

// Encrypted payloads are AES-CTR.
#define MICROPY_PY_CRYPTOLIB (1)
#define MICROPY_PY_CRYPTOLIB_CTR (1)

// Of the digests, only SHA-256.
#define MICROPY_PY_HASHLIB_SHA1 (0)
#define MICROPY_PY_HASHLIB_MD5 (0)

#define MICROPY_PY_OS_URANDOM (1)
#define MICROPY_PY_OS_INCLUDEFILE "firmware/modos_urandom.h"
#define MICROPY_PY_RANDOM_SEED_INIT_FUNC (firmware_random_seed())

// The console is only written to, and there is no prompt.
#define MICROPY_HELPER_REPL (0)
#define MICROPY_KBD_EXCEPTION (0)
#define MICROPY_PY_SYS_STDFILES (0)
#define MICROPY_PY_BUILTINS_INPUT (0)
#define MICROPY_PY_BUILTINS_HELP (0)
#define MICROPY_PY_SYS_PS1_PS2 (0)

// Hardware that these boards have not.
#define MICROPY_PY_MACHINE (0)
#define MICROPY_PY_FRAMEBUF (0)
#define MICROPY_PY_CMATH (0)

// Not the date of the build: the same source gives the same bytes.
#define MICROPY_BANNER_NAME_AND_VERSION "MicroPython " MICROPY_GIT_TAG
#define MICROPY_BANNER_MACHINE MICROPY_BOARD_BUILD_NAME
#define MICROPY_PY_SYS_PLATFORM "pawl"

#define MICROPY_INTERNAL_WFE(timeout_ms) board_sleep(timeout_ms)
void board_sleep(int timeout_ms);
unsigned long firmware_random_seed(void);

#define MP_SSIZE_MAX (0x7fffffff)
#define UINT_FMT "%lu"
#define INT_FMT "%ld"
typedef long mp_int_t;
typedef unsigned long mp_uint_t;
typedef long mp_off_t;

// The mathematics library has it as a macro only.
#define MP_NEED_LOG2 (1)

#define MP_STATE_PORT MP_STATE_VM
