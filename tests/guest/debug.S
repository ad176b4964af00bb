/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Single step (TF) and breakpoint registers (SDM vol. 3, chapter 17).
 */
#include "guest.inc"

#define BS 0x4000 /* DR6 */
#define BD 0x2000

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    call registers
    call single_step
    call step_program
    call step_over
    call step_strings
    call code_breakpoints
    call data_breakpoints
    call general_detect
    popq %rbp
    ret

registers:
    movq %dr6, %rax
    movq %dr7, %rbx
    andl $0x1fff0ff0, %eax
    CHECK_EQ "DR6 after reset", %rax, 0x1fff0ff0
    CHECK_EQ "DR7 after reset", %rbx, 0x400
    movabsq $0x123456789abcdef0, %rax
    movq %rax, %dr0
    movq %rax, %dr3
    movq %dr3, %rcx
    CHECK_SAME "DR3 holds 64 bits", %rcx, %rax
    xorl %ecx, %ecx
    movq %rcx, %dr0
    movq %rcx, %dr3
    btsq $32, %rcx
    FAULTS "an upper bit of DR7 is #GP", GP, 0, movq %rcx, %dr7
    FAULTS "an upper bit of DR6 is #GP", GP, 0, movq %rcx, %dr6
    FAULTS "DR4 is DR6 without CR4.DE", NOTHING, 0, movq %db4, %rax
    SET_CR cr4, CR4_DE
    FAULTS "DR4 is #UD with CR4.DE", UD, 0, movq %db4, %rax
    FAULTS "DR5 too", UD, 0, movq %db5, %rax
    CLEAR_CR cr4, CR4_DE
    ret

/* Counts steps between POPF with TF and the POPF that clears it. */
step_hook:
    incq steps
    movq F_RIP(%rdi), %rax
    movq %rax, last_step
    cmpq $0, stop_at
    je 1f
    cmpq %rax, stop_at
    jne 1f
    andq $~TF, F_RFLAGS(%rdi)
1:  movq %dr6, %rax
    movq %rax, seen_dr6
    movl $0xffff0ff0, %eax
    movq %rax, %dr6
    movl $1, %eax
    ret

.macro STEP_UNTIL label
    movq $step_hook, exc_hook+8*DB
    movq $0, steps
    movq $\label, stop_at
    pushq $2|TF
    popfq
.endm

single_step:
    STEP_UNTIL 1f
    nop
    addl $1, %eax
    jmp 2f
    ud2
2:  pushq %rax
    popq %rax
1:  nop
    CHECK_EQ "five instructions, five steps", steps, 5
    movq seen_dr6, %rax
    andl $BS, %eax
    CHECK_EQ "DR6.BS", %rax, BS
    movl $10, %ecx
    STEP_UNTIL 1f
2:  decl %ecx
    jnz 2b
1:  nop
    CHECK_EQ "a loop of two instructions, ten times", steps, 20
    STEP_UNTIL 1f
    call 2f
    jmp 1f
2:  ret
1:  nop
    CHECK_EQ "CALL, RET and JMP", steps, 3
    movq $1f, %rax
    STEP_UNTIL 1f
    jmp *%rax
1:  nop
    CHECK_EQ "an indirect JMP", steps, 1
    /* flags in the frame are precise */
    movq $0, stop_at
    movq $0, exc_hook+8*DB
    movl $1, %eax
    movl $2, %ecx
    movq $3f, exc_resume
    movq %rsp, exc_resume_rsp
    pushq $2|TF
    popfq
    cmpl %ecx, %eax
    addl $5, %eax
3:  movq exc_regs+F_RFLAGS, %rax
    andl $0x8d5, %eax
    CHECK_EQ "flags of the instruction stepped over", %rax, 0x95
    movq exc_regs+F_RFLAGS, %rax
    andl $TF, %eax
    CHECK_EQ "TF is saved", %rax, TF
    ret

step_program:
    movq $step_hook, exc_hook+8*DB
    movq $0, steps
    movq $0, stop_at
    movq $2|TF, user_rflags
    jmp 5f
4:  nop
    nop
    nop
6:  int $0x80
5:  USER_RUN "a program with TF", 0x80, 0, 6b+USER+2, 4b+USER
    CHECK_EQ "three steps, INT is none", steps, 3
    CHECK_EQ "the last before INT", last_step, 6b+USER
    movq $0, steps
    jmp 5f
    .code32
4:  nop
    incl %eax
    nop
6:  int $0x80
    .code64
5:  USER_RUN "a 32-bit program with TF", 0x80, 0, 6b+USER+2, 4b+USER, UCODE32
    CHECK_EQ "three steps", steps, 3
    movq $2, user_rflags
    /* SYSCALL masks TF by FMASK; SYSRET brings it back. */
    MSR_WRITE MSR_STAR, 0x0023001000000000
    MSR_WRITE MSR_LSTAR, entry
    MSR_WRITE MSR_FMASK, 0x700
    movq $0, steps
    movq $2|TF, user_rflags
    jmp 5f
