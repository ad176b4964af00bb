/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Locked instructions: results, alignment rules, accesses across cache lines and pages.
 */
#include "guest.inc"

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    call forms
    call compare_exchange
    call pairs
    call invalid
    call split
    call programs
    popq %rbp
    ret

forms:
    movq $0x10, words
    lock addq $5, words
    CHECK_EQ "LOCK ADD", words, 0x15
    lock subl $5, words
    CHECK_EQ "LOCK SUB", words, 0x10
    lock orb $3, words
    lock andw $0xfff1, words
    lock xorl $0x100, words
    CHECK_EQ "LOCK OR, AND, XOR", words, 0x111
    stc
    lock adcq $0, words
    stc
    lock sbbl $0, words
    lock incq words
    lock decb words
    lock notl words
    lock negl words
    CHECK_EQ "LOCK ADC, SBB, INC, DEC, NOT, NEG", words, 0x112
    lock btsl $3, words
    CHECK_IF "LOCK BTS: the old bit", nc
    lock btrl $4, words
    CHECK_IF "LOCK BTR: the old bit", c
    lock btcl $5, words
    CHECK_EQ "LOCK BTS, BTR, BTC", words, 0x12a
    movl $67, %eax
    movq $0, words+8
    lock btsq %rax, words
    CHECK_EQ "LOCK BTS with a bit offset beyond the operand", words+8, 8
    movl $7, %eax
    lock xaddl %eax, words
    CHECK_EQ "LOCK XADD: sum", words, 0x131
    CHECK_EQ "LOCK XADD: old value", %rax, 0x12a
    movl $9, %eax
    xchgl %eax, words
    CHECK_EQ "XCHG: old value", %rax, 0x131
    CHECK_EQ "XCHG: new value", words, 9
    movb $1, %ah
    lock xaddb %ah, words
    movzbl %ah, %ecx
    CHECK_EQ "LOCK XADD with AH", %rcx, 9
    movl $1000, %ecx
    movq $0, words
1:  lock incq words
    decl %ecx
    jnz 1b
    CHECK_EQ "a thousand times LOCK INC", words, 1000
    ret

compare_exchange:
    movl $5, words
    movl $5, %eax
    movl $6, %ecx
    lock cmpxchgl %ecx, words
    CHECK_IF "CMPXCHG that succeeds", e
    CHECK_EQ "stores", words, 6
    movl $5, %eax
    lock cmpxchgl %ecx, words
    CHECK_IF "CMPXCHG that fails", ne
    CHECK_EQ "loads", %rax, 6
    movabsq $0x1122334455667788, %rax
    movl $0x55667788, words
    movl $0, words+4
    movl $1, %ecx
    cmpxchgl %ecx, words
    movl words, %ecx
    CHECK_EQ "32 bits compared", %rcx, 1
    movq $-1, %rax
    movl $2, words
    cmpxchgl %ecx, words
    CHECK_EQ "a failing 32-bit CMPXCHG clears the upper half", %rax, 2
    movb $3, words
    movl $0xff03, %eax
    cmpxchgb %cl, words
    CHECK_IF "8 bits", e
    movl $7, %eax
    movl $7, %ecx
    cmpxchgl %edx, %ecx
    CHECK_IF "of a register", e
    CHECK_SAME "it is loaded", %rcx, %rdx
    ret

pairs:
    movq $0x0000000200000001, %rbx
    movabsq $0x0000000200000001, %rax
    movq %rax, words
    movl $1, %eax
    movl $2, %edx
    movl $3, %ebx
    movl $4, %ecx
    lock cmpxchg8b words
    CHECK_IF "CMPXCHG8B that succeeds", e
    CHECK_EQ "stores ECX:EBX", words, 0x0000000400000003
    lock cmpxchg8b words
    CHECK_IF "CMPXCHG8B that fails", ne
    CHECK_EQ "loads EAX", %rax, 3
    CHECK_EQ "and EDX", %rdx, 4
    FAULTS "CMPXCHG8B may be misaligned", NOTHING, 0, cmpxchg8b words+1
    movl $1, %eax
    cpuid
    btl $13, %ecx
    jnc 9f
    movq $10, words
    movq $20, words+8
    movl $10, %eax
    movl $20, %edx
    movl $30, %ebx
    movl $40, %ecx
    lock cmpxchg16b words
    CHECK_IF "CMPXCHG16B that succeeds", e
    CHECK_EQ "the lower half", words, 30
    CHECK_EQ "the upper half", words+8, 40
    cmpxchg16b words
    CHECK_IF "CMPXCHG16B that fails", ne
    CHECK_EQ "loads RDX", %rdx, 40
    FAULTS "CMPXCHG16B misaligned is #GP", GP, 0, cmpxchg16b words+8
    USER_FAULTS "in a program too", GP, 0, lock cmpxchg16b words+8+USER
