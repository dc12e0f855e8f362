// Pawl's ESP32 board. Everything else is the port's own choice.

#define MICROPY_HW_BOARD_NAME "ESP32 with Pawl"
#define MICROPY_HW_MCU_NAME "ESP32"

// Application images are ROMFS. With it comes rom_ioctl, which maps the partition.
#define MICROPY_VFS_ROM (1)

// Encrypted payloads are AES-CTR.
#define MICROPY_PY_CRYPTOLIB_CTR (1)

// The agent needs none of these, and two copies of the firmware have to fit.
#define MICROPY_PY_BLUETOOTH (0)
#define MICROPY_PY_ESPNOW (0)
#define MICROPY_HW_ENABLE_MDNS_RESPONDER (0)
