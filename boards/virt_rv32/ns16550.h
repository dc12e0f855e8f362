// Registers of an NS16550.
// SPDX-License-Identifier: Apache-2.0
#ifndef PAWL_NS16550_H
#define PAWL_NS16550_H

#define NS16550_DATA (0)
#define NS16550_IER (1)
#define NS16550_IIR (2) // when read
#define NS16550_FCR (2) // when written
#define NS16550_LCR (3)
#define NS16550_MCR (4)
#define NS16550_LSR (5)

#define IER_RECEIVED (0x01)
#define IER_SENT (0x02)
#define IIR_NOTHING (0x01)
#define FCR_TRIGGER_14 (0xc1) // on, and an interrupt at 14 bytes or after a pause: one at each byte is too slow
#define FCR_CLEAR (0x06)
#define LCR_8N1 (0x03)
#define LCR_DIVISOR (0x80)
#define MCR_READY (0x0b) // DTR, RTS, and the gate of the interrupt
#define LSR_RECEIVED (0x01)
#define LSR_OVERRUN (0x02)
#define LSR_SENT (0x20)

#define NS16550_FIFO_BYTES (16)
#define NS16550_TRIGGER_BYTES (14)

#endif
