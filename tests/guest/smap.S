/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Supervisor-mode access prevention: pages of programs are out of the supervisor's reach unless
 * RFLAGS.AC is set (SDM vol. 3, 4.6.1), by STAC, POPF or IRET alike, and whatever else changes.
 */
#include "guest.inc"
#include "irq.inc"

#define VALUE 0x123456789abcdef

    .text
    .globl guest_main
guest_main:
    NEED_CPUID 7, ebx, 20, "no SMAP"
    pushq %rbp
    APIC_ON
    movabsq $VALUE, %rax
    movq %rax, cell
    USER_FAULTS "STAC in a program", UD, 0, stac
    USER_FAULTS "CLAC in a program", UD, 0, clac
    movq cell+USER, %rax
    CHECK_EQ "without CR4.SMAP pages of programs can be read", %rax, VALUE
    SET_CR cr4, CR4_SMAP
    call toggles
    call popf
    call interrupts
    call modes
    CLEAR_CR cr4, CR4_SMAP
    movq cell+USER, %rax
    CHECK_EQ "without CR4.SMAP again", %rax, VALUE
    popq %rbp
    ret

toggles:
    clac
    FAULTS "a read", PF, 1, movq cell+USER, %rax
    CHECK_EQ "CR2", exc_cr2, cell+USER
    FAULTS "a write", PF, 3, movq %rax, cell+USER
    FAULTS "a locked addition of nothing", PF, 3, lock addq $0, cell+USER
    FAULTS "a page of the supervisor", NOTHING, 0, movq cell, %rax
    xorl %eax, %eax
    stac
    movq cell+USER, %rax
    clac
    CHECK_EQ "a read behind STAC", %rax, VALUE
    FAULTS "a read behind CLAC", PF, 1, movq cell+USER, %rax
    stac
    incq cell+USER
    stac
    decq cell+USER
    clac
    clac
    CHECK_EQ "two writes behind STAC", cell, VALUE
    FAULTS "a write behind CLAC", PF, 3, incq cell+USER
    /* In a loop, so that the blocks are linked. */
    movl $1000, %ecx
    xorl %edx, %edx
1:  stac
    addq cell+USER, %rdx
    clac
    addq cell, %rdx
    decl %ecx
    jnz 1b
    movabsq $VALUE, %rax
    imulq $2000, %rax, %rax
    CHECK_SAME "a thousand times on and off", %rax, %rdx
    FAULTS "off at the end", PF, 1, movq cell+USER, %rax
    USER_OK "a program reads its page", movq cell+USER, %rax
    ret

popf:
    pushfq
    pushfq
    orq $AC, (%rsp)
    popfq
    xorl %eax, %eax
    movq cell+USER, %rax
    popfq
    CHECK_EQ "a read behind POPF with AC", %rax, VALUE
    FAULTS "a read behind POPF without", PF, 1, movq cell+USER, %rax
    ret

/* With AC set, RFLAGS.AC is in the frame and comes back with IRET. */
interrupts:
    movq $taken, exc_hook+8*0x40
    movq $0, taken_flags
    cli
    SELF_IPI 0x40
    xorl %eax, %eax
    sti
    stac
    movq cell+USER, %rax
    nop
    movq cell+USER, %rbx
    clac
    cli
    CHECK_EQ "STI; STAC with an interrupt pending", %rax, VALUE
    CHECK_SAME "after the interrupt", %rax, %rbx
    movq taken_flags, %rax
    andl $AC, %eax
    CHECK_EQ "AC in the frame", %rax, AC
    FAULTS "off at the end", PF, 1, movq cell+USER, %rax
    ret

taken:
    movq F_RFLAGS(%rdi), %rax
    movq %rax, taken_flags
    APIC_WRITE APIC_EOI, 0
    movl $1, %eax
    ret

/* The same code under all kinds of other state, with and without STAC, so that a translator has
 * many variants of it. In R12: bit 0 TS, bit 1 EM, bit 2 OSFXSR, bit 3 OSXSAVE. */
modes:
    movq %cr0, %r13
    movq %cr4, %r14
    xorl %ebx, %ebx
    movl $3, %r15d /* passes; each of the first two leaves STAC out twice */
1:  xorl %r12d, %r12d
2:  movl %r12d, %eax
    andl $1, %eax
    shll $3, %eax
    movl %r12d, %ecx
    andl $2, %ecx
    shll $1, %ecx
    orl %ecx, %eax
    andq $~(CR0_TS | CR0_EM), %r13
    orq %r13, %rax
    movq %rax, %cr0
    movl %r12d, %eax
    andl $4, %eax
    shll $7, %eax
    movl %r12d, %ecx
    andl $8, %ecx
    shll $15, %ecx
    orl %ecx, %eax
    movq %r14, %rdx
    andq $~(CR4_OSFXSR | CR4_OSXSAVE), %rdx
    orq %rdx, %rax
    movq %rax, %cr4
    movl %r12d, %eax
    orl $2, %eax
    cmpl %r15d, %eax
    je 3f
    call fetch
3:  incl %r12d
    cmpl $16, %r12d
    jne 2b
    decl %r15d
    jnz 1b
    movq %r14, %cr4
    movq %r13, %cr0
    CHECK_EQ "in all modes", %rbx, 44
    FAULTS "off at the end", PF, 1, movq cell+USER, %rax
    ret

/* Counts in RBX if STAC has its effect. */
fetch:
    xorl %eax, %eax
    stac
    movq cell+USER, %rax
    clac
    cmpq %rax, cell
    sete %al
    movzbl %al, %eax
    addq %rax, %rbx
    ret

    .bss
    .balign 8
cell: .skip 8
taken_flags: .skip 8
