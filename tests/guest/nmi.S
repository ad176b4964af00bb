/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * NMIs: while one is handled, until IRET, the processor holds one more, whatever IF says; two that
 * arrive together are both taken (SDM vol. 3, 6.7.1).
 */
#include "guest.inc"
#include "irq.inc"

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    APIC_ON
    movq $handler, exc_hook+8*2
    cli
    movq $0, to_send
    call send
    nop
    CHECK_EQ "an NMI comes with interrupts off", count, 1
    CHECK_EQ "not inside itself", deepest, 1
    movq $0, count
    movq $1, to_send
    call send
    nop
    CHECK_EQ "another one waits for IRET", count, 2
    CHECK_EQ "and not longer", inside, 0
    CHECK_EQ "one at a time", deepest, 1
    movq $0, count
    movq $5, to_send
    call send
    nop
    CHECK_EQ "of more than one only one waits", count, 2
    movq $0, count
    movq $1, to_send
    movq $1, to_return
    call send
    nop
    CHECK_EQ "an IRET inside the handler lets it in", count, 2
    CHECK_EQ "at once", deepest, 2
    movl $KDATA, %ecx
    movq $0, count
    movl $APIC+APIC_ICR, %eax
    movl %ecx, %ss
    movl $0x4400, (%rax)
    movl $1000, %ecx
1:  decl %ecx
    jnz 1b
    CHECK_EQ "one that comes in the shadow of MOV SS", count, 1
    popq %rbp
    ret

/* To oneself, by APIC id: the shorthand for that has no NMIs. */
send:
    movl $APIC+APIC_ICR+0x10, %eax
    movl $0, (%rax)
    movl $APIC+APIC_ICR, %eax
    movl $0x4400, (%rax)
    movl (%rax), %eax
    ret

/* The first one sends to_send more. */
handler:
    incq count
    incq inside
    movq inside, %rax
    cmpq deepest, %rax
    jbe 1f
    movq %rax, deepest
1:  movq to_send, %rcx
    movq $0, to_send
    jrcxz 3f
2:  call send
    decq %rcx
    jnz 2b
    cmpq $0, to_return
    je 3f
    movq $0, to_return
    movq %rsp, %rdx
    pushq $KDATA
    pushq %rdx
    pushq $2
    pushq $KCODE
    pushq $3f
    iretq
3:  decq inside
    movl $1, %eax
    ret

    .bss
count: .skip 8
inside: .skip 8
deepest: .skip 8
to_send: .skip 8
to_return: .skip 8
