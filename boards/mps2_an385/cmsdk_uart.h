// Registers of the UART of Arm's Cortex-M System Design Kit (DDI 0479, 4.3): one byte deep each way.
// SPDX-License-Identifier: Apache-2.0
#ifndef PAWL_CMSDK_UART_H
#define PAWL_CMSDK_UART_H

#define UART_DATA (0x00)
#define UART_STATE (0x04)
#define UART_CONTROL (0x08)
#define UART_INTERRUPTS (0x0c) // a one that is written clears
#define UART_DIVISOR (0x10)

#define STATE_SEND_FULL (0x01)
#define STATE_RECEIVED (0x02)
#define STATE_OVERRUN (0x08) // a one that is written clears
#define CONTROL_SEND (0x01)
#define CONTROL_RECEIVE (0x02)
#define CONTROL_SENT_INTERRUPT (0x04)
#define CONTROL_RECEIVED_INTERRUPT (0x08)
#define INTERRUPT_SENT (0x01)
#define INTERRUPT_RECEIVED (0x02)

#define DIVISOR_MIN (16) // as fast as it goes

#endif
