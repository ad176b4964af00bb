/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * KVM's paravirtual interface (Documentation/virt/kvm/x86: cpuid.rst, msr.rst, hypercalls.rst): ends
 * of interrupts in memory, stolen time, hypercalls, the clock. What CPUID does not announce is not
 * tried.
 */
#include "guest.inc"
#include "irq.inc"

#define MSR_TSC 0x10
#define MSR_TSC_ADJUST 0x3b
#define MSR_CLOCK 0x4b564d01
#define MSR_STEAL 0x4b564d03
#define MSR_EOI 0x4b564d04
#define FEATURE_CLOCK 3
#define FEATURE_STEAL 5
#define FEATURE_EOI 6
#define FEATURE_UNHALT 7
#define FEATURE_IPI 11
#define FEATURE_YIELD 13
#define HC_KICK 5
#define HC_IPI 10
#define HC_YIELD 11
#define APIC_ISR 0x100
#define NO_MEMORY 0x70000000 /* the guest has 128 MB */
#define TOP 0x8000000

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    pushq %rbx
    APIC_ON
    movq $taken, exc_hook+8*0x40
    movq $taken, exc_hook+8*0x50
    movl $0x40000000, %eax
    cpuid
    cmpl $0x4b4d564b, %ebx
    CHECK_IF "CPUID names KVM's interface", e
    movl $0x40000001, %eax
    cpuid
    movl %eax, features
    btl $FEATURE_EOI, features
    jnc 1f
    call ends
    call ends_badly
1:  btl $FEATURE_STEAL, features
    jnc 1f
    call steal
1:  btl $FEATURE_UNHALT, features
    jnc 1f
    call unhalt
1:  btl $FEATURE_IPI, features
    jnc 1f
    call ipis
1:  btl $FEATURE_CLOCK, features
    jnc 1f
    call clock
1:  popq %rbx
    popq %rbp
    ret

/* Counts, notes the word and what is in service, and does what `answer` says: 0 leave the interrupt
 * in service, 1 EOI, 2 as Linux does: clear the bit, or else EOI. */
taken:
    incq count
    movl word, %eax
    movl %eax, seen
    movq F_VECTOR(%rdi), %rax
    movq %rax, last
    cmpq $1, answer
    je 1f
    jb 2f
    btrl $0, word
    jc 2f
    incq written
1:  APIC_WRITE APIC_EOI, 0
2:  movl $1, %eax
    ret

.macro IN_SERVICE name, vector, value
    movl $APIC+APIC_ISR+(\vector)/32*16, %eax
    movl (%rax), %eax
    shrl $(\vector)%32, %eax
    andl $1, %eax
    CHECK_EQ "\name", %rax, \value
.endm

/* What waits is taken. */
.macro LET_IN
    sti
    nop
    nop
    cli
.endm

.macro TAKE vector
    SELF_IPI \vector
    LET_IN
.endm

/* The MSR in ECX does not take this. */
.macro REFUSES name, value, high=0
    movl $\high, %edx
    movl $\value, %eax
    FAULTS "\name", GP, 0, wrmsr
.endm

