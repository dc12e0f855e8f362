/* Where things lie: the image is stored in flash unit 0 and runs from RAM. The preprocessor fills in layout.py's numbers.
   SPDX-License-Identifier: Apache-2.0 */
#include "layout.h"

OUTPUT_ARCH(riscv)
ENTRY(stage0)

MEMORY
{
    FLASH (rx)  : ORIGIN = LAYOUT_FIRMWARE_ADDRESS, LENGTH = LAYOUT_FIRMWARE_BYTES
    RAM (rwx)   : ORIGIN = LAYOUT_RAM_ADDRESS, LENGTH = LAYOUT_KEPT_ADDRESS - LAYOUT_RAM_ADDRESS
    KEPT (rw)   : ORIGIN = LAYOUT_KEPT_ADDRESS, LENGTH = LAYOUT_PARAMETERS_ADDRESS - LAYOUT_KEPT_ADDRESS
}

PHDRS
{
    stage0 PT_LOAD FLAGS(5);
    text PT_LOAD FLAGS(5);
    data PT_LOAD FLAGS(6);
}

SECTIONS
{
    .stage0 : { KEEP(*(.stage0)) . = ALIGN(16); } > FLASH : stage0

    .text : ALIGN(16)
    {
        image_start = .;
        *(.text .text.*)
        *(.rodata .rodata.* .srodata .srodata.*)
        . = ALIGN(16);
    } > RAM AT > FLASH : text
    image_stored = LOADADDR(.text);

    .data : ALIGN(16)
    {
        __global_pointer$ = . + 0x800;
        *(.data .data.* .sdata .sdata.*)
        . = ALIGN(16);
        image_end = .;
    } > RAM AT > FLASH : data

    .bss (NOLOAD) : ALIGN(16)
    {
        bss_start = .;
        *(.sbss .sbss.* .bss .bss.* COMMON)
        . = ALIGN(16);
        bss_end = .;
    } > RAM

    .stack (NOLOAD) : ALIGN(16)
    {
        trap_stack = .;
        . += 2K;
        trap_stack_top = .;
        stack = .;
        . += 32K;
        stack_top = .;
        heap_start = .;
    } > RAM
    heap_end = LAYOUT_KEPT_ADDRESS;

    .tdata : { *(.tdata .tdata.*) } > RAM
    .tbss : { *(.tbss .tbss.*) } > RAM

    /* What a warm reset doesn't clear. */
    .kept (NOLOAD) : { *(.kept) } > KEPT

    /DISCARD/ : { *(.eh_frame .eh_frame_hdr .comment .note.* .riscv.attributes) }
}

/* Storage of a thread, as picolibc's errno is, would need a register set up: nothing here may use it. */
ASSERT(SIZEOF(.tdata) + SIZEOF(.tbss) == 0, "thread-local storage")
