/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What makes a changed page table entry take effect: INVLPG, MOV to CR3, CR4 and CR0, PCIDs and
 * INVPCID, global pages (SDM vol. 3, 4.10). A change that takes away rights must be seen after the
 * flush that the manual names; so must one that gives other memory. That an old translation
 * survives where it may is not checked, except for global pages and PCIDs in one direction: they
 * must not be wrong.
 */
#include "guest.inc"

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    movq $WINDOW, %rbx
    call alloc_page
    movq %rax, page1
    movq $0x1111, (%rax)
    call alloc_page
    movq %rax, page2
    movq $0x2222, (%rax)
    movq %rbx, %rdi
    call pte_of
    movq %rax, pte
    call no_flush_needed
    call invlpg_flushes
    call cr3_flushes
    call cr4_flushes
    call cr0_toggles
    call code_flush
    call table_change
    call switch_spaces
    call pcids
    call invpcids
    popq %rbp
    ret

/* SETPTE page variable, flags: without any flush. */
.macro SETPTE page, flags
    movabsq $(\flags), %rax
    orq \page, %rax
    movq pte, %rcx
    movq %rax, (%rcx)
.endm

.macro RELOAD_CR3
    movq %cr3, %rax
    movq %rax, %cr3
.endm

no_flush_needed:
    FAULTS "not present yet", PF, 0, movq (%rbx), %rax
    SETPTE page1, 7
    CHECK_EQ "an entry that becomes present needs no flush", (%rbx), 0x1111
    SETPTE page1, 5
    invlpg (%rbx)
    USER_FAULTS "read-only now", PF, 7, movq %rax, (%rbx)
    SETPTE page1, 7
    USER_OK "more rights after a fault need no flush", movq %rax, 8(%rbx)
    ret

invlpg_flushes:
    SETPTE page1, 7
    invlpg (%rbx)
    CHECK_EQ "first page", (%rbx), 0x1111
    SETPTE page2, 7
    invlpg 4095(%rbx)
    CHECK_EQ "INVLPG of any byte of the page: second page", (%rbx), 0x2222
    SETPTE page2, 0
    invlpg (%rbx)
    FAULTS "INVLPG after P is cleared", PF, 0, movq (%rbx), %rax
    SETPTE page2, 7
    movq %rax, (%rbx)
    movq $0x2222, (%rbx)
    SETPTE page2, 5
    invlpg (%rbx)
    FAULTS "INVLPG after W is cleared", PF, 3, movq %rax, (%rbx)
    SETPTE page1, 7
    invlpg (%rbx)
    USER_OK "program reads", movq (%rbx), %rax
    SETPTE page1, 3
    invlpg (%rbx)
    USER_FAULTS "INVLPG after U is cleared", PF, 5, movq (%rbx), %rax
    USER_FAULTS "INVLPG is privileged", GP, 0, invlpg (%rbx)
    ret

cr3_flushes:
    SETPTE page1, 7
    RELOAD_CR3
    CHECK_EQ "CR3: first page", (%rbx), 0x1111
    SETPTE page2, 7
    RELOAD_CR3
    CHECK_EQ "CR3: second page", (%rbx), 0x2222
    movq $0x2222, (%rbx)
    SETPTE page2, 5
    RELOAD_CR3
    FAULTS "CR3 after W is cleared", PF, 3, movq %rax, (%rbx)
    SETPTE page2, 0
    RELOAD_CR3
    FAULTS "CR3 after P is cleared", PF, 0, movq (%rbx), %rax
    ret

/* Global pages survive MOV CR3, not a change of CR4.PGE. */
cr4_flushes:
    SET_CR cr4, CR4_PGE
    SETPTE page1, 7|PTE_G
    invlpg (%rbx)
    CHECK_EQ "global page", (%rbx), 0x1111
    RELOAD_CR3
    CHECK_EQ "global page after a CR3 load", (%rbx), 0x1111
    SETPTE page2, 7|PTE_G
    invlpg (%rbx)
    CHECK_EQ "INVLPG flushes a global page", (%rbx), 0x2222
    SETPTE page1, 7|PTE_G
    CLEAR_CR cr4, CR4_PGE
    CHECK_EQ "clearing CR4.PGE flushes it", (%rbx), 0x1111
    SETPTE page2, 7|PTE_G
    SET_CR cr4, CR4_PGE
    CHECK_EQ "setting CR4.PGE flushes it", (%rbx), 0x2222
    SETPTE page1, 7
    invlpg (%rbx)
    CHECK_EQ "no longer global", (%rbx), 0x1111
    SETPTE page2, 7
    RELOAD_CR3
    CHECK_EQ "then a CR3 load flushes it", (%rbx), 0x2222
    CLEAR_CR cr4, CR4_PGE
    ret