ends:
    MSR_READ MSR_EOI
    CHECK_EQ "the MSR is 0 at first", %rax, 0
    MSR_WRITE MSR_EOI, word+1
    MSR_READ MSR_EOI
    CHECK_EQ "and reads back", %rax, word+1
    movq $2, answer
    TAKE 0x40
    CHECK_EQ "an interrupt comes", count, 1
    CHECK_EQ "its end may be in memory", seen, 1
    CHECK_EQ "and is", written, 0
    IN_SERVICE "nothing is in service", 0x40, 0
    TAKE 0x40
    TAKE 0x50
    TAKE 0x40
    CHECK_EQ "more come", count, 4
    CHECK_EQ "nobody wrote to EOI", written, 0

    /* Two wait: the first one taken has to be ended at the local APIC, for the second. */
    movq $0, count
    SELF_IPI 0x50
    TAKE 0x40
    CHECK_EQ "two that wait both come", count, 2
    CHECK_EQ "the first was ended by a write", written, 1
    CHECK_EQ "the lower one last", last, 0x40

    /* Left in service, a lower one waits, and its arrival takes the bit back. */
    movq $0, answer
    movq $0, count
    movl $0, word
    TAKE 0x50
    CHECK_EQ "one is left in service", word, 1
    SELF_IPI 0x40
    LET_IN
    CHECK_EQ "one of lower priority waits for its end", count, 1
    CHECK_EQ "which is now to be written", word, 0
    movq $2, answer
    APIC_WRITE APIC_EOI, 0
    LET_IN
    CHECK_EQ "and then comes", count, 2

    /* The same, ended in memory before the other one arrives. */
    movq $0, answer
    movq $0, count
    TAKE 0x50
    movq $2, answer
    btrl $0, word
    TAKE 0x40
    CHECK_EQ "after an end in memory a lower one comes", count, 2

    /* The MSR is taken back with an interrupt in service. */
    movq $0, answer
    movq $0, count
    TAKE 0x50
    MSR_WRITE MSR_EOI, 0
    CHECK_EQ "switching off takes the bit back", word, 0
    IN_SERVICE "it is in service still", 0x50, 1
    APIC_WRITE APIC_EOI, 0
    IN_SERVICE "until it is ended", 0x50, 0
    movq $1, answer
    TAKE 0x40
    CHECK_EQ "without the MSR there is no bit", seen, 0
    ret

ends_badly:
    movl $MSR_EOI, %ecx
    REFUSES "a reserved bit of the MSR is #GP", word+2
    REFUSES "an address without memory is #GP", NO_MEMORY+1
    REFUSES "the local APIC's is none", APIC+1
    REFUSES "nor is that behind all memory", TOP+1
    REFUSES "nor the last of all", -3, -1
    MSR_READ MSR_EOI
    CHECK_EQ "the MSR stays what it was", %rax, 0
    ret

steal:
    movl $MSR_STEAL, %ecx
    REFUSES "stolen time: reserved bits are #GP", record+3
    REFUSES "as is a record that is not aligned", record+0x21
    REFUSES "or without memory", NO_MEMORY+1
    REFUSES "or behind all memory", TOP+1
    REFUSES "or at the end of all", -63, -1
    MSR_WRITE MSR_STEAL, record+1
    MSR_READ MSR_STEAL
    CHECK_EQ "the MSR of stolen time reads back", %rax, record+1

    /* Half a second of HLT is nobody's theft. */
    movq $2, answer
    APIC_WRITE APIC_TIMER_DIV, 0xb
    APIC_WRITE APIC_LVT_TIMER, 0x40
    movl $10, %ebx
1:  movq $0, record+16
    APIC_WRITE APIC_TIMER_INIT, 50000000
    sti
    hlt
    cli
    CHECK_EQ "not preempted while it runs", record+16, 0
    decl %ebx
    jnz 1b
    cmpq $450000000, record
    CHECK_IF "HLT is not stolen", b
    btl $0, record+8
    CHECK_IF "the version is even", nc
    movq record, %rbx

    /* Running for as long: what it says does not sink, and the version stays even. */
    movl $10, %ebx
1:  movq record, %r12
    movq count, %r13
    APIC_WRITE APIC_TIMER_INIT, 50000000
    sti
2:  cmpq count, %r13
    je 2b
    cli
    cmpq record, %r12
    CHECK_IF "it does not sink", be
    decl %ebx
    jnz 1b
    btl $0, record+8
    CHECK_IF "the version is even behind an update", nc
    MSR_WRITE MSR_STEAL, 0
    movq record, %rbx
    APIC_WRITE APIC_TIMER_INIT, 50000000
    sti
    hlt
    cli
    CHECK_SAME "nothing is told after the MSR is 0", record, %rbx
    APIC_WRITE APIC_LVT_TIMER, 0x10000
    ret

