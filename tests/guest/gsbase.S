/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FS and GS bases: the MSRs, selector loads, SWAPGS, RDFSBASE and its relatives, in both modes.
 */
#include "guest.inc"

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    call bases
    call swapgs_pair
    call swapgs_between
    call selectors
    call fsgsbase
    call programs
    call addresses
    popq %rbp
    ret

bases:
    movq $0x1111, words
    movq $0x2222, words+8
    MSR_WRITE MSR_FS_BASE, words
    MSR_WRITE MSR_GS_BASE, words+8
    movq %fs:0, %rax
    CHECK_EQ "through FS", %rax, 0x1111
    movq %gs:0, %rax
    CHECK_EQ "through GS", %rax, 0x2222
    movq %gs:-8, %rax
    CHECK_EQ "through GS, negative offset", %rax, 0x1111
    movl $8, %ecx
    movq %fs:(%rcx), %rax
    CHECK_EQ "through FS and a register", %rax, 0x2222
    addq $1, %fs:8
    CHECK_EQ "ADD through FS", words+8, 0x2223
    movabsq $0x7fffffff00000000, %rcx
    .byte 0x64
    leaq 16(%rcx), %rax
    addq $16, %rcx
    CHECK_SAME "LEA ignores the base", %rax, %rcx
    lock xaddq %rax, %gs:8
    pushq %fs:0
    popq %rax
    CHECK_EQ "PUSH through FS", %rax, 0x1111
    movabsq $0x3333, %rax
    movq %rax, %gs:(8)
    CHECK_EQ "MOV to GS", words+16, 0x3333
    movaps words, %xmm0
    movups %fs:(0), %xmm1
    movq %xmm1, %rax
    CHECK_EQ "MOVUPS through FS", %rax, 0x1111
    movq $called, words+0x100
    call *%fs:0x100
    CHECK_EQ "CALL through FS", %rax, 0x77
    ret
called:
    movl $0x77, %eax
    ret

swapgs_pair:
    MSR_WRITE MSR_GS_BASE, words
    MSR_WRITE MSR_KERNEL_GS_BASE, words+8
    movl $1000, %ebx
1:  swapgs
    decl %ebx
    jnz 1b
    movq %gs:0, %rax
    CHECK_EQ "a thousand times SWAPGS", %rax, 0x1111
    swapgs
    movq %gs:0, %rax
    CHECK_EQ "and once", %rax, 0x2223
    MSR_READ MSR_KERNEL_GS_BASE
    CHECK_EQ "the other base", %rax, words
    MSR_READ MSR_GS_BASE
    CHECK_EQ "this base", %rax, words+8
    swapgs
    /* in and out of a program, each with its own base */
    movq $swap_hook, exc_hook+8*0x80
    MSR_WRITE MSR_GS_BASE, words+USER
    PROGRAM
    movl $100, %ebx
1:  movq %gs:0, %rax
    int $0x80
    decl %ebx
    jnz 1b
    ud2
6:  nop
    .code64
5:  movq $4b+USER, user_rip
    movq $UCODE, user_cs
    call run_user
    movq $0, exc_hook+8*0x80
    CHECK_EQ "a hundred interrupts with SWAPGS", swaps, 100
    CHECK_EQ "a program's loads through GS", exc_regs+F_RAX, 0x1111
    ret
swap_hook:
    swapgs
    cmpq $0x2223, %gs:0
    jne 1f
    incq swaps
1:  swapgs
    movl $1, %eax
    ret

/* A selector load replaces the base; a null selector's effect differs by vendor. */
/* Two accesses at one place but for the base. */
swapgs_between:
    movq $0x3333, words+16
    MSR_WRITE MSR_GS_BASE, words
    MSR_WRITE MSR_KERNEL_GS_BASE, words+8
    movl $3, %ecx
1:  movq %gs:0, %rax
    swapgs
    movq %gs:8, %rdx
    swapgs
    decl %ecx
    jnz 1b
    CHECK_EQ "before SWAPGS", %rax, 0x1111
    CHECK_EQ "behind SWAPGS", %rdx, 0x3333
    ret

selectors:
    movq $0x00cff3001234ffff, %rax
    movq %rax, gdt+SPARE_SEL
    movl $SPARE_SEL+3, %eax
    movl %eax, %fs
    MSR_READ MSR_FS_BASE
    CHECK_EQ "loading FS loads the base of the descriptor", %rax, 0x1234
    movl %fs, %eax
    CHECK_EQ "and the selector", %rax, SPARE_SEL+3
    MSR_WRITE MSR_FS_BASE, words
    movl %fs, %eax
    CHECK_EQ "writing the MSR keeps the selector", %rax, SPARE_SEL+3
    movq %fs:0, %rax
    CHECK_EQ "and its base is used", %rax, 0x1111
    movl $SPARE_SEL+3, %eax
    movl %eax, %gs
    MSR_READ MSR_GS_BASE
    CHECK_EQ "loading GS loads the base too", %rax, 0x1234
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    ret

