/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SYSCALL and SYSRET for 64-bit and 32-bit programs, SYSENTER and SYSEXIT (SDM vol. 2; AMD APM
 * vol. 3 for what differs: SYSCALL in compatibility mode, SYSENTER in long mode).
 */
#include "guest.inc"

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    MSR_WRITE MSR_STAR, 0x0023001000000000
    MSR_WRITE MSR_LSTAR, entry
    MSR_WRITE MSR_CSTAR, entry32
    MSR_WRITE MSR_FMASK, 0x47701
    xorl %eax, %eax
    cpuid
    cmpl $0x756e6547, %ebx /* Genu */
    sete intel
    call system_call
    call flags
    call many
    call interleaved
    call faults
    call program32
    call sysenter
    popq %rbp
    ret

/* The system call: notes what it sees, adds 1 to RDI, returns. */
entry:
    movq %rsp, seen_rsp
    movq $scratch_stack_top, %rsp
    pushfq
    popq seen_flags
    movq %rcx, seen_rcx
    movq %r11, seen_r11
    movl %cs, %eax
    movq %rax, seen_cs
    movl %ss, %eax
    movq %rax, seen_ss
    incq %rdi
    movq seen_rsp, %rsp
    sysretq

system_call:
    movq $0x1234, %rdi
    jmp 5f
4:  syscall
7:  movl %cs, %r8d
    movl %ss, %r9d
6:  int $0x80
5:  USER_RUN "SYSCALL and SYSRET", 0x80, 0, 6b+USER+2, 4b+USER
    CHECK_EQ "RDI came back", exc_regs+F_RDI, 0x1235
    CHECK_EQ "RCX at the entry: return address", seen_rcx, 7b+USER
    CHECK_EQ "R11 at the entry: RFLAGS", seen_r11, 2
    CHECK_EQ "CS at the entry", seen_cs, KCODE
    CHECK_EQ "SS at the entry", seen_ss, KDATA
    CHECK_SAME "RSP is the program's", seen_rsp, user_rsp
    CHECK_EQ "RCX after SYSRET", exc_regs+F_RCX, 7b+USER
    CHECK_EQ "CS after SYSRET", exc_regs+F_R8, UCODE
    CHECK_EQ "SS after SYSRET", exc_regs+F_R8+8, UDATA
    CHECK_SAME "RSP after SYSRET", exc_regs+F_RSP, user_rsp
    ret

/* FMASK clears, R11 brings back. */
flags:
    movq $0xcd7, user_rflags
    jmp 5f
4:  syscall
6:  int $0x80
5:  USER_RUN "SYSCALL with all arithmetic flags and DF", 0x80, 0, 6b+USER+2, 4b+USER
    movq $2, user_rflags
    CHECK_EQ "R11 has all flags", seen_r11, 0xcd7
    movq seen_flags, %rax
    CHECK_EQ "RFLAGS at the entry is masked by FMASK", %rax, 0x8d6
    movq exc_regs+F_RFLAGS, %rax
    andq $~RF, %rax
    CHECK_EQ "SYSRET restores RFLAGS", %rax, 0xcd7
    movq $2|IF, user_rflags
    jmp 5f
4:  syscall
6:  int $0x80
5:  USER_RUN "SYSCALL with interrupts on", 0x80, 0, 6b+USER+2, 4b+USER
    movq $2, user_rflags
    movq seen_flags, %rax
    CHECK_EQ "FMASK turns interrupts off", %rax, 2
    movq exc_regs+F_RFLAGS, %rax
    andq $~RF, %rax
    CHECK_EQ "SYSRET turns them on", %rax, 2|IF
    ret

many:
    xorl %edi, %edi
    movl $10000, %ebx
    jmp 5f
4:  syscall
    decl %ebx
    jnz 4b
6:  int $0x80
5:  USER_RUN "ten thousand system calls", 0x80, 0, 6b+USER+2, 4b+USER
    CHECK_EQ "all were counted", exc_regs+F_RDI, 10000
    ret

/* System calls and exceptions in turn. */
interleaved:
    movq $step_over, exc_hook+8*UD
    xorl %edi, %edi
    movl $1000, %ebx
    jmp 5f
4:  syscall
    ud2
    subl $1, %ebx
    jnz 4b
