// RAM that a warm reset leaves alone: why it came, and the state of the random generator.
// SPDX-License-Identifier: Apache-2.0
#ifndef PAWL_KEPT_H
#define PAWL_KEPT_H

void kept_start(void);
void kept_note(unsigned cause); // of the reset that comes now

#endif
