/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Timer interrupts arrive in every kind of loop, with and without memory accesses, in every mode,
 * and wake HLT. A loop that is never interrupted hangs, and the runner's time limit says so.
 */
#include "guest.inc"
#include "irq.inc"

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    APIC_ON
    PIC_ON 0xfe
    PIT_ON 2386 /* 2 ms */
    movq $tick, exc_hook+8*0x20
    call loops
    call programs
    call wake
    call rate
    OUT 0x21, 0xff
    movq $apic_tick, exc_hook+8*0x60
    call apic_timer
    call deadline_timer
    popq %rbp
    ret

/* Counts; the third tick since leave_to was set leaves the loop. */
tick:
    OUT 0x20, 0x20
    jmp count_tick
apic_tick:
    APIC_WRITE APIC_EOI, 0
count_tick:
    incq ticks
    cmpq $0, leave_to
    je 1f
    decq leave_after
    jnz 1f
    movq F_RIP(%rdi), %rax
    movq %rax, left_at
    movq leave_to, %rax
    movq %rax, F_RIP(%rdi)
    movq $0, leave_to
1:  movl $1, %eax
    ret

/* A loop at CPL 0 from here to END_LOOP, left by the third tick. */
.macro BUSY
    movq $9f, leave_to
    movq $3, leave_after
    movq %rsp, %rbp
    sti
.endm
.macro END_LOOP name
    ud2
9:  cli
    movq %rbp, %rsp
    cld
    CHECK_EQ "\name", leave_after, 0
.endm

loops:
    BUSY
1:  jmp 1b
    END_LOOP "JMP to itself"
    BUSY
1:  incq %rax
    decq %rcx
    jmp 1b
    END_LOOP "a loop on registers"
    BUSY
1:  addl $2, %eax
    orl $1, %eax
    jnz 1b
    END_LOOP "a conditional loop on registers"
    BUSY
1:  movl $1000000, %ecx
2:  loop 2b
    jmp 1b
    END_LOOP "LOOP"
    BUSY
1:  pause
    jmp 1b
    END_LOOP "PAUSE"
    BUSY
    movq $1f, %rax
1:  jmp *%rax
    END_LOOP "an indirect jump to itself"
    BUSY
1:  call 2f
    jmp 1b
2:  ret
    END_LOOP "CALL and RET"
    BUSY
    movq $2f, %rax
1:  call *%rax
    jmp 1b
2:  ret
    END_LOOP "indirect CALL and RET"
    BUSY
    movq $1f, %rax
1:  pushq %rax
    ret
    END_LOOP "PUSH and RET"
    BUSY
    call 2f
1:  subq $8, %rsp
    ret
2:  ret
    END_LOOP "RET to the same place again"
    BUSY
    movq $1f, %rax
1:  movq %rbp, %rsp
    call *%rax
    END_LOOP "indirect CALL"
    BUSY
1:  movq %rbp, %rsp
    call 1b
    END_LOOP "CALL"
    BUSY
1:  testb $1, never
    jz 1b
    END_LOOP "polling memory"
    BUSY
1:  movl $0x100000, %ecx
    movq $WORK, %rdi
    rep stosl
    jmp 1b
    END_LOOP "REP STOS"
    BUSY
1:  movl $0x800000, %ecx
    movq $WORK, %rdi
    movq $WORK, %rsi
    repe cmpsb
    jmp 1b
    END_LOOP "REPE CMPS"
    BUSY
1:  addps %xmm1, %xmm0
    jmp 1b
    END_LOOP "SSE"
    BUSY
1:  movl $APIC+APIC_TIMER_NOW, %eax
    movl (%rax), %eax
    jmp 1b
    END_LOOP "reading a device's register"
    BUSY
1:  inb $0x61, %al
    jmp 1b
    END_LOOP "reading a port"
    BUSY
1:  rdtsc
    jmp 1b
    END_LOOP "RDTSC"
    BUSY
1:  xorl %eax, %eax
    cpuid
    jmp 1b
    END_LOOP "CPUID"
    BUSY
1:  movq %cr3, %rax
    movq %rax, %cr3
    jmp 1b
    END_LOOP "MOV to CR3"
    BUSY
1:  cli
    nop
    sti
    nop
    jmp 1b
    END_LOOP "CLI and STI"
    BUSY
1:  pushfq
    cli
    popfq
    jmp 1b
    END_LOOP "CLI and POPF"
    BUSY
1:  hlt
    jmp 1b
    END_LOOP "HLT"
    movq $step_over, exc_hook+8*UD
    BUSY
1:  ud2
    jmp 1b
    END_LOOP "exceptions"
    movq $0, exc_hook+8*UD
    ret
step_over:
    addq $2, F_RIP(%rdi)
    movl $1, %eax
    ret

.macro USER_LOOP
    jmp 5f
