/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Addresses that code reaches without having been there: by the steps of a loop, by displacements,
 * by accesses that are none, by registers that all are in use. An engine that checks some addresses
 * and infers others must not infer too much. Where a translator keeps its own data in front of a
 * program's low addresses, most of these lead there; for the guest it is the upper half, where a
 * program has nothing.
 */
#include "guest.inc"
#include "irq.inc"
#include "promote.inc"

    .set FORBIDDEN, -0x5fffff00
    .set PAGE, WINDOW /* a program's page */
    .set TOP, 0xfffffe000 /* the same at the end of the first 64 GB */

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    PROMOTE_SET_UP
    call alloc_page
    movq %rax, page
    MAP PAGE, page, 7
    MAP TOP, page, 7
    PROMOTE
    call steps
    call hints
    call full_registers
    popq %rbp
    ret

/* Runs `entry` twice with harmless registers, then with RDI, RCX and RSI as given: the access at
 * `at` must fault, for the address `cr2`. */
.macro ATTACK name, entry, at, rdi, rcx, rsi, cr2=FORBIDDEN
    movq $PAGE, %rdi
    movl $1, %ecx
    xorl %esi, %esi
    xorl %edx, %edx
    USER_RUN "\name: harmless", 0x80, 0, \entry\()_end+USER+2, \entry+USER
    USER_RUN "\name: harmless again", 0x80, 0, \entry\()_end+USER+2, \entry+USER
    movabsq $\rdi, %rdi
    movabsq $\rcx, %rcx
    movabsq $\rsi, %rsi
    USER_RUN "\name", PF, ANY, \at+USER, \entry+USER
    CHECK_EQ "\name: CR2", exc_cr2, \cr2
.endm

/* Loops whose address moves by a constant in each round, but not always by the same. */
steps:
    ATTACK "two jumps back", two_back, two_back, PAGE, 2, 0
    ATTACK "two jumps back, with an index", two_back_index, two_back_index, PAGE, 2, 0
    ATTACK "two jumps back, upwards", two_back_up, two_back_up, TOP, 2, 0, TOP+0x276000000
    ATTACK "PUSH", push_down, push_push, PAGE, 1, 1, -0x5ffffea0
    ret

    /* ECX = 1: one round. The second jump back makes the sum of all steps zero. */
two_back:
    movq (%rdi), %rax
    subq $0x70000000, %rdi
    subq $0x6fffff00, %rdi
    decl %ecx
    jnz two_back
    addq $0x6fffff00, %rdi
    addq $0x70000000, %rdi
    testl %edx, %edx
    jnz two_back
two_back_end:
    int $0x80

two_back_index:
    movq (%rdi, %rsi, 8), %rax
    subq $0x1bffffe0, %rsi
    decl %ecx
    jnz two_back_index
    addq $0x1bffffe0, %rsi
    testl %edx, %edx
    jnz two_back_index
two_back_index_end:
    int $0x80

two_back_up:
    movq (%rdi), %rax
    addq $0x7e000000, %rdi
    addq $0x7e000000, %rdi
    addq $0x7e000000, %rdi
    addq $0x7e000000, %rdi
    addq $0x7e000000, %rdi
    decl %ecx
    jnz two_back_up
    subq $0x7e000000, %rdi
    subq $0x7e000000, %rdi
    subq $0x7e000000, %rdi
    subq $0x7e000000, %rdi
    subq $0x7e000000, %rdi
    testl %edx, %edx
    jnz two_back_up
two_back_up_end:
    int $0x80

    /* RSP instead of RDI; the program's stack is lost. */
push_down:
    leaq 64(%rdi), %rsp
    jmp push_push
push_push:
    pushq %rax
    subq $0x70000000, %rsp
    subq $0x6fffff00-0x30, %rsp
    decl %esi
    jns push_push
    addq $0x6fffff00-0x30, %rsp
    addq $0x70000000, %rsp
    testl %edx, %edx
    jnz push_push
push_down_end:
    int $0x80

/* Instructions with a memory operand that they do not access say nothing about the next address. */
    .set STEP, 0xff00000
    .set ROUNDS, 15
    .set FAR, ROUNDS*STEP-PAGE-0x5fffff00 /* from where the loop ends to FORBIDDEN */
.macro HINT name, insn:vararg
    jmp 5f
1:
    \insn
    subq $STEP, %rdi
    decl %ecx
    jnz 1b
2:  movq FAR(%rdi), %rax
    testl %edx, %edx
    jnz 1b
3:  int $0x80
5:  xorl %edx, %edx
    movq $PAGE+STEP-FAR, %rdi
    movl $1, %ecx
    USER_RUN "\name: harmless", 0x80, 0, 3b+USER+2, 1b+USER
    movq $PAGE+STEP-FAR, %rdi
    movl $1, %ecx
    USER_RUN "\name: harmless again", 0x80, 0, 3b+USER+2, 1b+USER
    movq $PAGE, %rdi
    movl $ROUNDS, %ecx
    USER_RUN "\name", PF, ANY, 2b+USER, 1b+USER
    CHECK_EQ "\name: CR2", exc_cr2, FORBIDDEN
.endm

hints:
    HINT "PREFETCHT0", prefetcht0 (%rdi)
    HINT "PREFETCHW", prefetchw (%rdi)
    HINT "a long NOP", nopl (%rdi)
    HINT "a reserved NOP", .byte 0x0f, 0x18, 0x27
    HINT "CLDEMOTE", .byte 0x0f, 0x1c, 0x07
    HINT "BNDMOV", .byte 0x66, 0x0f, 0x1a, 0x07
    HINT "BNDCL", .byte 0xf3, 0x0f, 0x1a, 0x07
    HINT "ENDBR's space", .byte 0xf3, 0x0f, 0x1e, 0x07
    ret

/* A loop that uses all registers, two of them for addresses. */
full_registers:
    movq $PAGE, %rbx
    ATTACK "all registers in use", all_registers, all_rdi, FORBIDDEN, 1, 0
    ret

all_registers:
    cmpq (%rbx), %rbx
    testq %rax, %rcx
    testq %rdx, %rsi
    testq %rbp, %r8
    testq %r9, %r10
    testq %r11, %r12
    testq %r13, %r14
    testq %r15, %rsp
all_rdi:
    cmpq (%rdi), %rax
    decl %ecx
    jnz all_registers
    testl %edx, %edx
    jnz all_registers
all_registers_end:
    int $0x80

    .bss
    .balign 8
page: .skip 8
