/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which memory an access sees after the privilege level, AC, or the address space changed: a
 * program's page and one of the supervisor side by side, far up where programs have their stacks,
 * both in use all the time.
 */
#include "guest.inc"
#include "irq.inc"
#include "promote.inc"

    .set HIGH, 0x7f0000000000
    .set MIDDLE, 0x600000000000
    .set NEAR, 0x1000000000

    .text
    .globl guest_main
guest_main:
    NEED_CPUID 7, ebx, 20, "no SMAP"
    pushq %rbp
    PROMOTE_SET_UP
    call alloc_page
    movq $0x1111, (%rax)
    movq %rax, upage
    call alloc_page
    movq $0x2222, (%rax)
    movq %rax, spage
    MAP HIGH, upage, 7
    MAP HIGH+0x1000, spage, 3
    SET_CR cr4, CR4_SMAP
    PROMOTE
    movabsq $HIGH, %rbx
    call warm
    call entry_with_ac
    call stac_clac
    call far_apart
    CLEAR_CR cr4, CR4_SMAP
    popq %rbp
    ret

/* Both levels use their page, a few times. */
warm:
    movl $4, %r12d
1:  movq 0x1000(%rbx), %rax
    movq %rax, 0x1008(%rbx)
    decl %r12d
    jnz 1b
    PROGRAM
    movl $4, %ecx
1:  movq (%rbx), %rax
    movq %rax, 8(%rbx)
    decl %ecx
    jnz 1b
    END_PROGRAM "a program's page"
    CHECK_EQ "what it read", exc_regs+F_RAX, 0x1111
    CHECK_EQ "the supervisor's page", 0x1000(%rbx), 0x2222
    FAULTS "the program's is out of its reach", PF, 1, movq (%rbx), %rax
    USER_FAULTS "the supervisor's page is out of a program's reach", PF, 5, movq 0x1000(%rbx), %rax
    ret

/* An exception in a program that has AC set: the supervisor starts with AC and clears it. */
entry_with_ac:
    movb $0xee, idt+0x81*16+5
    movq $on_entry, exc_hook+8*0x81
    movq $0, faults
    movq $0, own
    PROGRAM
    movl $6, %ecx
1:  pushfq
    orq $AC, (%rsp)
    popfq
    movq (%rbx), %rax
    int $0x81
    movq (%rbx), %rax
    pushfq
    andq $~AC, (%rsp)
    popfq
    decl %ecx
    jnz 1b
    END_PROGRAM "exceptions with AC set"
    CHECK_EQ "behind CLAC its page is out of reach", faults, 6
    CHECK_EQ "the supervisor's own is not", own, 6*0x2222
    movq $0, exc_hook+8*0x81
    ret

on_entry:
    pushq %rbx
    pushq exc_resume_rsp
    pushq exc_resume
    movabsq $HIGH, %rbx
    movq $1f, exc_resume
    movq %rsp, exc_resume_rsp
    movq $-1, exc_vector
    clac
    movq (%rbx), %rax /* nothing may be in between */
1:  movq 0x1000(%rbx), %rax
    addq %rax, own
    popq exc_resume
    popq exc_resume_rsp
    popq %rbx
    cmpq $PF, exc_vector
    jne 1f
    incq faults
1:  movl $1, %eax
    ret

/* STAC and CLAC in turn, with accesses of all kinds around them. */
stac_clac:
    movl $100, %ecx
    xorl %edx, %edx
1:  addq 0x1000(%rbx), %rdx
    stac
    addq (%rbx), %rdx
    addq 0x1000(%rbx), %rdx
    clac
    addq 0x1000(%rbx), %rdx
    decl %ecx
    jnz 1b
    CHECK_EQ "STAC and CLAC in turn", %rdx, 100*(0x1111+3*0x2222)
    FAULTS "out of reach at the end", PF, 1, movq (%rbx), %rax
    ret

.macro READ_PAGES address, sum, times
    movl $\times, %ecx
    xorl %edx, %edx
    jmp 2f
1:  addq (\address), %rdx
    ret
2:  call 1b /* each time anew */
    decl %ecx
    jnz 2b
    movq %rdx, \sum
.endm

/* A program's pages at both ends of its addresses find no room at one distance; those that it had
 * before stay what they are. Another address space is in the way of one of these. */
far_apart:
    call alloc_page
    movq $0x3333, (%rax)
    movq %rax, npage
    MAP MIDDLE, npage, 7
    MAP NEAR, npage, 7
    call alloc_page
    movq %cr3, %rsi
    movq %rsi, %r12
    movq %rax, %rdi
    movq %rax, %r13
    movl $512, %ecx
    rep movsq
    movabsq $MIDDLE, %rsi
    movabsq $NEAR, %rdi
    movq %r13, %cr3
    PROMOTE
    PROGRAM
    READ_PAGES %rsi, %r8, 4
    END_PROGRAM "another address space"
    CHECK_EQ "what it read", exc_regs+F_R8, 4*0x3333
    movq %r12, %cr3
    PROGRAM
    READ_PAGES %rbx, %r8, 4
    READ_PAGES %rsi, %r9, 4
    READ_PAGES %rbx, %r8, 4
    READ_PAGES %rdi, %r10, 4
    READ_PAGES %rbx, %r11, 4
    READ_PAGES %rsi, %rbp, 4
    END_PROGRAM "pages far apart"
    CHECK_EQ "what was read far up", exc_regs+F_R8, 4*0x1111
    CHECK_EQ "in the middle", exc_regs+F_R8+8, 4*0x3333
    CHECK_EQ "far down", exc_regs+F_R8+16, 4*0x3333
    CHECK_EQ "far up again", exc_regs+F_R11, 4*0x1111
    CHECK_EQ "and in the middle", exc_regs+F_RBP, 4*0x3333
    ret

    .bss
    .balign 8
upage: .skip 8
spage: .skip 8
npage: .skip 8
faults: .skip 8
own: .skip 8