cr0_toggles:
    SETPTE page2, 5
    invlpg (%rbx)
    FAULTS "with WP", PF, 3, movq %rax, 8(%rbx)
    CLEAR_CR cr0, CR0_WP
    FAULTS "without WP", NOTHING, 0, movq %rax, 8(%rbx)
    SET_CR cr0, CR0_WP
    FAULTS "WP set again counts for the page just written", PF, 3, movq %rax, 8(%rbx)
    ret

/* Code: a page replaced under the same address. */
code_flush:
    movq page1, %rax
    movl $0xc301b0, 256(%rax) /* MOV AL, 1; RET */
    movq page2, %rax
    movl $0xc302b0, 256(%rax)
    SETPTE page1, 7
    invlpg (%rbx)
    leaq 256(%rbx), %r12
    xorl %eax, %eax
    call *%r12
    CHECK_EQ "code of the first page", %rax, 1
    movl $50, %r13d
1:  SETPTE page2, 7
    invlpg (%rbx)
    xorl %eax, %eax
    call *%r12
    cmpl $2, %eax
    jne 2f
    SETPTE page1, 7
    RELOAD_CR3
    xorl %eax, %eax
    call *%r12
    cmpl $1, %eax
    jne 2f
    decl %r13d
    jnz 1b
2:  CHECK_EQ "code that changes with its page, a hundred times", %r13, 0
    SETPTE page1, 0
    invlpg (%rbx)
    movq $3f, exc_resume
    movq %rsp, exc_resume_rsp
    call *%r12
3:  call check_fault
    .quad 4f, WINDOW+256
    .long PF, 16
    .pushsection .rodata
4:  .asciz "code whose page went away"
    .popsection
    SETPTE page1, 7|PTE_NX
    movq $3f, exc_resume
    movq %rsp, exc_resume_rsp
    call *%r12
3:  call check_fault
    .quad 4f, WINDOW+256
    .long PF, 17
    .pushsection .rodata
4:  .asciz "code whose page became NX"
    .popsection
    ret

/* A page directory entry switched between two tables. */
table_change:
    SETPTE page1, 7
    invlpg (%rbx)
    movq (%rbx), %rax
    call alloc_page
    movq %rax, %r12
    movq page2, %rcx
    orq $7, %rcx
    movq %rcx, (%rax)
    movq pdpt+16, %rdx
    andq $-4096, %rdx
    movq (%rdx), %r13
    orq $7, %r12
    movq %r12, (%rdx)
    RELOAD_CR3
    CHECK_EQ "another page table under the same directory", (%rbx), 0x2222
    movq %r13, (%rdx)
    invlpg (%rbx)
    CHECK_EQ "INVLPG flushes the directory's cache too", (%rbx), 0x1111
    ret

/* Two address spaces that differ in one page, switched by CR3 alone. */
switch_spaces:
    call alloc_page
    movq %rax, space2
    movq %rax, %rdi
    movq $pml4, %rsi
    movl $512, %ecx
    rep movsq
    call alloc_page
    movq %rax, %r12
    movq %rax, %rdi
    movq $pdpt, %rsi
    movl $512, %ecx
    rep movsq
    movq space2, %rax
    movq %r12, %rcx
    orq $7, %rcx
    movq %rcx, (%rax)
    movq $0, 16(%r12)
    movq %cr3, %r13
    movq space2, %rax
    movq %rax, %cr3
    MAP WINDOW, page2, 7
    movl $100, %r12d
1:  movq %r13, %cr3
    cmpq $0x1111, (%rbx)
    jne 2f
    incq 64(%rbx)
    movq space2, %rax
    movq %rax, %cr3
    cmpq $0x2222, (%rbx)
    jne 2f
    incq 64(%rbx)
    decl %r12d
    jnz 1b
2:  movq %r13, %cr3
    CHECK_EQ "two spaces, a hundred switches", %r12, 0
    movq page1, %rax
    CHECK_EQ "writes went to the first space's page", 64(%rax), 100
    movq page2, %rax
    CHECK_EQ "and to the second's", 64(%rax), 100
    ret

