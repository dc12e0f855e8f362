// The vector table, and from reset to main: copy data into RAM, clear the rest, a stack of its own for main.
// SPDX-License-Identifier: Apache-2.0

    .syntax unified
    .thumb

    .section .vectors, "a"
    .word handler_stack_top
    .word start
    .word watchdog_interrupt
    .word hard_fault
    .rept 11
    .word hard_fault
    .endr
    .word tick_interrupt
    .word hard_fault
    .word hard_fault
    .word line_interrupt // received
    .word line_interrupt // sent
    .rept 6
    .word hard_fault
    .endr
    .word timer_interrupt
    .rept 21
    .word hard_fault
    .endr

    .text
    .thumb_func
    .globl start
start:
    ldr r0, =stack_top
    msr psp, r0
    movs r0, #2
    msr control, r0
    isb
    ldr r0, =data_start
    ldr r1, =data_end
    ldr r2, =data_stored
copy:
    cmp r0, r1
    itt lo
    ldrlo r3, [r2], #4
    strlo r3, [r0], #4
    blo copy
    ldr r0, =bss_start
    ldr r1, =bss_end
    movs r2, #0
clear:
    cmp r0, r1
    it lo
    strlo r2, [r0], #4
    blo clear
    bl main
    b .

    // Handlers have a stack of their own, so that an overflowed one can be told of.
    .thumb_func
hard_fault:
    mrs r0, psp
    tst lr, #4
    it eq
    mrseq r0, msp
    push {r4-r11}
    mov r1, sp
    bl fault
