// From reset to main: copy the image from flash into RAM, clear the rest, set up the registers C wants.
// SPDX-License-Identifier: Apache-2.0

    .option norelax

    .section .stage0, "ax"
    .globl stage0
stage0:
    csrci mstatus, 8
    csrw mie, zero
    csrr a0, mhartid
    bnez a0, park
    la a1, image_stored
    la a2, image_start
    la a3, image_end
copy:
    lw a4, 0(a1)
    sw a4, 0(a2)
    addi a1, a1, 4
    addi a2, a2, 4
    bltu a2, a3, copy
    fence.i
    la a1, start
    jr a1
park:
    wfi
    j park

    .section .text.start, "ax"
start:
    la gp, __global_pointer$
    la a1, trap_stack_top
    csrw mscratch, a1
    la a1, trap
    csrw mtvec, a1
    la a1, bss_start
    la a2, bss_end
clear:
    sw zero, 0(a1)
    addi a1, a1, 4
    bltu a1, a2, clear
    la sp, stack_top
    call main
    j park_in_ram
park_in_ram:
    wfi
    j park_in_ram