9:  ret

invalid:
    FAULTS "LOCK MOV is #UD", UD, 0, .byte 0xf0, 0x89, 0x04, 0x25, 0, 0, 0x60, 0
    FAULTS "LOCK CMP is #UD", UD, 0, .byte 0xf0, 0x39, 0x04, 0x25, 0, 0, 0x60, 0
    FAULTS "LOCK ADD from memory is #UD", UD, 0, .byte 0xf0, 0x03, 0x04, 0x25, 0, 0, 0x60, 0
    FAULTS "LOCK BT is #UD", UD, 0, .byte 0xf0, 0x0f, 0xba, 0x24, 0x25, 0, 0, 0x20, 0, 1
    FAULTS "LOCK XCHG of registers is #UD", UD, 0, .byte 0xf0, 0x87, 0xc1
    FAULTS "LOCK SHL is #UD", UD, 0, .byte 0xf0, 0xd1, 0x24, 0x25, 0, 0, 0x20, 0
    FAULTS "LOCK XCHG of memory", NOTHING, 0, lock xchgl %eax, words
    movq $words, %rsi
    movq $words, %rdi
    FAULTS "LOCK MOVS is #UD", UD, 0, .byte 0xf0, 0xa4
    movq %rsp, %rbp
    FAULTS "LOCK PUSH is #UD", UD, 0, .byte 0xf0, 0x50
    movq %rbp, %rsp
    ret

/* Across a cache line, across two pages that lie apart in physical memory. */
split:
    movq $0, lines+60
    movl $100, %ecx
1:  lock addq $3, lines+60
    decl %ecx
    jnz 1b
    CHECK_EQ "LOCK ADD across a cache line", lines+60, 300
    call alloc_page
    movq %rax, page1
    call alloc_page
    call alloc_page
    movq %rax, page2
    MAP WINDOW, page1, 7
    MAP WINDOW+0x1000, page2, 7
    movq $WINDOW+0xffc, %rbx
    movabsq $0x00000001ffffffff, %rax
    movq %rax, (%rbx)
    lock incq (%rbx)
    movq page1, %rcx
    movl 0xffc(%rcx), %eax
    CHECK_EQ "LOCK INC across two pages: lower part", %rax, 0
    movq page2, %rcx
    movl (%rcx), %eax
    CHECK_EQ "upper part", %rax, 2
    movl $9, %eax
    lock xaddq %rax, (%rbx)
    movabsq $0x200000000, %rcx
    CHECK_SAME "LOCK XADD across two pages", %rax, %rcx
    movabsq $0x200000009, %rax
    movq $-2, %rcx
    lock cmpxchgq %rcx, (%rbx)
    CHECK_IF "LOCK CMPXCHG across two pages", e
    CHECK_EQ "its value", (%rbx), -2
    MAP WINDOW+0x1000, page2, 5
    USER_FAULTS "into a read-only page", PF, 7, lock incq (%rbx)
    movq page1, %rcx
    movl 0xffc(%rcx), %eax
    movl $-2, %ecx
    CHECK_SAME "nothing was written", %rax, %rcx
    MAP WINDOW+0x1000, page2, 0
    USER_FAULTS "into a missing page", PF, 6, lock incq (%rbx)
    ret

programs:
    movq $0, words
    PROGRAM
    movl $1000, %ecx
1:  lock incq words+USER
    decl %ecx
    jnz 1b
    END_PROGRAM "LOCK INC in a program"
    CHECK_EQ "a thousand", words, 1000
    jmp 5f
    .code32
4:  movl $1000, %ecx
1:  lock incl words+USER
    decl %ecx
    jnz 1b
    movl $2000, %eax
    xorl %edx, %edx
    movl $7, %ebx
    movl $8, %ecx
    lock cmpxchg8b words+USER
6:  int $0x80
    .code64
5:  USER_RUN "LOCK INC and CMPXCHG8B in a 32-bit program", 0x80, 0, 6b+USER+2, 4b+USER, UCODE32
    CHECK_EQ "both worked", words, 0x0000000800000007
    ret

    .bss
    .balign 4096
words: .skip 64
lines: .skip 256
page1: .skip 8
page2: .skip 8
