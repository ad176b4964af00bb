/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Control registers and model-specific registers: what reads back, what is #GP, what a program may
 * not touch (SDM vol. 3, 2.5 and chapter 2 of vol. 4).
 */
#include "guest.inc"

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    call control_registers
    call privileged
    call efer
    call addresses
    call unknown
    call others
    call umip
    call leave_long_mode
    popq %rbp
    ret

control_registers:
    movq %cr0, %rax
    movq %rax, %rbx
    CHECK_EQ "CR0", %rax, 0x80010033
    movq %rbx, %rax
    btsq $32, %rax
    FAULTS "a reserved upper bit of CR0 is #GP", GP, 0, movq %rax, %cr0
    movq %rbx, %rax
    orq $0x20000000, %rax
    FAULTS "NW without CD is #GP", GP, 0, movq %rax, %cr0
    movq %rbx, %rax
    orq $0x40000000, %rax
    FAULTS "CD may be set", NOTHING, 0, movq %rax, %cr0
    movq %rbx, %cr0
    movq %cr4, %rbx
    movq %rbx, %rax
    andq $~CR4_PAE, %rax
    FAULTS "clearing CR4.PAE in long mode is #GP", GP, 0, movq %rax, %cr4
    movq %rbx, %rax
    btsq $31, %rax
    FAULTS "a reserved bit of CR4 is #GP", GP, 0, movq %rax, %cr4
    movq %rbx, %rax
    btsq $40, %rax
    FAULTS "a reserved upper bit of CR4 is #GP", GP, 0, movq %rax, %cr4
    movq %cr4, %rax
    CHECK_SAME "CR4 is as before", %rax, %rbx
    movabsq $0x123456789abcdef0, %rax
    movq %rax, %cr2
    movq %cr2, %rcx
    CHECK_SAME "CR2 holds 64 bits", %rcx, %rax
    movq %cr3, %rbx
    movabsq $0x4000000000000000, %rax
    orq %rbx, %rax
    FAULTS "a reserved upper bit of CR3 is #GP", GP, 0, movq %rax, %cr3
    movl $0x80010033, %eax
    lmsw %ax
    smsw %rcx
    CHECK_EQ "SMSW", %rcx, 0x80010033
    movl $CR0_TS+0x33, %eax
    lmsw %ax
    movq %cr0, %rcx
    andl $CR0_TS, %ecx
    CHECK_EQ "LMSW sets TS", %rcx, CR0_TS
    movl $0x32, %eax
    lmsw %ax
    movq %cr0, %rcx
    andl $CR0_TS+1, %ecx
    CHECK_EQ "LMSW clears TS but not PE", %rcx, 1
    movq $0x80010033, %rcx
    movl %ecx, %ecx
    movq %rcx, %cr0
    ret

privileged:
    USER_FAULTS "MOV from CR0", GP, 0, movq %cr0, %rax
    USER_FAULTS "MOV to CR3", GP, 0, movq %rax, %cr3
    USER_FAULTS "MOV to CR4", GP, 0, movq %rax, %cr4
    USER_FAULTS "MOV from CR8", GP, 0, movq %cr8, %rax
    USER_FAULTS "MOV from DR0", GP, 0, movq %db0, %rax
    USER_FAULTS "RDMSR", GP, 0, rdmsr
    USER_FAULTS "WRMSR", GP, 0, wrmsr
    USER_FAULTS "LGDT", GP, 0, lgdt gdt_pointer
    USER_FAULTS "LIDT", GP, 0, lidt idt_pointer
    USER_FAULTS "LLDT", GP, 0, lldt %ax
    USER_FAULTS "LTR", GP, 0, ltr %ax
    USER_FAULTS "LMSW", GP, 0, lmsw %ax
    USER_FAULTS "CLTS", GP, 0, clts
    USER_FAULTS "HLT", GP, 0, hlt
    USER_FAULTS "INVD", GP, 0, invd
    USER_FAULTS "WBINVD", GP, 0, wbinvd
    USER_FAULTS "SWAPGS", GP, 0, swapgs
    USER32_FAULTS "HLT in compatibility mode", GP, 0, hlt
    USER32_FAULTS "MOV from CR0 in compatibility mode", GP, 0, movl %cr0, %eax
    USER_OK "SMSW without UMIP", smsw %rax
    CHECK_EQ "it shows CR0", exc_regs+F_RAX, 0x80010033
    FAULTS "WBINVD in the supervisor", NOTHING, 0, wbinvd
    ret

efer:
    MSR_READ MSR_EFER
    CHECK_EQ "EFER: NXE, LMA, LME, SCE", %rax, 0xd01
    movl $0xd01, %eax
    btsl $9, %eax
    xorl %edx, %edx
    movl $MSR_EFER, %ecx
    FAULTS "a reserved bit of EFER is #GP", GP, 0, wrmsr
    movl $0xc01, %eax
    FAULTS "clearing LME while paging is on is #GP", GP, 0, wrmsr
    movl $0x901, %eax
    FAULTS "LMA is read-only and ignored", NOTHING, 0, wrmsr
    MSR_READ MSR_EFER
    CHECK_EQ "LMA is still set", %rax, 0xd01
    ret

.macro HOLDS name, index, value
    MSR_WRITE \index, \value
    MSR_READ \index
    movq $\value, %rbx
    CHECK_SAME "\name reads back", %rax, %rbx