4:  nop
    syscall
    nop
6:  int $0x80
5:  USER_RUN "a program with TF and a system call", 0x80, 0, 6b+USER+2, 4b+USER
    cmpq $2, steps
    CHECK_IF "steps before and after it", ae
    movq $2, user_rflags
    ret
entry:
    nop
    nop
    sysretq

/* MOV SS holds the trap back by one instruction; POPF that clears TF is still stepped. */
step_over:
    movl $KDATA, %ecx
    STEP_UNTIL 1f
    movl %ecx, %ss
    nop
1:  nop
    CHECK_EQ "MOV SS and what follows are one step", steps, 1
    STEP_UNTIL 0
    nop
    pushq $2
    popfq
    nop
    nop
    CHECK_EQ "NOP, PUSH and the POPF itself", steps, 3
    ret

/* A repeated string instruction is stepped once per element. */
step_strings:
    movq $buffer, %rdi
    movl $5, %ecx
    STEP_UNTIL 1f
    rep stosb
1:  nop
    cmpq $5, steps
    CHECK_IF "REP STOSB of five bytes: five steps or more", ae
    CHECK_EQ "all are stored", %rdi, buffer+5
    ret

code_breakpoints:
    movq $0, exc_hook+8*DB
    movq $2f, %rax
    movq %rax, %dr0
    movl $0x402, %eax /* G0, execute */
    movq %rax, %dr7
    movq $3f, exc_resume
    movq %rsp, exc_resume_rsp
    movq $-1, exc_vector
    movl $1, %ebx
    nop
2:  movl $2, %ebx
3:  call check_fault
    .quad 91f, 2b
    .long DB, 0
    .pushsection .rodata
91: .asciz "a breakpoint on an instruction"
    .popsection
    CHECK_EQ "it comes before the instruction", exc_regs+F_RBX, 1
    movq %dr6, %rax
    andl $15, %eax
    CHECK_EQ "DR6.B0", %rax, 1
    /* IRET with RF goes on over it */
    movq $resume_hook, exc_hook+8*DB
    movq $0, steps
    movl $3, %ecx
1:  nop
    cmpl $1, %ecx
    call breakpoint_target
    decl %ecx
    jnz 1b
    CHECK_EQ "not where it is not", steps, 0
    movq $breakpoint_target, %rax
    movq %rax, %dr0
    movl $3, %ecx
1:  call breakpoint_target
    decl %ecx
    jnz 1b
    CHECK_EQ "three times with RF", steps, 3
    movl $0x400, %eax
    movq %rax, %dr7
    call breakpoint_target
    CHECK_EQ "not when it is off", steps, 3
    movq $0, exc_hook+8*DB
    ret
breakpoint_target:
    nop
    ret
resume_hook:
    incq steps
    orq $RF, F_RFLAGS(%rdi)
    movl $1, %eax
    ret

data_breakpoints:
    movq $buffer+16, %rax
    movq %rax, %dr1
    movl $0x00d00408, %eax /* G1, write, 4 bytes */
    movq %rax, %dr7
    movl $0xffff0ff0, %eax
    movq %rax, %dr6
    TRAPS "a write of the watched word", DB, movl $1, buffer+16
    movq %dr6, %rax
    andl $15, %eax
    CHECK_EQ "DR6.B1", %rax, 2
    FAULTS "a read is not watched", NOTHING, 0, movl buffer+16, %eax
    FAULTS "a write beside it", NOTHING, 0, movl $1, buffer+20
    TRAPS "a byte of it", DB, movb $1, buffer+19
    TRAPS "a larger write over it", DB, movups %xmm0, buffer+8
    movl $0x00f00408, %eax /* reads too */
    movq %rax, %dr7
    TRAPS "a read when reads are watched", DB, movl buffer+16, %ebx
    movl $0x400, %eax
    movq %rax, %dr7
    FAULTS "not when it is off", NOTHING, 0, movl $1, buffer+16
    ret

general_detect:
    movl $0x2400, %eax
    movq %rax, %dr7
    FAULTS "DR7.GD: an access to a debug register is #DB", DB, 0, movq %dr0, %rbx
    movq %dr6, %rax
    andl $BD, %eax
    CHECK_EQ "DR6.BD", %rax, BD
    movq %dr7, %rax
    CHECK_EQ "GD is cleared", %rax, 0x400
    ret

    .bss
steps: .skip 8
stop_at: .skip 8
last_step: .skip 8
seen_dr6: .skip 8
buffer: .skip 64
