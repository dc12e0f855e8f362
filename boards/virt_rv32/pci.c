// Finds QEMU's pci-serial on bus 0 and gives it an address.
// SPDX-License-Identifier: Apache-2.0

#include "hardware.h"

#define DEVICES (32)
#define DEVICE_STRIDE (0x8000)
#define VENDOR (0x00)
#define COMMAND (0x04)
#define CLASS (0x08)
#define BAR0 (0x10)
#define INTERRUPT (0x3c)
#define COMMAND_IO (1)
#define CLASS_SERIAL (0x0700)

static bool is_serial(uintptr_t device) {
    uint32_t vendor = *reg32(device + VENDOR) & 0xffff;
    return vendor != 0 && vendor != 0xffff && *reg32(device + CLASS) >> 16 == CLASS_SERIAL;
}

uintptr_t pci_serial(unsigned *source) {
    for (unsigned number = 0; number < DEVICES; number++) {
        uintptr_t device = LAYOUT_PCI_CONFIG_ADDRESS + number * DEVICE_STRIDE;
        if (is_serial(device)) {
            unsigned pin = (*reg32(device + INTERRUPT) >> 8 & 0xff) - 1;
            *source = LAYOUT_PCI_INTERRUPT + (number + pin) % 4;
            *reg32(device + BAR0) = LAYOUT_LINE_ADDRESS_PCI - LAYOUT_PCI_IO_ADDRESS;
            *reg32(device + COMMAND) = COMMAND_IO;
            return LAYOUT_LINE_ADDRESS_PCI;
        }
    }
    return 0;
}
