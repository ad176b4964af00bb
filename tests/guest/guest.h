/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the flat guests share (GNU as, run through cpp). A guest is start.S and one file with a
 * `guest_main`, called in 64-bit mode at CPL 0 with interrupts off; when it returns, the machine
 * exits through port 0xf4 with 0 (all checks passed) or 1.
 *
 * Linear memory: 0 - 1 GB is physical memory, for the supervisor; 1 - 2 GB (USER) the same for
 * everyone; 3 - 4 GB physical again (the local APIC); 2 - 3 GB and everything above 4 GB is free
 * for map_page. Physical memory from POOL up is free: alloc_page.
 *
 * An exception is recorded in exc_* and execution goes on at exc_resume in the kernel, whatever
 * mode it came from; without exc_resume it ends the test. A handler in exc_hook + 8 * vector is
 * called first, with the frame in RDI; if it returns nonzero in RAX it has dealt with it.
 */
#ifndef TESTS_GUEST_H
#define TESTS_GUEST_H

/* Symbols of the assembler, which unlike cpp adds no spaces to WINDOW-8. */
    .set USER, 0x40000000 /* what the supervisor sees at X a program sees at X + USER */
    .set WINDOW, 0x80000000
    .set POOL, 0x800000

#define KCODE32 0x08
#define KCODE 0x10
#define KDATA 0x18
#define UCODE32 0x23
#define UDATA 0x2b
#define UCODE 0x33
#define TSS_SEL 0x40
#define SPARE_SEL 0x50 /* sixteen descriptors that tests fill: gdt + SPARE_SEL */

#define PTE_P 1
#define PTE_W 2
#define PTE_U 4
#define PTE_A 0x20
#define PTE_D 0x40
#define PTE_PS 0x80
#define PTE_G 0x100
#define PTE_NX 0x8000000000000000

#define CR0_MP 2
#define CR0_EM 4
#define CR0_TS 8
#define CR0_NE 0x20
#define CR0_WP 0x10000
#define CR0_AM 0x40000
#define CR0_PG 0x80000000

#define CR4_TSD 4
#define CR4_DE 8
#define CR4_PAE 0x20
#define CR4_PGE 0x80
#define CR4_OSFXSR 0x200
#define CR4_OSXMMEXCPT 0x400
#define CR4_UMIP 0x800
#define CR4_FSGSBASE 0x10000
#define CR4_PCIDE 0x20000
#define CR4_OSXSAVE 0x40000
#define CR4_SMEP 0x100000
#define CR4_SMAP 0x200000

#define MSR_APIC_BASE 0x1b
#define MSR_EFER 0xc0000080
#define MSR_STAR 0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_CSTAR 0xc0000083
#define MSR_FMASK 0xc0000084
#define MSR_FS_BASE 0xc0000100
#define MSR_GS_BASE 0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102

#define CF 1
#define ZF 0x40
#define TF 0x100
#define IF 0x200
#define DF 0x400
#define AC 0x40000
#define RF 0x10000
#define NT 0x4000

#define DE 0
#define DB 1
#define BP 3
#define OF_VEC 4
#define BR 5
#define UD 6
#define NM 7
#define DF_VEC 8
#define TS 10
#define NP 11
#define SS_VEC 12
#define GP 13
#define PF 14
#define MF 16
#define AC_VEC 17
#define XM 19
#define NOTHING -1 /* "no exception" for FAULTS and friends */
#define ANY 0xfff00fff /* any error code */

/* The frame that hooks get: 15 registers, vector, error code, and what the CPU pushed. */
#define F_RAX 0
#define F_RCX 8
#define F_RDX 16
#define F_RBX 24
#define F_RBP 32
#define F_RSI 40
#define F_RDI 48
#define F_R8 56
#define F_R11 80
#define F_VECTOR 120
#define F_ERROR 128
#define F_RIP 136
#define F_CS 144
#define F_RFLAGS 152
#define F_RSP 160
#define F_SS 168

/* A 64-bit operand (not RSP) equals a constant or an address. All registers and flags stay. */
.macro CHECK_EQ name, operand, value
    pushq \operand
    call check_eq
    .quad 91f, \value
    .pushsection .rodata
91:  .asciz "\name"
    .popsection
.endm

/* Two 64-bit operands are equal. */
.macro CHECK_SAME name, operand, other
    pushq \other
    pushq \operand
    call check_same
    .quad 91f
    .pushsection .rodata
91:  .asciz "\name"
    .popsection
.endm

