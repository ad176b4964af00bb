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
    call small_indexes
    call hints
    call full_registers
    call narrow
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
    ATTACK "another base in the next round", new_base, new_base, PAGE, 2, FORBIDDEN
    ATTACK "another base in a later round", later_base, later_base, PAGE, 7, FORBIDDEN
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

new_base:
    movq (%rdi), %rax
    movq %rsi, %rdi
    decl %ecx
    jnz new_base
new_base_end:
    int $0x80

later_base:
    movq (%rdi), %rax
    cmpl $2, %ecx
    cmoveq %rsi, %rdi
    decl %ecx
    jnz later_base
later_base_end:
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

/* An index that is known to be of 32 bits reaches 32 GB; less than a register may hold. What is
 * harmless has RCX = 1. */
    .set SMALL_STEP, (PAGE+0x5fffff00)/64
small_indexes:
    ATTACK "a 32-bit index", index_up, index_up_at, PAGE, -1, 0, PAGE+0x7fffffff8
    ATTACK "a 32-bit index at the top", index_up, index_up_at, TOP, -1, 0, TOP+0x7fffffff8
    ATTACK "a 32-bit index alone", index_alone, index_alone_at, PAGE, -1, 0, 0x87ffffff0
    ATTACK "a 32-bit base of a pointer", index_base, index_base_at, PAGE, -1, 0, PAGE+0xffffffff
    ATTACK "a signed index", index_both, index_both_at, PAGE, (FORBIDDEN-PAGE)/8, 0
    ATTACK "a signed index, far down", index_both, index_both_at, PAGE, -0x80000000, 0, \
        PAGE-0x400000000
    ATTACK "a shifted index", index_shift, index_shift_at, PAGE, -1, 0, PAGE+0x7fffffff80
    ATTACK "a jump over what makes it small", index_jump, index_jump_at, PAGE, FORBIDDEN-PAGE, 1
    ATTACK "a base goes down, its index up", down_up, down_up_at, PAGE, 64, 1
    ret

index_up:
    decl %ecx
    movq (%rdi), %rax
    cmpl $-2, %ecx
    jne 1f
    incl %ecx
index_up_at:
    movq (%rdi, %rcx, 8), %rax
1:
index_up_end:
    int $0x80

index_alone:
    decl %ecx
    cmpl $-2, %ecx
    jne 1f
    incl %ecx
index_alone_at:
    movq 0x7ffffff8(, %rcx, 8), %rax
1:
index_alone_end:
    int $0x80

index_base:
    decl %ecx
    movq (%rdi), %rax
    cmpl $-2, %ecx
    jne 1f
    incl %ecx
index_base_at:
    movb (%rcx, %rdi), %al
1:
index_base_end:
    int $0x80

index_both:
    movq (%rdi), %rax
    movslq %ecx, %rcx
index_both_at:
    cmpq %rax, (%rdi, %rcx, 8)
index_both_end:
    int $0x80

index_shift:
    decl %ecx
    movq (%rdi), %rax
    cmpl $-2, %ecx
    jne 1f
    incl %ecx
    shlq $4, %rcx
index_shift_at:
    movq (%rdi, %rcx, 8), %rax
1:
index_shift_end:
    int $0x80

index_jump:
    movq (%rdi), %rax
    decq %rcx
    testl %esi, %esi
    jnz index_jump_at
    movl %ecx, %ecx
index_jump_at:
    cmpb %al, 1(%rdi, %rcx)
index_jump_end:
    int $0x80

    /* The base leaves the program's memory in steps that the index makes up for. */
down_up:
    xorl %eax, %eax
    jmp 1f
1:  movl %eax, %r8d
    cmpl (%rdi, %r8, 4), %ebx
    subq $SMALL_STEP, %rdi
    addl $SMALL_STEP/4, %eax
    decl %ecx
    jnz 1b
    testl %esi, %esi
    jz down_up_end
down_up_at:
    cmpl (%rdi), %ebx
down_up_end:
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

/* Addresses of 32-bit programs go around at 4 GB. */
narrow:
    movl $0x100, %ebx
    movl $-0x60000000, %esi
    USER32_OK "a 32-bit program", cmpl %eax, 0x40800000(%ebx)
    USER32_OK "a 32-bit program again", cmpl %eax, 0x40800000(%ebx)
    USER32_FAULTS "below 0", PF, ANY, cmpl %eax, -0x200(%ebx)
    CHECK_EQ "below 0: CR2", exc_cr2, 0xffffff00
    USER32_FAULTS "far below 0", PF, ANY, movl -0x60000000(%ebx), %eax
    CHECK_EQ "far below 0: CR2", exc_cr2, 0xa0000100
    USER32_FAULTS "an index below 0", PF, ANY, addl %eax, (%ebx, %esi)
    CHECK_EQ "an index below 0: CR2", exc_cr2, 0xa0000100
    USER32_FAULTS "beyond 4 GB", PF, ANY, movl -0x3fffff00(%esi, %esi, 2), %eax
    CHECK_EQ "beyond 4 GB: CR2", exc_cr2, 0xa0000100
    USER32_FAULTS "PUSH below 0", PF, ANY, pushl -0x60000000(%ebx)
    CHECK_EQ "PUSH below 0: CR2", exc_cr2, 0xa0000100
    USER32_FAULTS "an address alone", PF, ANY, movl %eax, 0xa0000100
    CHECK_EQ "an address alone: CR2", exc_cr2, 0xa0000100
    USER32_FAULTS "the accumulator's", PF, ANY, .byte 0xa1, 0, 1, 0, 0xa0
    CHECK_EQ "the accumulator's: CR2", exc_cr2, 0xa0000100
    ret

    .bss
    .balign 8
page: .skip 8
