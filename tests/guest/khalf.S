/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages of the kernel's half of the address space, which alone has linear addresses with the upper
 * bits set: when what the tables mean changes, all that is known of them is looked up again.
 */
#include "guest.inc"

    .set KERNEL, 0xffff900000000000

    .text
    .globl guest_main
guest_main:
    NEED_CPUID 7, ebx, 20, "no SMAP"
    pushq %rbp
    call alloc_page
    movq $0x1111, (%rax)
    movq %rax, first
    call alloc_page
    movq $0x2222, (%rax)
    movq %rax, second
    SET_CR cr4, CR4_SMAP
    MAP KERNEL, first, 3
    movl $20, %r12d
1:  call read_word
    decl %r12d
    jnz 1b
    CHECK_EQ "a page of the kernel's half", %rdx, 0x1111
    CLEAR_CR cr4, CR4_SMAP
    SET_CR cr4, CR4_SMAP
    MAP KERNEL, second, 3
    call read_word
    CHECK_EQ "another page there, behind a change of SMAP", %rdx, 0x2222
    CLEAR_CR cr4, CR4_SMAP
    popq %rbp
    ret

read_word:
    movabsq $KERNEL, %rbx
    movq (%rbx), %rdx
    ret

    .data
    .balign 8
first:  .quad 0
second: .quad 0