.macro HYPERCALL number
    movl $\number, %eax
    vmcall
.endm

unhalt:
    xorl %ebx, %ebx
    xorl %ecx, %ecx
    cli
    HYPERCALL HC_KICK
    CHECK_EQ "a processor is kicked", %rax, 0
    movq $0, count
    hlt /* for good, if that is not so */
    CHECK_EQ "that ends its next HLT, with interrupts off", count, 0
    movq $-1, %rcx
    HYPERCALL HC_KICK
    CHECK_EQ "kicking one that there is not", %rax, 0
    btl $FEATURE_YIELD, features
    jnc 1f
    movl $1, %ebx
    HYPERCALL HC_YIELD
    CHECK_EQ "time for a processor that there is not", %rax, 0
    xorl %ebx, %ebx
    HYPERCALL HC_YIELD
    CHECK_EQ "time for itself", %rax, 0
1:  HYPERCALL 999
    CHECK_EQ "no such hypercall", %rax, -1000
    jmp 5f
4:  xorl %ecx, %ecx
    HYPERCALL HC_KICK
    int $0x80
5:  USER_RUN "a program's hypercall", 0x80, 0, 5b+USER, 4b+USER
    movq exc_regs+F_RAX, %rax
    CHECK_EQ "is refused", %rax, -1
    ret

/* A bitmap of APIC ids in two words, the first one's id, and an ICR. */
ipis:
    movq $1, answer
    movq $0, count
    movl $1, %ebx
    xorl %ecx, %ecx
    xorl %edx, %edx
    movl $0x50, %esi
    HYPERCALL HC_IPI
    CHECK_EQ "an IPI to one", %rax, 1
    LET_IN
    CHECK_EQ "comes", last, 0x50
    CHECK_EQ "once", count, 1
    movq $-2, %rbx
    movq $-1, %rcx
    HYPERCALL HC_IPI
    CHECK_EQ "to those that there are not", %rax, 0
    movl $1, %ebx
    xorl %ecx, %ecx
    movl $0xffffffff, %edx
    HYPERCALL HC_IPI
    CHECK_EQ "nor from the last id on", %rax, 0
    LET_IN
    CHECK_EQ "none came", count, 1
    ret

/* RAX: the clock's time, in nanoseconds, from what the guest was told. */
now:
    rdtsc
    shlq $32, %rdx
    orq %rdx, %rax
    subq page+8, %rax
    movsbl page+28, %ecx
    testl %ecx, %ecx
    js 1f
    shlq %cl, %rax
    jmp 2f
1:  negl %ecx
    shrq %cl, %rax
2:  movl page+24, %edx
    mulq %rdx
    shrdq $32, %rdx, %rax
    addq page+16, %rax
    ret

.macro GOES_ON name
    movq %rax, %rbx
    call now
    subq %rbx, %rax
    movq $5000000000, %rdx
    cmpq %rdx, %rax
    CHECK_IF "\name", b
    addq %rbx, %rax
.endm

clock:
    MSR_WRITE MSR_CLOCK, page+1
    call now
    GOES_ON "the clock goes on"
    movq %rax, %rbx
    MSR_WRITE MSR_TSC, 0
    movq %rbx, %rax
    GOES_ON "and does when the TSC is set back"
    movq %rax, %rbx
    MSR_WRITE MSR_CLOCK, page+1
    movq %rbx, %rax
    GOES_ON "and when it is asked for again then"
    movq %rax, %rbx
    MSR_WRITE MSR_TSC_ADJUST, 1000000000000
    movq %rbx, %rax
    GOES_ON "and when the TSC is moved ahead"
    MSR_WRITE MSR_CLOCK, 0
    ret

    .bss
    .balign 64
record: .skip 64
page: .skip 32
word: .skip 4
    .skip 4
seen: .skip 8
count: .skip 8
written: .skip 8
last: .skip 8
answer: .skip 8
features: .skip 8
