/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The x87's pointers to its last instruction and operand (SDM vol. 1, 8.1.8 and 8.1.9): the guest's
 * own, in every format that shows them, across loads, reset and exceptions. Where CPUID says
 * FDP_EXCPTN_ONLY only exceptions change the data pointer.
 */
#include "guest.inc"

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    call instruction
    call other_page
    call flushed
    call environment
    call loads
    call exception
    call xsaved
    popq %rbp
    ret

instruction:
    fninit
    fxsave64 area
    CHECK_EQ "FNINIT clears FIP", area+8, 0
    CHECK_EQ "FNINIT clears FDP", area+16, 0
1:  fld1
    fxsave64 area
    CHECK_EQ "FIP after FLD1", area+8, 1b
2:  faddl value
    fnstcw word
    fnstsw word
    nop
    movq value, %rax
    fxsave64 area
    CHECK_EQ "control instructions leave FIP alone", area+8, 2b
    fxsave area
    movl area+8, %eax
    CHECK_EQ "FXSAVE: FIP", %rax, 2b
    movl area+20, %eax
    CHECK_EQ "FXSAVE: FDS and what is behind it", %rax, 0
3:  fstpl result
    CHECK_EQ "the sum", result, 0x4000000000000000
    fxsave64 area
    CHECK_EQ "FIP after a store", area+8, 3b
    ret

/* The pointer stays while other code of the x87's does not run. */
other_page:
    call far_one
    movl $1000, %ecx
1:  call far_two
    loop 1b
    fxsave64 area
    CHECK_EQ "FIP in another page", area+8, far_fld
    ret

/* The page with the instruction is mapped elsewhere, and nowhere, when the state is saved. */
flushed:
    movq $WINDOW, %rdi
    movq $far_one, %rsi
    andq $-4096, %rsi
    movl $PTE_P, %edx
    call map_page
    movq $WINDOW, %rax
    movq $far_one, %rcx
    andl $4095, %ecx
    addq %rcx, %rax
    call *%rax
    movq $WINDOW, %rdi
    xorl %esi, %esi
    xorl %edx, %edx
    call map_page
    movq $WINDOW, %rax
    invlpg (%rax)
    movq %cr3, %rax
    movq %rax, %cr3
    fxsave64 area
    movq $WINDOW, %rbx
    movq $far_fld, %rcx
    andl $4095, %ecx
    addq %rcx, %rbx
    CHECK_SAME "FIP in a page that is gone", area+8, %rbx
    ret

    .balign 4096
    ret
far_one:
    nop
far_fld:
    fldpi
    ret
    .balign 4096
far_two:
    ret
    .balign 64

environment:
    fninit
1:  fld1
    fnstenv area
    movl area+12, %eax
    CHECK_EQ "FNSTENV: FIP", %rax, 1b
    movl area+8, %eax
    CHECK_EQ "FNSTENV: tags", %rax, 0xffff3fff
    movl area, %eax
    CHECK_EQ "FNSTENV: FCW", %rax, 0xffff037f
    .byte 0x66 /* 16-bit format */
    fnstenv area
    movzwl area+6, %eax
    movq $1b, %rbx
    movzwl %bx, %ebx
    CHECK_SAME "FNSTENV, 16-bit: FIP", %rax, %rbx
    fnsave area
    movl area+12, %eax
    CHECK_EQ "FNSAVE: FIP", %rax, 1b
    CHECK_EQ "FNSAVE: ST0", area+28, 0x8000000000000000
    fxsave64 area+128
    CHECK_EQ "FNSAVE clears FIP", area+128+8, 0
    frstor area
    fnstenv area+128
    movl area+128+12, %eax
    CHECK_EQ "FRSTOR: FIP", %rax, 1b
    fstpl result
    CHECK_EQ "FRSTOR: ST0", result, 0x3ff0000000000000
    fninit
    movl $WINDOW, %ebx
    FAULTS "FNSTENV that faults", PF, 2, fnstenv (%rbx)
    FAULTS "FNSAVE that faults", PF, 2, fnsave -64(%rbx)
    fld1
    FAULTS "FNSAVE that faults again", PF, 2, fnsave -64(%rbx)
    fstpl result
    CHECK_EQ "and has not reset anything", result, 0x3ff0000000000000
    ret

