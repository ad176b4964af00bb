/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where an interrupt that is already pending is taken once the CPU may take it: after the
 * instruction behind STI, behind the one after MOV SS, right behind POPF and IRET (SDM vol. 3,
 * 6.8).
 */
#include "guest.inc"
#include "irq.inc"

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    APIC_ON
    movq $taken, exc_hook+8*0x40
    movq $taken, exc_hook+8*0x50
    call sti_shadow
    call mov_ss_shadow
    call popf_and_iret
    call programs
    call priorities
    call halt
    popq %rbp
    ret

/* The interrupt's saved RIP is kept, it comes once. */
taken:
    movq F_RIP(%rdi), %rax
    movq %rax, taken_at
    movq F_VECTOR(%rdi), %rax
    movq %rax, taken_vector
    incq taken_count
    APIC_WRITE APIC_EOI, 0
    movl $1, %eax
    ret

.macro PEND
    cli
    movq $0, taken_at
    movq $0, taken_count
    SELF_IPI 0x40
.endm

.macro TAKEN_AT name, label
    cli
    CHECK_EQ "\name", taken_at, \label
    CHECK_EQ "\name (once)", taken_count, 1
.endm

    .balign 4096
shadow_back:
    nop
    jmp shadow_return
shadow_call:
    nop
    ret
    .balign 4096
    nop

sti_shadow:
    PEND
    sti
    jmp shadow_back
shadow_return:
    TAKEN_AT "STI; JMP to an earlier page: at its target", shadow_back
    PEND
    sti
    call shadow_call
    TAKEN_AT "STI; CALL of an earlier page: at its target", shadow_call
    PEND
    nop
    nop
    CHECK_EQ "nothing comes while interrupts are off", taken_count, 0
    sti
    nop
1:  nop
    TAKEN_AT "STI; NOP: behind the NOP", 1b
    PEND
    sti
    cli
    nop
    CHECK_EQ "STI; CLI: not at all", taken_count, 0
    sti
    nop
1:  nop
    TAKEN_AT "then with the next STI", 1b
    PEND
    sti
    sti
1:  nop
    nop
    TAKEN_AT "STI; STI: behind the second", 1b
    PEND
    xorl %ecx, %ecx
    sti
    incl %ecx
1:  incl %ecx
    incl %ecx
    TAKEN_AT "STI; INC: behind the first INC", 1b
    CHECK_EQ "all three were executed", %rcx, 3
    PEND
    sti
    jmp 1f
    nop
1:  nop
    TAKEN_AT "STI; JMP: at its target", 1b
    PEND
    movq $2f, %rcx
    sti
    jmp *%rcx
    nop
2:  nop
    TAKEN_AT "STI; JMP *: at its target", 2b
    PEND
    call 3f
1:  nop
    TAKEN_AT "STI; RET: at the return address", 1b
    ret
3:  sti
    ret

mov_ss_shadow:
    movl $KDATA, %ecx
    PEND
    sti
    movl %ecx, %ss
1:  nop
2:  nop
    cli
    movq taken_at, %rax
    /* One interrupt window opens behind the STI's shadow; MOV SS may extend it by one. */
    cmpq $1b, %rax
    je 3f
    cmpq $2b, %rax
3:  CHECK_IF "STI; MOV SS: behind one of the next two", e
    PEND
    pushfq
    orq $IF, (%rsp)
    movl %ecx, %ss
    popfq
1:  nop
    nop
    TAKEN_AT "MOV SS; POPF: behind the POPF", 1b
    sti
    nop
    movl $KDATA, %ecx
    movl %ecx, %ss
    FAULTS "an exception in the shadow of MOV SS", UD, 0, ud2
    cli
    ret

popf_and_iret:
    PEND
    pushq $IF+2
    popfq
1:  nop
    nop
    TAKEN_AT "POPF: right behind it", 1b
    PEND
    movq %rsp, %rbp
    pushq $KDATA
    pushq %rbp
    pushq $IF+2
    pushq $KCODE
    pushq $1f
    iretq
1:  nop
    nop
    TAKEN_AT "IRET: at its target", 1b
    PEND
    pushq $IF+2
    popfq
1:  movq %rsp, %rax
    TAKEN_AT "before, not behind, the instruction after POPF", 1b
    ret

/* The interrupt comes as soon as the program is entered. */
programs:
    movq $IF+2, user_rflags
    PEND
    PROGRAM
    nop
    nop
    END_PROGRAM "a program is entered with an interrupt pending"
    TAKEN_AT "it comes before the program's first instruction", 4b+USER
    PEND
    jmp 5f
    .code32
4:  nop
6:  int $0x80
    .code64
5:  USER_RUN "the same in compatibility mode", 0x80, 0, 6b+USER+2, 4b+USER, UCODE32
    TAKEN_AT "before its first instruction", 4b+USER
    movq $2, user_rflags
    PEND
    USER_OK "a program entered with interrupts off", nop
    CHECK_EQ "takes none", taken_count, 0
    sti
    nop
    nop
    cli
    CHECK_EQ "but the supervisor does later", taken_count, 1
    ret

/* Two vectors: the higher first; TPR (and CR8) holds back what is not above it. */
priorities:
    cli
    movq $0, taken_count
    SELF_IPI 0x40
    SELF_IPI 0x50
    sti
    nop
1:  nop
    nop
    cli
    CHECK_EQ "both came", taken_count, 2
    CHECK_EQ "the lower last", taken_vector, 0x40
    movl $4, %eax
    movq %rax, %cr8
    movl $APIC+APIC_TPR, %eax
    movl (%rax), %eax
    CHECK_EQ "CR8 is the TPR's upper half", %rax, 0x40
    movq $0, taken_count
    SELF_IPI 0x40
    sti
    nop
    nop
    CHECK_EQ "vector 0x40 waits for CR8 = 4", taken_count, 0
    xorl %eax, %eax
    movq %rax, %cr8
    nop
    nop
    cli
    CHECK_EQ "and comes when CR8 sinks", taken_count, 1
    movq %cr8, %rax
    CHECK_EQ "CR8 reads back", %rax, 0
    movl $16, %eax
    FAULTS "CR8 above 15 is #GP", GP, 0, movq %rax, %cr8
    ret

/* STI; HLT never sleeps over a pending interrupt. */
halt:
    movl $100, %ebx
    movq $0, taken_count
1:  cli
    SELF_IPI 0x40
    sti
    hlt
2:  decl %ebx
    jnz 1b
    cli
    CHECK_EQ "STI; HLT a hundred times", taken_count, 100
    CHECK_EQ "the saved RIP is behind the HLT", taken_at, 2b
    ret

    .bss
taken_at: .skip 8
taken_count: .skip 8
taken_vector: .skip 8
