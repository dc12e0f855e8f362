// Every interrupt and exception: save all registers on a stack of its own, so that an overflowed one can be told of.
// SPDX-License-Identifier: Apache-2.0

    .section .text.trap, "ax"
    .globl trap
    .align 2
trap:
    csrrw sp, mscratch, sp
    addi sp, sp, -128
    sw x1, 4(sp)
    .irp n, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    sw x\n, \n * 4(sp)
    .endr
    csrr a1, mscratch
    sw a1, 8(sp)
    csrr a0, mcause
    mv a1, sp
    call handle_trap
    lw x1, 4(sp)
    .irp n, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    lw x\n, \n * 4(sp)
    .endr
    addi sp, sp, 128
    csrrw sp, mscratch, sp
    mret