/* Whatever is loaded is what is saved, and no more than that. */
loads:
    fninit
    fxsave64 area
    movq $0x123456789abc, %rax
    movq %rax, area+8
    movq $0x7edcba987654, %rcx
    movq %rcx, area+16
    movw $0x123, area+6
    fxrstor64 area
    fxsave64 area+512
    CHECK_SAME "FXRSTOR64, FXSAVE64: FIP", area+512+8, %rax
    CHECK_SAME "FXRSTOR64, FXSAVE64: FDP", area+512+16, %rcx
    movzwl area+512+6, %eax
    CHECK_EQ "FXRSTOR64, FXSAVE64: FOP", %rax, 0x123
    fnstenv area+512
    movl area+512+12, %eax
    CHECK_EQ "FXRSTOR64, FNSTENV: FIP", %rax, 0x56789abc
    movl $0x87654321, area+512+12
    movl $0x04560000, area+512+16
    movl $0x13572468, area+512+20
    fldenv area+512
    fxsave64 area
    CHECK_EQ "FLDENV, FXSAVE64: FIP", area+8, 0x87654321
    CHECK_EQ "FLDENV, FXSAVE64: FDP", area+16, 0x13572468
    movzwl area+6, %eax
    CHECK_EQ "FLDENV, FXSAVE64: FOP", %rax, 0x456
    ret

/* An unmasked division by zero is reported at the next instruction that waits. */
exception:
    fninit
    movq %cr0, %rax
    orq $CR0_NE, %rax
    movq %rax, %cr0
    movw $0x37b, word
    fldcw word
    fldz
    movq $value, %rdx
    fld1
1:  fdivl zero-value(%rdx)
    movl $5, %ecx
2:  decl %ecx
    jnz 2b
    FAULTS "#MF", MF, 0, fwait
    fnstenv area
    movl area+12, %eax
    CHECK_EQ "FIP of the division", %rax, 1b
    movl area+20, %eax
    CHECK_EQ "FDP of the division", %rax, zero
    movl area+16, %eax
    CHECK_EQ "FOP of the division", %rax, 0x4b2 << 16
    fnclex
    fninit
    movw $0x37b, word
    fldcw word
    fldz
    fld1
3:  fdivp
    fxsave64 area
    CHECK_EQ "FIP of one that is not reported yet", area+8, 3b
    movzwl area+6, %eax
    CHECK_EQ "FOP of it", %rax, 0x6f1
    fnclex
    fninit
    ret

xsaved:
    NEED_CPUID 1, ecx, 26, "no XSAVE"
    movq %cr4, %rax
    orq $CR4_OSXSAVE, %rax
    movq %rax, %cr4
    movl $3, %eax
    xorl %edx, %edx
    xorl %ecx, %ecx
    xsetbv
    movl $area, %edi
    movl $1024, %ecx
    xorl %eax, %eax
    rep stosb
1:  fldpi
    movl $3, %eax
    xorl %edx, %edx
    xsave64 area
    CHECK_EQ "XSAVE64: FIP", area+8, 1b
    fninit
    movl $3, %eax
    xrstor64 area
    fxsave64 area
    CHECK_EQ "XRSTOR64, FXSAVE64: FIP", area+8, 1b
    movl $2, %eax
2:  fldz
    xsave64 area
    CHECK_EQ "XSAVE64 of SSE leaves FIP in memory", area+8, 1b
    movq $0, area+512
    movl $3, %eax
    xrstor64 area
    fxsave64 area
    CHECK_EQ "XRSTOR of the initial state clears FIP", area+8, 0
    ret

    .data
    .balign 64
area: .skip 1024
value: .double 1.0
zero: .double 0.0
result: .quad 0
word: .word 0