fsgsbase:
    movl $7, %eax
    xorl %ecx, %ecx
    cpuid
    btl $0, %ebx
    jnc 9f
    FAULTS "RDFSBASE without CR4.FSGSBASE is #UD", UD, 0, rdfsbase %rax
    USER_FAULTS "and in a program", UD, 0, wrgsbase %rax
    SET_CR cr4, CR4_FSGSBASE
    movq $words+8, %rbx
    wrfsbase %rbx
    rdfsbase %rcx
    CHECK_EQ "WRFSBASE, RDFSBASE", %rcx, words+8
    movq %fs:0, %rax
    CHECK_EQ "it counts", %rax, 0x2223
    movabsq $0x1234567880000000, %rcx
    wrgsbase %ecx
    rdgsbase %rcx
    movl $0x80000000, %ebx
    CHECK_SAME "WRGSBASE of 32 bits", %rcx, %rbx
    movq $-1, %rdx
    rdgsbase %edx
    CHECK_SAME "RDGSBASE of 32 bits", %rdx, %rbx
    movabsq $0x800000000000, %rcx
    FAULTS "WRFSBASE of a non-canonical address is #GP", GP, 0, wrfsbase %rcx
    FAULTS "WRGSBASE of a non-canonical address is #GP", GP, 0, wrgsbase %rcx
    PROGRAM
    movq $words+USER, %rcx
    wrfsbase %rcx
    addq $8, %rcx
    wrgsbase %rcx
    rdfsbase %rax
    movq %fs:0, %rdx
    movq %gs:0, %rbx
    END_PROGRAM "WRFSBASE in a program"
    CHECK_EQ "it reads back", exc_regs+F_RAX, words+USER
    CHECK_EQ "through FS", exc_regs+F_RDX, 0x1111
    CHECK_EQ "through GS", exc_regs+F_RBX, 0x2223
    MSR_READ MSR_FS_BASE
    CHECK_EQ "the supervisor sees the program's base", %rax, words+USER
    USER32_FAULTS "RDFSBASE in compatibility mode is #UD", UD, 0, .byte 0xf3, 0x0f, 0xae, 0xc0
    CLEAR_CR cr4, CR4_FSGSBASE
9:  MSR_WRITE MSR_FS_BASE, 0
    MSR_WRITE MSR_GS_BASE, 0
    ret

/* A program's base stays over interrupts and other code. */
programs:
    MSR_WRITE MSR_FS_BASE, words+USER
    movq $nothing_hook, exc_hook+8*UD
    PROGRAM
    xorl %ebx, %ebx
    movl $100, %ecx
1:  addq %fs:0, %rbx
    ud2
    decl %ecx
    jnz 1b
    END_PROGRAM "a program's FS over exceptions"
    movq $0, exc_hook+8*UD
    CHECK_EQ "sum through FS", exc_regs+F_RBX, 100*0x1111
    MSR_WRITE MSR_FS_BASE, 0
    ret
nothing_hook:
    addq $2, F_RIP(%rdi)
    movl $1, %eax
    ret

/* The sum of base and offset is what must be canonical; it wraps at 64 bits. */
addresses:
    MSR_WRITE MSR_FS_BASE, 0x00007ffffffff000
    movl $0x1000, %ecx
    FAULTS "base plus offset not canonical", GP, 0, movl %fs:(%rcx), %eax
    movq $-0x1000, %rcx
    FAULTS "base plus negative offset", PF, 0, movl %fs:(%rcx), %eax
    movabsq $0x00007fffffffe000, %rbx
    CHECK_SAME "CR2 is the linear address", exc_cr2, %rbx
    MSR_WRITE MSR_FS_BASE, 0xffffffffffffff00
    movl $words+0x100, %ecx
    movq %fs:(%rcx), %rax
    CHECK_EQ "the sum wraps", %rax, 0x1111
    MSR_WRITE MSR_FS_BASE, 0xffffffff00000000
    movq $words, %rax
    movabsq $0x100000000, %rcx
    movq %fs:(%rax, %rcx), %rdx
    CHECK_EQ "and over 4 GB", %rdx, 0x1111
    movabsq $0xffffffff00000000, %rcx
    MSR_WRITE MSR_FS_BASE, 0x100
    movl $words-0x100, %eax
    addq $-1, %rcx
    addr32 movq %fs:(%eax), %rdx
    CHECK_EQ "a 32-bit address and a base", %rdx, 0x1111
    movl $0xffffff00, %eax
    MSR_WRITE MSR_FS_BASE, words
    movl $0xffffff00, %eax
    addr32 movq %fs:0x100(%eax), %rdx
    CHECK_EQ "the 32-bit sum wraps before the base is added", %rdx, 0x1111
    MSR_WRITE MSR_FS_BASE, 0
    ret

    .bss
    .balign 16
swaps: .skip 8
    .balign 16
words: .skip 4096
