/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The gate of address bit 20, in real mode, where addresses wrap at 1 MB while it masks: by port 92
 * and by the keyboard controller's commands.
 */
#include "guest.inc"
#include "real.inc"

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    call set_up_real
    movl 0x100700, %ebx /* of this guest's code */
    movl $0x11111111, 0x700
    movq $OFF(rm_a20), %rdi
    call run_real
    CHECK16 "the gate passes at first: not what is at 00700", first, 0
    CHECK16 "port 92 masks: 100700 is 00700", masked92, 1
    CHECK16 "a store there is seen here", stored92, 1
    CHECK16 "port 92 lets it pass again", passed92, 1
    CHECK16 "the keyboard controller masks", masked_kbd, 1
    CHECK16 "and lets it pass again", passed_kbd, 1
    movl 0x100700, %eax
    CHECK_SAME "what is at 100700 is as it was", %rax, %rbx
    movl 0x700, %eax
    CHECK_EQ "what is at 00700 was changed", %rax, 0x22222222
    popq %rbp
    ret

    REAL
rm_a20:
    pushw %ds
    movw $0xffff, %ax
    movw %ax, %es /* ffff:0710 is 100700 */
    xorw %ax, %ax
    movw %ax, %fs
    call same
    movw %ax, OFF(first)
    inb $0x92, %al
    movb %al, %cl
    andb $0xfc, %al
    outb %al, $0x92
    call same
    movw %ax, OFF(masked92)
    movl $0x22222222, %es:0x710
    call same
    movw %ax, OFF(stored92)
    movb %cl, %al
    andb $0xfe, %al
    orb $2, %al
    outb %al, $0x92
    call same
    xorw $1, %ax
    movw %ax, OFF(passed92)
    movb $0xdd, %al
    outb %al, $0x64
    call same
    movw %ax, OFF(masked_kbd)
    movb $0xdf, %al
    outb %al, $0x64
    call same
    xorw $1, %ax
    movw %ax, OFF(passed_kbd)
    popw %ds
    ret
/* AX = 1: the two places show the same, of numbers that only one of them has */
same:
    movl %fs:0x700, %edx
    xorw %ax, %ax
    cmpl %es:0x710, %edx
    jne 1f
    incw %ax
1:  ret
    .balign 2
first: .word 9
masked92: .word 9
stored92: .word 9
passed92: .word 9
masked_kbd: .word 9
passed_kbd: .word 9
real_end:
    END_REAL
