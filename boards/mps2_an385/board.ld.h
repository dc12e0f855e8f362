/* Where things lie: code where it is loaded, the stack at the bottom of RAM. The preprocessor fills in layout.py's numbers.
   SPDX-License-Identifier: Apache-2.0 */
#include "layout.h"

OUTPUT_ARCH(arm)
ENTRY(start)

MEMORY
{
    CODE (rx)   : ORIGIN = LAYOUT_FIRMWARE_ADDRESS, LENGTH = LAYOUT_FIRMWARE_BYTES
    RAM (rw)    : ORIGIN = LAYOUT_RAM_ADDRESS, LENGTH = LAYOUT_KEPT_ADDRESS - LAYOUT_RAM_ADDRESS
    KEPT (rw)   : ORIGIN = LAYOUT_KEPT_ADDRESS, LENGTH = LAYOUT_PARAMETERS_ADDRESS - LAYOUT_KEPT_ADDRESS
}

SECTIONS
{
    .text :
    {
        KEEP(*(.vectors))
        *(.text .text.*)
        *(.rodata .rodata.*)
        . = ALIGN(8);
    } > CODE

    /* First, so that one that overflows leaves RAM. */
    .stack (NOLOAD) :
    {
        stack = .;
        . += 32K;
        stack_top = .;
        . += 2K;
        handler_stack_top = .;
    } > RAM

    .data : ALIGN(8)
    {
        data_start = .;
        *(.data .data.*)
        . = ALIGN(8);
        data_end = .;
    } > RAM AT > CODE
    data_stored = LOADADDR(.data);

    .bss (NOLOAD) : ALIGN(8)
    {
        bss_start = .;
        *(.bss .bss.* COMMON)
        . = ALIGN(16);
        bss_end = .;
        heap_start = .;
    } > RAM
    heap_end = LAYOUT_KEPT_ADDRESS;

    .tdata : { *(.tdata .tdata.*) } > RAM
    .tbss : { *(.tbss .tbss.*) } > RAM

    /* What a warm reset doesn't clear. */
    .kept (NOLOAD) : { *(.kept) } > KEPT

    /DISCARD/ : { *(.eh_frame .eh_frame_hdr .ARM.exidx* .ARM.extab* .comment .note.* .ARM.attributes) }
}

/* Storage of a thread would need a register set up: nothing here may use it. */
ASSERT(SIZEOF(.tdata) + SIZEOF(.tbss) == 0, "thread-local storage")