/* A condition holds: `CHECK_IF "name", z` right after a comparison. */
.macro CHECK_IF name, cond
    pushq $1
    j\cond 92f
    movq $0, (%rsp)
92:  call check_eq
    .quad 91f, 1
    .pushsection .rodata
91:  .asciz "\name"
    .popsection
.endm

/* The supervisor executes one instruction; it must raise this exception, at its own address, with
 * this error code (0 where the exception has none). CR2 is checked with CHECK_EQ exc_cr2. */
.macro FAULTS name, vector, error, insn:vararg
    movq $93f, exc_resume
    movq %rsp, exc_resume_rsp
    movq $-1, exc_vector
92:  \insn
93:  call check_fault
    .quad 91f, 92b
    .long \vector, \error
    .pushsection .rodata
91:  .asciz "\name"
    .popsection
.endm

/* As FAULTS, for traps, which are reported with the address of the next instruction. */
.macro TRAPS name, vector, insn:vararg
    movq $93f, exc_resume
    movq %rsp, exc_resume_rsp
    movq $-1, exc_vector
    \insn
93:  call check_fault
    .quad 91f, 93b
    .long \vector, 0
    .pushsection .rodata
91:  .asciz "\name"
    .popsection
.endm

/* The exception at `rip` that the code from `entry` (an address as a program sees it) raises in
 * the mode of the code segment `cs`. Registers go in as they are, RSP is the user stack. */
.macro USER_RUN name, vector, error, rip, entry, cs=UCODE
    movq $\entry, user_rip
    movq $\cs, user_cs
    call run_user
    call check_fault
    .quad 91f, \rip
    .long \vector, \error
    .pushsection .rodata
91:  .asciz "\name"
    .popsection
.endm

/* A program executes one instruction, which must fault. */
.macro USER_FAULTS name, vector, error, insn:vararg
    jmp 5f
4:  \insn
    int $0x80
5:  USER_RUN "\name", \vector, \error, 4b+USER, 4b+USER
.endm

/* A program executes one instruction without an exception. */
.macro USER_OK name, insn:vararg
    jmp 5f
4:  \insn
6:  int $0x80
5:  USER_RUN "\name", 0x80, 0, 6b+USER+2, 4b+USER
.endm

/* The same in compatibility mode. */
.macro USER32_FAULTS name, vector, error, insn:vararg
    jmp 5f
    .code32
4:  \insn
    int $0x80
    .code64
5:  USER_RUN "\name", \vector, \error, 4b+USER, 4b+USER, UCODE32
.endm

.macro USER32_OK name, insn:vararg
    jmp 5f
    .code32
4:  \insn
6:  int $0x80
    .code64
5:  USER_RUN "\name", 0x80, 0, 6b+USER+2, 4b+USER, UCODE32
.endm

/* A program in several instructions between PROGRAM and END_PROGRAM, which must come to its end.
 * Its registers are in exc_regs afterwards (F_RAX and so on). */
.macro PROGRAM
    jmp 5f
4:
.endm
.macro END_PROGRAM name, cs=UCODE
6:  int $0x80
    .code64
5:  USER_RUN "\name", 0x80, 0, 6b+USER+2, 4b+USER, \cs
.endm

.macro MSR_WRITE index, value
    movl $\index, %ecx
    movq $\value, %rax
    movq %rax, %rdx
    shrq $32, %rdx
    wrmsr
.endm

.macro MSR_READ index
    movl $\index, %ecx
    rdmsr
    shlq $32, %rdx
    orq %rdx, %rax
.endm

.macro SET_CR reg, bits
    movq %\reg, %rax
    orq $\bits, %rax
    movq %rax, %\reg
.endm

.macro CLEAR_CR reg, bits
    movq %\reg, %rax
    andq $~\bits, %rax
    movq %rax, %\reg
.endm

/* map_page(linear, physical, flags), then INVLPG. Clobbers what the ABI says. */
.macro MAP linear, physical, flags
    movabsq $\linear, %rdi
    movq \physical, %rsi
    movabsq $(\flags), %rdx
    call map_page
.endm

/* Skips the rest of the test with a word why: CPUID lacks it. */
.macro NEED_CPUID leaf, reg, bit, what
    movl $\leaf, %eax
    xorl %ecx, %ecx
    cpuid
    btl $\bit, %\reg
    jc 92f
    movq $91f, %rdi
    call skip_all
    .pushsection .rodata
91:  .asciz "\what"
    .popsection
92:
.endm

#endif
