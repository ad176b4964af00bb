/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The performance counters of AMD's processors (APM vol. 2, 13.2): registers, RDPMC, what is
 * counted at which CPL, interrupts of overflows.
 */
#include "guest.inc"
#include "irq.inc"

#define APIC_LVT_PERF 0x340
#define SELECT0 0xc0010200 /* PerfEvtSel and PerfCtr in turn */
#define COUNT0 0xc0010201
#define SELECT1 0xc0010202
#define COUNT1 0xc0010203
#define LEGACY_SELECT0 0xc0010000
#define LEGACY_COUNT0 0xc0010004

#define EN_OS 0x420000
#define EN_USR 0x410000
#define EN_ALL 0x430000
#define INT 0x100000
#define CYCLES 0x76
#define INSNS 0xc0
#define BRANCHES 0xc2
#define MISPREDICTED 0xc3
#define CR4_PCE 0x100

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    NEED_CPUID 0x80000001, ecx, 23, "the processor has no PerfCtrExtCore"
    APIC_ON
    movq $overflow, exc_hook+8*0x50
    movq $nmi, exc_hook+8*2
    call registers
    call privilege
    call instructions
    call levels
    call unknown
    call overflows
    call cycles
    popq %rbp
    ret

registers:
    MSR_WRITE SELECT0, 0
    MSR_WRITE COUNT0, 0x123456789abcdef0
    MSR_READ COUNT0
    CHECK_EQ "a counter has 48 bits", %rax, 0x56789abcdef0
    MSR_READ LEGACY_COUNT0
    CHECK_EQ "and its old number", %rax, 0x56789abcdef0
    xorl %ecx, %ecx
    rdpmc
    shlq $32, %rdx
    orq %rdx, %rax
    CHECK_EQ "RDPMC reads it", %rax, 0x56789abcdef0
    MSR_WRITE LEGACY_SELECT0+1, -1
    MSR_READ SELECT1
    CHECK_EQ "an event select has its old number, too, and no reserved bits", %rax, 0x30fffd7ffff
    MSR_WRITE SELECT1, 0
    MSR_WRITE SELECT0+11, 7
    movl $5, %ecx
    rdpmc
    CHECK_EQ "there are six", %rax, 7
    movl $6, %ecx
    FAULTS "RDPMC of a seventh", GP, 0, rdpmc
    movl $SELECT0+12, %ecx
    FAULTS "its register", GP, 0, rdmsr
    ret

privilege:
    xorl %ecx, %ecx
    CLEAR_CR cr4, CR4_PCE
    USER_FAULTS "RDPMC in a program", GP, 0, rdpmc
    SET_CR cr4, CR4_PCE
    xorl %ecx, %ecx
    USER_OK "RDPMC in a program with CR4.PCE", rdpmc
    movl $6, %ecx
    USER_FAULTS "and of a counter that is not there", GP, 0, rdpmc
    ret

/* 2004 instructions between two RDPMC of counter `n`, with the second; 1000 of them branches. */
.macro LOOP n
    movl $\n, %ecx
    rdpmc
    movl %eax, %esi
    movl $1000, %ebx
1:  decl %ebx
    jnz 1b
    movl $\n, %ecx
    rdpmc
    subl %esi, %eax
.endm

instructions:
    MSR_WRITE COUNT0, 0
    MSR_WRITE COUNT1, 0
    MSR_WRITE SELECT0, EN_OS+INSNS
    LOOP 0
    CHECK_EQ "instructions are counted one by one", %rax, 2004
    MSR_WRITE SELECT1, EN_OS+BRANCHES
    LOOP 1
    CHECK_EQ "and so are branches", %rax, 1000
    LOOP 0
    CHECK_EQ "beside them", %rax, 2004
    movl $0, %ecx
    rdpmc
    movl %eax, %esi
    movq $words, %rdi
    movl $10, %ebx
    clc
1:  adcq $-1, (%rdi) /* flags live across the count */
    pushfq
    popq %rax
    testl $1, %ebx
    jz 2f
    call nothing
2:  leaq 8(%rdi), %rdi
    decl %ebx
    jnz 1b
    xorl %ecx, %ecx
    rdpmc
    subl %esi, %eax
    CHECK_EQ "with calls, accesses and branches that are not taken", %rax, 4+10*8+5*2+2
    MSR_WRITE SELECT1, 0
    MSR_WRITE SELECT0, 0
    LOOP 0
    CHECK_EQ "and none when it is off", %rax, 0
    ret

nothing:
    ret

levels:
    MSR_WRITE COUNT0, 0
    MSR_WRITE COUNT1, 0
    MSR_WRITE SELECT0, EN_USR+INSNS
    MSR_WRITE SELECT1, EN_OS+INSNS
    LOOP 0
    CHECK_EQ "what programs do is not what the system does", %rax, 0
    LOOP 1
    CHECK_EQ "which is counted meanwhile", %rax, 2004
    PROGRAM
    movl $3000, %ebx