6:  int $0x80
5:  USER_RUN "system calls and exceptions in turn", 0x80, 0, 6b+USER+2, 4b+USER
    movq $0, exc_hook+8*UD
    CHECK_EQ "system calls", exc_regs+F_RDI, 1000
    CHECK_EQ "exceptions", stepped, 1000
    ret
step_over:
    incq stepped
    addq $2, F_RIP(%rdi)
    movl $1, %eax
    ret

faults:
    USER_FAULTS "SYSRET in a program is #GP", GP, 0, sysretq
    MSR_READ MSR_EFER
    andl $~1, %eax
    movl $MSR_EFER, %ecx
    xorl %edx, %edx
    wrmsr
    USER_FAULTS "SYSCALL without EFER.SCE is #UD", UD, 0, syscall
    USER_FAULTS "SYSRET without EFER.SCE is #UD", UD, 0, sysretq
    orl $1, %eax
    movl $MSR_EFER, %ecx
    wrmsr
    movabsq $0x800000000000, %rax
    movq %rax, %rdx
    shrq $32, %rdx
    movl $MSR_LSTAR, %ecx
    FAULTS "a non-canonical LSTAR is #GP", GP, 0, wrmsr
    ret

/* A system call from compatibility mode (AMD), and a return to it (both). */
entry32:
    movq %rcx, seen_rcx
    movq %r11, seen_r11
    incl %edi
    sysretl
program32:
    cmpb $0, intel
    jne 1f
    movl $7, %edi
    jmp 5f
    .code32
4:  syscall
7:  movl %cs, %eax
6:  int $0x80
    .code64
5:  USER_RUN "SYSCALL in compatibility mode", 0x80, 0, 6b+USER+2, 4b+USER, UCODE32
    CHECK_EQ "went to CSTAR", exc_regs+F_RDI, 8
    CHECK_EQ "RCX is the return address", seen_rcx, 7b+USER
    CHECK_EQ "CS after SYSRET to compatibility mode", exc_regs+F_RAX, UCODE32
    ret
1:  USER32_FAULTS "SYSCALL in compatibility mode is #UD", UD, 0, syscall
    MSR_WRITE MSR_LSTAR, to_32
    jmp 5f
4:  syscall
    ud2
    .code32
7:  movl %cs, %eax
6:  int $0x80
    .code64
to_32:
    movq $7b+USER, %rcx
    sysretl
5:  USER_RUN "SYSRET to compatibility mode", 0x80, 0, 6b+USER+2, 4b+USER
    CHECK_EQ "CS", exc_regs+F_RAX, UCODE32
    MSR_WRITE MSR_LSTAR, entry
    ret

sysenter:
    cmpb $0, intel
    jne 1f
    USER_FAULTS "SYSENTER in 64-bit mode is #UD", UD, 0, sysenter
    USER32_FAULTS "SYSENTER in compatibility mode is #UD", UD, 0, sysenter
    FAULTS "SYSEXIT in 64-bit mode is #UD", UD, 0, sysexitq
    ret
1:  movl $0x174, %ecx
    xorl %edx, %edx
    xorl %eax, %eax
    wrmsr
    USER_FAULTS "SYSENTER with a null SYSENTER_CS is #GP", GP, 0, sysenter
    MSR_WRITE 0x174, KCODE
    MSR_WRITE 0x175, scratch_stack_top
    MSR_WRITE 0x176, enter_entry
    jmp 5f
4:  sysenter
    ud2
7:  movl %cs, %r8d
6:  int $0x80
enter_entry:
    movq %rsp, seen_rsp
    movl %cs, %eax
    movq %rax, seen_cs
    movq $7b+USER, %rdx
    movq user_rsp, %rcx
    sysexitq
5:  USER_RUN "SYSENTER and SYSEXIT", 0x80, 0, 6b+USER+2, 4b+USER
    CHECK_EQ "RSP at the entry", seen_rsp, scratch_stack_top
    CHECK_EQ "CS at the entry", seen_cs, KCODE
    /* SYSEXIT to 64-bit code takes SYSENTER_CS + 32. */
    CHECK_EQ "CS after SYSEXIT", exc_regs+F_R8, KCODE+32+3
    ret

    .bss
    .balign 16
    .skip 256
scratch_stack_top:
seen_rsp: .skip 8
seen_flags: .skip 8
seen_rcx: .skip 8
seen_r11: .skip 8
seen_cs: .skip 8
seen_ss: .skip 8
stepped: .skip 8
intel: .skip 8
