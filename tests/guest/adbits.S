/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accessed and dirty bits (SDM vol. 3, 4.8): set when the CPU uses an entry, never cleared by it.
 */
#include "guest.inc"

    .text

/* CHECK_BITS name, entry address, wanted A and D bits */
.macro CHECK_BITS name, entry, bits
    movq \entry, %r15
    movq (%r15), %r15
    andq $0x60, %r15
    CHECK_EQ "\name", %r15, \bits
.endm

    .globl guest_main
guest_main:
    pushq %rbp
    movq $WINDOW, %rbx
    call alloc_page
    movq %rax, page
    movq %rbx, %rdi
    call pte_of
    movq %rax, pte
    call one_page
    call stores
    call upper_levels
    call large_page
    call faults
    call string_stores
    popq %rbp
    ret

remap: /* the page without A and D */
    MAP WINDOW, page, PTE_P|PTE_W|PTE_U
    ret

one_page:
    call remap
    CHECK_BITS "mapping a page sets nothing", pte, 0
    prefetchw (%rbx)
    movl (%rbx), %eax
    CHECK_BITS "a read sets A", pte, PTE_A
    movl (%rbx), %eax
    movl %eax, (%rbx)
    CHECK_BITS "a write after a read sets D", pte, PTE_A|PTE_D
    call remap
    movl %eax, (%rbx)
    CHECK_BITS "a write sets A and D", pte, PTE_A|PTE_D
    movq pte, %rax
    andq $~PTE_D, (%rax)
    invlpg (%rbx)
    movl (%rbx), %ecx
    CHECK_BITS "D cleared by software stays clear on a read", pte, PTE_A
    movl %ecx, (%rbx)
    CHECK_BITS "and is set by the next write", pte, PTE_A|PTE_D
    movq pte, %rax
    andq $~(PTE_A|PTE_D), (%rax)
    movq %cr3, %rcx
    movq %rcx, %cr3
    movb (%rbx), %cl
    CHECK_BITS "A is set again after a CR3 load", pte, PTE_A
    call remap
    USER_OK "a program reads", movl (%rbx), %eax
    CHECK_BITS "a program's read sets A", pte, PTE_A
    USER_OK "a program writes", movl %eax, (%rbx)
    CHECK_BITS "a program's write sets D", pte, PTE_A|PTE_D
    call remap
    movq page, %rax
    movb $0xc3, (%rax)
    call *%rbx
    CHECK_BITS "a fetch sets A only", pte, PTE_A
    ret

/* One store of each kind after a read by the same kind of instruction, so that a cached read-only
 * translation has to become writable. */
.macro STORE name, insn:vararg
    call remap
    movl (%rbx), %eax
    xorl %eax, %eax
    \insn
    CHECK_BITS "\name", pte, PTE_A|PTE_D
.endm
stores:
    STORE "ADD to memory", addl $1, (%rbx)
    STORE "LOCK XADD", lock xaddl %eax, (%rbx)
    STORE "XCHG", xchgl %eax, (%rbx)
    STORE "CMPXCHG that succeeds", lock cmpxchgl %ecx, 64(%rbx)
    STORE "MOVUPS", movups %xmm0, (%rbx)
    STORE "x87 FST", fstl (%rbx)
    STORE "SETcc", sete (%rbx)
    STORE "BTS", btsl $3, (%rbx)
    STORE "BTS with a bit offset", btsl %eax, 4(%rbx)
    pushq $1
    STORE "POP to memory", popq (%rbx)
    movq $-1, %rax
    movl $1, 64(%rbx)
    STORE "CMPXCHG that fails writes too", lock cmpxchgl %ecx, 68(%rbx)
    call remap
    cmpl $0, (%rbx)
    testl $1, (%rbx)
    btl $3, (%rbx)
    CHECK_BITS "CMP, TEST and BT set A only", pte, PTE_A
    ret

upper_levels:
    call remap
    andq $~PTE_A, pdpt+16
    andq $~PTE_A, pml4
    movq %cr3, %rcx
    movq %rcx, %cr3
    movl (%rbx), %eax
    movq pdpt+16, %rax
    andq $0x60, %rax
    CHECK_EQ "A in the PDPTE", %rax, PTE_A
    movq pml4, %rax
    andq $0x60, %rax
    CHECK_EQ "A in the PML4E", %rax, PTE_A
    ret

large_page:
    movq $0x600000|PTE_P|PTE_W|PTE_U|PTE_PS, %rax
    movq $WINDOW+0x200000, %rdi
    pushq %rax
    call pte_of
    popq %rcx
    andq $-4096, %rax
    movq pdpt+16, %rdx
    andq $-4096, %rdx
    movq %rcx, 8(%rdx)
    addq $8, %rdx
    movq %rdx, pde
    movq %cr3, %rcx
    movq %rcx, %cr3
    movq $WINDOW+0x212345, %rcx
    movl (%rcx), %eax
    CHECK_BITS "a read sets A of a 2 MB page", pde, PTE_A
    movq $WINDOW+0x3ffffc, %rcx
    movl %eax, (%rcx)
    CHECK_BITS "a write sets D of a 2 MB page", pde, PTE_A|PTE_D
    ret

faults:
    MAP WINDOW, page, PTE_P|PTE_U
    USER_FAULTS "write to a read-only page", PF, 7, movl %eax, (%rbx)
    movq pte, %rax
    movq (%rax), %rax
    andq $PTE_D, %rax
    CHECK_EQ "a refused write does not set D", %rax, 0
    ret

string_stores:
    call remap
    movl (%rbx), %eax
    movq %rbx, %rdi
    movl $100, %ecx
    rep stosb
    CHECK_BITS "REP STOS sets D", pte, PTE_A|PTE_D
    call remap
    movq %rbx, %rsi
    movl $100, %ecx
    rep lodsb
    CHECK_BITS "REP LODS sets A", pte, PTE_A
    ret

    .bss
page: .skip 8
pte: .skip 8
pde: .skip 8