1:  decl %ebx
    jnz 1b
    END_PROGRAM "a program is counted"
    MSR_READ COUNT0
    CHECK_EQ "from its first instruction to its last", %rax, 6002
    MSR_WRITE SELECT0, 0
    MSR_WRITE SELECT1, 0
    MSR_WRITE COUNT0, 0
    MSR_WRITE SELECT0, EN_ALL+BRANCHES
    PROGRAM
    movl $3000, %ebx
1:  decl %ebx
    jnz 1b
    END_PROGRAM "both together"
    movl $1000, %ebx
1:  decl %ebx
    jnz 1b
    MSR_READ COUNT0
    cmpq $4000, %rax
    CHECK_IF "are counted", ae
    MSR_WRITE SELECT0, 0
    ret

unknown:
    MSR_WRITE COUNT0, 0
    MSR_WRITE SELECT0, EN_ALL+MISPREDICTED
    LOOP 0
    CHECK_EQ "what cannot be known does not count", %rax, 0
    MSR_WRITE SELECT0, EN_OS+INSNS+0x2000000
    LOOP 0
    CHECK_EQ "nor do events of one cycle", %rax, 0
    MSR_WRITE SELECT0, 0
    ret

/* A loop that only the interrupt ends. */
.macro UNTIL_TICK
    movq $0, ticks
    sti
1:  cmpq $0, ticks
    je 1b
    cli
.endm

overflows:
    APIC_WRITE APIC_LVT_PERF, 0x50
    MSR_WRITE COUNT0, -5000
    MSR_WRITE SELECT0, EN_OS+INT+INSNS
    movl $1000, %ebx
    sti
1:  decl %ebx
    jnz 1b
    cli
    CHECK_EQ "no interrupt before the overflow", ticks, 0
    UNTIL_TICK
    CHECK_EQ "one when it comes", ticks, 1
    cmpq $1000, value
    CHECK_IF "soon after it", b
    MSR_WRITE SELECT0, 0
    MSR_WRITE COUNT0, -100
    MSR_WRITE SELECT0, EN_OS+INT+BRANCHES
    UNTIL_TICK
    CHECK_EQ "an overflow of branches", ticks, 1
    MSR_WRITE SELECT0, 0
    MSR_WRITE COUNT0, -100
    APIC_WRITE APIC_LVT_PERF, 0x400
    movq $0, ticks
    MSR_WRITE SELECT0, EN_OS+INT+INSNS
1:  cmpq $0, ticks
    je 1b
    CHECK_EQ "as an NMI", ticks, 1
    MSR_WRITE SELECT0, 0
    MSR_WRITE COUNT0, -100
    movq $0, ticks
    MSR_WRITE SELECT0, EN_OS+INSNS
    LOOP 0
    CHECK_EQ "none where it does not interrupt", ticks, 0
    MSR_READ COUNT0
    shrq $32, %rax
    CHECK_EQ "but it overflows", %rax, 0
    MSR_WRITE SELECT0, 0
    APIC_WRITE APIC_LVT_PERF, 0x10050
    MSR_WRITE COUNT0, -100
    MSR_WRITE SELECT0, EN_OS+INT+INSNS
    sti
    LOOP 0
    cli
    CHECK_EQ "none that is masked", ticks, 0
    MSR_WRITE SELECT0, 0
    ret

cycles:
    APIC_WRITE APIC_LVT_PERF, 0x50
    MSR_WRITE COUNT0, 0
    MSR_WRITE SELECT0, EN_OS+CYCLES
    movl $1000000, %ebx
1:  decl %ebx
    jnz 1b
    MSR_READ COUNT0
    cmpq $100000, %rax
    CHECK_IF "cycles are counted", ae
    MSR_WRITE SELECT0, 0
    MSR_READ COUNT0
    movq %rax, %rsi
    MSR_READ COUNT0
    CHECK_SAME "until they are not any more", %rax, %rsi
    MSR_WRITE COUNT0, -3000000
    MSR_WRITE SELECT0, EN_OS+INT+CYCLES
    UNTIL_TICK
    CHECK_EQ "their overflow interrupts", ticks, 1
    MSR_WRITE SELECT0, 0
    movq $pit, exc_hook+8*0x20
    PIC_ON 0xfe
    PIT_ON 59659 /* 50 ms */
    sti
    hlt
    cli
    MSR_WRITE COUNT0, 0
    MSR_WRITE SELECT0, EN_OS+CYCLES
    rdtsc
    shlq $32, %rdx
    orq %rdx, %rax
    movq %rax, %rdi
    sti
    hlt
    cli
    MSR_READ COUNT0
    movq %rax, %rsi
    rdtsc
    shlq $32, %rdx
    orq %rdx, %rax
    subq %rdi, %rax
    shrq $1, %rax
    cmpq %rax, %rsi
    CHECK_IF "and HLT has none", b
    MSR_WRITE SELECT0, 0
    OUT 0x21, 0xff
    ret

/* What the counter was when the interrupt came. */
overflow:
    APIC_WRITE APIC_EOI, 0
nmi:
    incq ticks
    MSR_WRITE SELECT0, 0
    MSR_READ COUNT0
    movq %rax, value
    movl $1, %eax
    ret

pit:
    OUT 0x20, 0x20
    movl $1, %eax
    ret

    .bss
ticks: .skip 8
value: .skip 8
words: .skip 128