.endm
.macro BAD_MSR name, index, value
    movq $\value, %rax
    movq %rax, %rdx
    shrq $32, %rdx
    movl $\index, %ecx
    FAULTS "\name", GP, 0, wrmsr
.endm

addresses:
    HOLDS "STAR", MSR_STAR, 0x1122334455667788
    HOLDS "LSTAR", MSR_LSTAR, 0xffffffff81234567
    HOLDS "CSTAR", MSR_CSTAR, 0xffffffff81234567
    HOLDS "FMASK", MSR_FMASK, 0x47700
    HOLDS "FS base", MSR_FS_BASE, 0x00007fffffffffff
    HOLDS "GS base", MSR_GS_BASE, 0xffff800000000000
    HOLDS "kernel GS base", MSR_KERNEL_GS_BASE, 0xffffffff80000000
    BAD_MSR "a non-canonical FS base is #GP", MSR_FS_BASE, 0x0000800000000000
    BAD_MSR "a non-canonical GS base is #GP", MSR_GS_BASE, 0x8000000000000000
    BAD_MSR "a non-canonical kernel GS base is #GP", MSR_KERNEL_GS_BASE, 0xffff7fffffffffff
    BAD_MSR "a non-canonical LSTAR is #GP", MSR_LSTAR, 0x0000800000000000
    BAD_MSR "a non-canonical CSTAR is #GP", MSR_CSTAR, 0x0000800000000000
    MSR_READ MSR_FS_BASE
    movabsq $0x00007fffffffffff, %rbx
    CHECK_SAME "a refused write changes nothing", %rax, %rbx
    MSR_WRITE MSR_FS_BASE, 0
    MSR_WRITE MSR_GS_BASE, 0
    ret

/* WRMSR takes ECX and the lower halves of RDX and RAX only; RDMSR clears the upper. */
unknown:
    movl $0x0badcafe, %ecx
    FAULTS "RDMSR of an unknown MSR is #GP", GP, 0, rdmsr
    FAULTS "WRMSR of an unknown MSR is #GP", GP, 0, wrmsr
    movl $0xc0001fff, %ecx
    FAULTS "RDMSR of another unknown MSR is #GP", GP, 0, rdmsr
    movabsq $0x1234567800000000+MSR_FMASK, %rcx
    movabsq $0xdeadbeef00047700, %rax
    movabsq $0xdeadbeef00000000, %rdx
    FAULTS "WRMSR ignores upper halves", NOTHING, 0, wrmsr
    movabsq $-1, %rax
    movabsq $-1, %rdx
    rdmsr
    CHECK_EQ "RDMSR clears the upper half of RAX", %rax, 0x47700
    CHECK_EQ "and of RDX", %rdx, 0
    ret

others:
    MSR_READ MSR_APIC_BASE
    movl $0xfee00900, %ebx
    CHECK_SAME "APIC base: enabled, first CPU", %rax, %rbx
    movl $0x277, %ecx
    rdmsr
    movl %eax, %ebx
    CHECK_EQ "PAT after reset", %rbx, 0x00070406
    movl $0x02020202, %eax
    movl $0x277, %ecx
    FAULTS "a reserved PAT type is #GP", GP, 0, wrmsr
    movl $0x10, %ecx
    FAULTS "the TSC as an MSR", NOTHING, 0, rdmsr
    movl $0xfe, %ecx
    FAULTS "MTRR capabilities", NOTHING, 0, rdmsr
    ret

umip:
    movl $7, %eax
    xorl %ecx, %ecx
    cpuid
    btl $2, %ecx
    jnc 9f
    movq $scratch+USER, %rbx
    USER_OK "SGDT without UMIP", sgdt (%rbx)
    CHECK_EQ "it shows the GDT", scratch+2, gdt
    SET_CR cr4, CR4_UMIP
    USER_FAULTS "SGDT with UMIP", GP, 0, sgdt (%rbx)
    USER_FAULTS "SIDT with UMIP", GP, 0, sidt (%rbx)
    USER_FAULTS "SLDT with UMIP", GP, 0, sldt %eax
    USER_FAULTS "STR with UMIP", GP, 0, str %eax
    USER_FAULTS "SMSW with UMIP", GP, 0, smsw %eax
    USER32_FAULTS "SMSW with UMIP in compatibility mode", GP, 0, smsw %eax
    FAULTS "the supervisor may", NOTHING, 0, sgdt scratch
    str %eax
    CHECK_EQ "STR", %rax, TSS_SEL
    sldt %eax
    CHECK_EQ "SLDT", %rax, 0
    sidt scratch
    CHECK_EQ "SIDT", scratch+2, idt
    movzwl scratch, %eax
    CHECK_EQ "its limit", %rax, 4095
    CLEAR_CR cr4, CR4_UMIP
9:  ret

/* At the end: TCG does as it is told. */
leave_long_mode:
    movq %cr0, %rax
    andq $~1, %rax
    FAULTS "PG without PE is #GP", GP, 0, movq %rax, %cr0
    movq %cr0, %rax
    btrq $31, %rax
    FAULTS "clearing PG in 64-bit mode is #GP", GP, 0, movq %rax, %cr0
    ret

    .bss
    .balign 16
scratch: .skip 64
