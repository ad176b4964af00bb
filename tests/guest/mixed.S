/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instructions of a program that see addresses near 0 and addresses near the top of the user half
 * in turn, as those of programs do that are linked at a low address and have their heap in mmap's
 * area: alone, in groups, with flags live across them, and with pages that fault.
 */
#include "guest.inc"
#include "irq.inc"
#include "promote.inc"

    .set HIGH, 0x7f0000000000
    .set LOW, 0x700000000

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    PROMOTE_SET_UP
    call alloc_page
    movq $0x1111, (%rax)
    movq $0x22, 8(%rax)
    movq %rax, hpage
    call alloc_page
    movq $0x4444, (%rax)
    movq $0x88, 8(%rax)
    movq %rax, lpage
    MAP HIGH, hpage, 7
    MAP LOW, lpage, 7
    PROMOTE
    call alternate
    call flags
    call rounds
    call singles
    call faults
    popq %rbp
    ret

/* One site, a group of three, both kinds: loads, stores, read-modify-write. */
alternate:
    movabsq $HIGH, %rbx
    movabsq $LOW, %rbp
    PROGRAM
    xorl %eax, %eax
    xorl %edx, %edx
    movl $400, %ecx
1:  movq %rbx, %rsi
    movq (%rsi), %rdi
    addq 8(%rsi), %rdi
    addq %rdi, %rax
    incq 16(%rsi)
    movq %rax, 24(%rsi)
    xchgq %rbx, %rbp
    decl %ecx
    jnz 1b
    END_PROGRAM "low and high addresses in turn"
    CHECK_EQ "the sum of what was read", exc_regs+F_RAX, 200*(0x1111+0x22+0x4444+0x88)
    movq hpage, %rcx
    CHECK_EQ "the high page's counter", 16(%rcx), 200
    CHECK_EQ "what was last stored there", 24(%rcx), 200*(0x1111+0x22+0x4444+0x88)-0x4444-0x88
    movq lpage, %rcx
    CHECK_EQ "the low page's counter", 16(%rcx), 200
    CHECK_EQ "what was last stored there", 24(%rcx), 200*(0x1111+0x22+0x4444+0x88)
    ret

/* Carry and overflow from before the access are used after it. */
flags:
    PROGRAM
    xorl %eax, %eax
    xorl %edx, %edx
    movl $300, %ecx
1:  movq %rbx, %rsi
    btl $0, %ecx
    movq (%rsi,%rdx,8), %rdi
    adcq 8(%rsi,%rdx,8), %rax
    movb $0x7f, %dil
    addb $1, %dil
    movq 8(%rsi,%rdx,8), %rdi
    seto %dl
    addq %rdx, %rax
    xorl %edx, %edx
    xchgq %rbx, %rbp
    decl %ecx
    jnz 1b
    END_PROGRAM "flags across such accesses"
    CHECK_EQ "carries and overflows", exc_regs+F_RAX, 150*(0x22+0x88)+150+300
    ret

/* Loops, entered with one kind or the other, whose access is not their first instruction. */
rounds:
    PROGRAM
    xorl %eax, %eax
    movl $4000, %ecx
1:  movq %rbx, %rsi
    movl $5, %edx
    call 2f
    xchgq %rbx, %rbp
    decl %ecx
    jnz 1b
    jmp 3f
2:  incl %edi
    addq (%rsi), %rax
    decl %edx
    jnz 2b
    ret
3:  END_PROGRAM "loops over low and high addresses"
    CHECK_EQ "the sum of what they read", exc_regs+F_RAX, 5*2000*(0x1111+0x4444)
    ret

/* Accesses without a group, of several forms. */
singles:
    PROGRAM
    movl $0x1200, %eax
    movl $2, %r10d
    movl $400, %ecx
1:  movq %rbx, %rsi
    lock incq 32(%rsi)
    leaq 8(%rbx), %rdi
    addl $7, 32(%rdi)
    movq %rbx, %rdx
    movb %ah, 48(%rdx)
    movq %rbx, %r9
    stc
    adcq $1, 56(%r9)
    movq %rbx, %r11
    subw $3, 60(%r11,%r10,2)
    movq %rbx, %r12
    movss 40(%r12), %xmm3
    leaq 0x400(%rbx), %r13
    movss %xmm3, -0x3b0(%r13)
    xchgq %rbx, %rbp
    decl %ecx
    jnz 1b
    END_PROGRAM "single accesses to low and high addresses"
    .irp page, hpage, lpage
    movq \page, %rcx
    CHECK_EQ "LOCK INC", 32(%rcx), 200
    movl 40(%rcx), %eax
    CHECK_EQ "ADD of an immediate", %rax, 1400
    movzbl 48(%rcx), %eax
    CHECK_EQ "a store of AH", %rax, 0x12
    CHECK_EQ "ADC with carry set before the access", 56(%rcx), 400
    movzwl 64(%rcx), %eax
    CHECK_EQ "an operand with an index", %rax, 0x10000-600
    movl 80(%rcx), %eax
    CHECK_EQ "a scalar in a vector register", %rax, 1400
    .endr
    ret

/* Pages that are not there: the fault's address and the registers are the program's. */
faults:
    PROGRAM
    movl $20, %ecx
1:  movq %rbx, %rsi
    movq (%rsi), %rdi
    xchgq %rbx, %rbp
    decl %ecx
    jnz 1b
    END_PROGRAM "warm again"
    USER_FAULTS "behind the high page", PF, 4, movq 0x1000(%rbx), %rax
    CHECK_EQ "CR2", exc_cr2, HIGH+0x1000
    USER_FAULTS "behind the low page", PF, 6, movq %rax, 0x1000(%rbp)
    CHECK_EQ "CR2", exc_cr2, LOW+0x1000
    movabsq $HIGH+0x5000, %r12
    movabsq $LOW+0x6000, %r13
    movl $8, %r14d
2:  USER_FAULTS "a page that is not there, either kind", PF, 4, addq 16(%r12), %rax
    leaq 16(%r12), %rcx
    CHECK_SAME "CR2", exc_cr2, %rcx
    xchgq %r12, %r13
    decl %r14d
    jnz 2b
    ret

    .bss
    .balign 8
hpage: .skip 8
lpage: .skip 8