4:
.endm
.macro END_USER_LOOP name, cs=UCODE
6:  int $0x80
    .code64
5:  movq $6b+USER, leave_to
    movq $3, leave_after
    USER_RUN "\name", 0x80, 0, 6b+USER+2, 4b+USER, \cs
.endm

programs:
    movq $IF+2, user_rflags
    MSR_WRITE MSR_STAR, 0x0023001000000000
    MSR_WRITE MSR_LSTAR, entry
    MSR_WRITE MSR_FMASK, 0x700
    USER_LOOP
    jmp 4b
    END_USER_LOOP "a program: JMP to itself"
    USER_LOOP
    addl $2, %eax
    orl $1, %eax
    jnz 4b
    END_USER_LOOP "a program: a loop on registers"
    USER_LOOP
    call 7f
    jmp 4b
7:  ret
    END_USER_LOOP "a program: CALL and RET"
    USER_LOOP
    call 8f
7:  subq $8, %rsp
    ret
8:  ret
    END_USER_LOOP "a program: RET to the same place again"
    USER_LOOP
    syscall
    jmp 4b
    END_USER_LOOP "a program: system calls"
    USER_LOOP
    .code32
    jmp 4b
    END_USER_LOOP "compatibility mode: JMP to itself", UCODE32
    USER_LOOP
    .code32
    incl %eax
    decl %ecx
    jmp 4b
    END_USER_LOOP "compatibility mode: a loop on registers", UCODE32
    USER_LOOP
    .code32
    call 7f
    jmp 4b
7:  ret
    END_USER_LOOP "compatibility mode: CALL and RET", UCODE32
    movq $2, user_rflags
    ret
entry:
    sysretq

wake:
    movq $0, ticks
    movl $20, %ebx
1:  sti
    hlt
    cli
    decl %ebx
    jnz 1b
    cmpq $20, ticks
    CHECK_IF "HLT wakes at every tick", ae
    ret

/* The time stamp counter sees about as much time as the ticks say: more than nothing. */
rate:
    rdtsc
    shlq $32, %rdx
    orq %rax, %rdx
    movq %rdx, %rbx
    movq $0, ticks
    sti
1:  hlt
    cmpq $50, ticks
    jb 1b
    cli
    rdtsc
    shlq $32, %rdx
    orq %rax, %rdx
    subq %rbx, %rdx
    cmpq $10000000, %rdx /* 100 ms are more than that at 100 MHz */
    CHECK_IF "the TSC counts while HLT sleeps", a
    ret

apic_timer:
    APIC_WRITE APIC_TIMER_DIV, 3 /* by 16 */
    APIC_WRITE APIC_LVT_TIMER, 0x60
    movq $0, ticks
    APIC_WRITE APIC_TIMER_INIT, 10000
    sti
1:  cmpq $0, ticks
    je 1b
    cli
    CHECK_EQ "local APIC timer, one shot", ticks, 1
    movl $APIC+APIC_TIMER_NOW, %eax
    movl (%rax), %eax
    CHECK_EQ "it stops at zero", %rax, 0
    APIC_WRITE APIC_LVT_TIMER, 0x20060
    movq $0, ticks
    APIC_WRITE APIC_TIMER_INIT, 100000
    sti
1:  cmpq $10, ticks
    jb 1b
    cli
    cmpq $10, ticks
    CHECK_IF "local APIC timer, periodic", ae
    movq $0, ticks
    BUSY
1:  jmp 1b
    END_LOOP "local APIC timer in a loop without memory accesses"
    sti
    hlt
    cli
    cmpq $4, ticks
    CHECK_IF "local APIC timer wakes HLT", ae
    APIC_WRITE APIC_LVT_TIMER, 0x10060
    APIC_WRITE APIC_TIMER_INIT, 0
    movl $1000, %ecx
    sti
1:  nop
    decl %ecx
    jnz 1b
    cli
    ret

deadline_timer:
    movl $1, %eax
    cpuid
    btl $24, %ecx
    jnc 9f
    APIC_WRITE APIC_LVT_TIMER, 0x40060
    mfence
    movq $0, ticks
    rdtsc
    addl $3000000, %eax
    adcl $0, %edx
    movl $0x6e0, %ecx
    wrmsr
    sti
1:  hlt
    cmpq $0, ticks
    je 1b
    cli
    CHECK_EQ "TSC deadline", ticks, 1
    MSR_READ 0x6e0
    CHECK_EQ "the deadline is disarmed", %rax, 0
    movl $1, %eax
    xorl %edx, %edx
    wrmsr
    sti
    nop
1:  cmpq $1, ticks
    je 1b
    cli
    CHECK_EQ "a deadline in the past comes at once", ticks, 2
9:  ret

    .set WORK, 0x1000000
    .bss
ticks: .skip 8
leave_to: .skip 8
leave_after: .skip 8
left_at: .skip 8
never: .skip 8