/* PCIDs (4.10.1): two spaces with different identifiers, loaded without flushing (bit 63). */
pcids:
    movl $1, %eax
    pushq %rbx
    cpuid
    popq %rbx
    btl $17, %ecx
    jnc 9f
    movq %cr3, %rax
    orq $5, %rax
    movq %rax, %r12
    FAULTS "CR3 without PCIDE ignores the low bits", NOTHING, 0, movq %r12, %cr3
    andq $-4096, %r12
    orq $24, %r12
    orq $1, %r12
    movq %r12, %cr3
    movq %cr4, %r14
    orq $CR4_PCIDE, %r14
    FAULTS "PCIDE with a nonzero PCID in CR3 is #GP", GP, 0, movq %r14, %cr4
    movq %cr3, %rax
    andq $-4096, %rax
    movq %rax, %cr3
    movq %cr4, %rax
    orq $CR4_PCIDE, %rax
    movq %rax, %cr4
    movq %cr3, %r13
    orq $1, %r13
    movq space2, %r14
    orq $2, %r14
    movq %r13, %cr3
    movq %cr3, %rax
    CHECK_SAME "CR3 reads with its PCID", %rax, %r13
    CHECK_EQ "PCID 1", (%rbx), 0x1111
    movq %r14, %cr3
    CHECK_EQ "PCID 2", (%rbx), 0x2222
    btsq $63, %r13
    btsq $63, %r14
    movl $100, %r12d
1:  movq %r13, %cr3
    cmpq $0x1111, (%rbx)
    jne 2f
    movq %r14, %cr3
    cmpq $0x2222, (%rbx)
    jne 2f
    decl %r12d
    jnz 1b
2:  CHECK_EQ "a hundred switches without flushing", %r12, 0
    movq %cr3, %rax
    shrq $63, %rax
    CHECK_EQ "bit 63 of CR3 reads as zero", %rax, 0
    movq %r13, %cr3
    SETPTE page2, 7
    btrq $63, %r13
    movq %r13, %cr3
    CHECK_EQ "a load without bit 63 flushes that PCID", (%rbx), 0x2222
    SETPTE page1, 7
    invlpg (%rbx)
    CHECK_EQ "INVLPG flushes the current PCID", (%rbx), 0x1111
    movq %r13, %rax
    andq $-4096, %rax
    movq %rax, %cr3
    CLEAR_CR cr4, CR4_PCIDE
9:  ret

invpcids:
    movl $7, %eax
    xorl %ecx, %ecx
    pushq %rbx
    cpuid
    btl $10, %ebx
    popq %rbx
    jnc 9f
    xorl %eax, %eax
    movq $0, descriptor
    movq %rbx, descriptor+8
    SETPTE page2, 7
    xorl %eax, %eax
    invpcid descriptor, %rax
    CHECK_EQ "INVPCID of an address", (%rbx), 0x2222
    SETPTE page1, 7
    movl $1, %eax
    invpcid descriptor, %rax
    CHECK_EQ "INVPCID of a context", (%rbx), 0x1111
    SET_CR cr4, CR4_PGE
    SETPTE page2, 7|PTE_G
    movl $2, %eax
    invpcid descriptor, %rax
    CHECK_EQ "INVPCID of everything", (%rbx), 0x2222
    SETPTE page1, 7|PTE_G
    movl $2, %eax
    invpcid descriptor, %rax
    CHECK_EQ "INVPCID of everything flushes global pages", (%rbx), 0x1111
    SETPTE page2, 7
    movl $3, %eax
    invpcid descriptor, %rax
    invlpg (%rbx)
    CHECK_EQ "INVPCID of everything but global pages", (%rbx), 0x2222
    CLEAR_CR cr4, CR4_PGE
    movl $4, %eax
    FAULTS "INVPCID type 4 is #GP", GP, 0, invpcid descriptor, %rax
    movq $0x1000, descriptor
    movl $1, %eax
    FAULTS "INVPCID with reserved bits in the descriptor is #GP", GP, 0, invpcid descriptor, %rax
    movq $1, descriptor
    FAULTS "INVPCID of a nonzero PCID without PCIDE is #GP", GP, 0, invpcid descriptor, %rax
    movq $0, descriptor
    movabsq $0x8000000000000000, %rax
    movq %rax, descriptor+8
    xorl %eax, %eax
    FAULTS "INVPCID of a non-canonical address is #GP", GP, 0, invpcid descriptor, %rax
    USER_FAULTS "INVPCID is privileged", GP, 0, invpcid descriptor, %rax
9:  ret

    .bss
    .balign 64
descriptor: .skip 16
page1: .skip 8
page2: .skip 8
pte: .skip 8
space2: .skip 8
