/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What CPUID does not announce is not there: bits of CR4 are reserved, INVPCID is none, the APIC has
 * no x2APIC mode and no deadline (SDM vol. 3, 2.5 and 11.12.1; vol. 2, INVPCID). Meson runs it with
 * features taken away.
 */
#include "guest.inc"

    .text
    .globl guest_main

/* Jumps to 7f if the feature is there. */
.macro IF_ABSENT leaf, register, bit
    movl $\leaf, %eax
    xorl %ecx, %ecx
    cpuid
    btl $\bit, %\register
    jc 7f
.endm

.macro CR4_BIT name, bit, leaf, register, feature
    IF_ABSENT \leaf, \register, \feature
    movq %cr4, %rax
    btsq $\bit, %rax
    FAULTS "\name of CR4 is reserved", GP, 0, movq %rax, %cr4
7:
.endm

guest_main:
    pushq %rbp
    pushq %rbx
    movq %cr4, %rbp
    CR4_BIT "VME", 0, 1, edx, 1
    CR4_BIT "UMIP", 11, 7, ecx, 2
    CR4_BIT "FSGSBASE", 16, 7, ebx, 0
    CR4_BIT "PCIDE", 17, 1, ecx, 17
    CR4_BIT "OSXSAVE", 18, 1, ecx, 26
    CR4_BIT "SMEP", 20, 7, ebx, 7
    CR4_BIT "SMAP", 21, 7, ebx, 20
    CR4_BIT "PKE", 22, 7, ecx, 3
    CR4_BIT "PKS", 24, 7, ecx, 31
    movq %cr4, %rbx
    CHECK_SAME "CR4 is as before", %rbx, %rbp
    IF_ABSENT 7, ebx, 10
    movl $2, %eax
    FAULTS "INVPCID is #UD", UD, 0, invpcid descriptor, %rax
7:  IF_ABSENT 1, ecx, 21
    MSR_READ MSR_APIC_BASE
    movq %rax, %rdx
    shrq $32, %rdx
    orl $0x400, %eax
    movl $MSR_APIC_BASE, %ecx
    FAULTS "x2APIC mode is #GP", GP, 0, wrmsr
7:  IF_ABSENT 1, ecx, 24
    movl $0x6e0, %ecx
    FAULTS "RDMSR of the deadline is #GP", GP, 0, rdmsr
    xorl %eax, %eax
    xorl %edx, %edx
    FAULTS "WRMSR of the deadline is #GP", GP, 0, wrmsr
7:  popq %rbx
    popq %rbp
    ret

    .balign 16
descriptor:
    .quad 0, 0
