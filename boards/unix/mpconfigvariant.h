// Pawl's variant of the unix port. The Makefile puts ports/unix on the include path.

#define MICROPY_CONFIG_ROM_LEVEL (MICROPY_CONFIG_ROM_LEVEL_EXTRA_FEATURES)

#include "variants/mpconfigvariant_common.h"

// Application images are ROMFS.
#undef MICROPY_VFS_ROM
#define MICROPY_VFS_ROM (1)

// With rom_ioctl the port would mount an image at /rom by itself, before anything verified it.
#undef MICROPY_VFS_ROM_IOCTL
#define MICROPY_VFS_ROM_IOCTL (0)

// Encrypted payloads are AES-CTR.
#undef MICROPY_PY_CRYPTOLIB_CTR
#define MICROPY_PY_CRYPTOLIB_CTR (1)
