/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 2 MB and 1 GB pages: translation over the whole page, rights, splitting and joining.
 */
#include "guest.inc"

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    movabsq $0x100000000000, %rbx
    call two_megabytes
    call split
    call one_gigabyte
    popq %rbp
    ret

/* Tables for RBX: a PDPT and a page directory of their own. */
set_up:
    call alloc_page
    movq %rax, my_pdpt
    orq $7, %rax
    movq %rax, pml4+32*8
    call alloc_page
    movq %rax, my_pd
    movq my_pdpt, %rcx
    orq $7, %rax
    movq %rax, (%rcx)
    ret

flush:
    movq %cr3, %rax
    movq %rax, %cr3
    ret

two_megabytes:
    call set_up
    movq my_pd, %rcx
    movq $0x1000087, (%rcx) /* 16 MB */
    movq $0x1200087, 8(%rcx)
    call flush
    movl $0xabcd, 0x1000000
    movl $0xef01, 0x11ffffc
    movl (%rbx), %eax
    CHECK_EQ "first word of a 2 MB page", %rax, 0xabcd
    movl 0x1ffffc(%rbx), %eax
    CHECK_EQ "last word of a 2 MB page", %rax, 0xef01
    movabsq $0x1122334455667788, %rax
    movq %rax, 0x1ffffc(%rbx)
    movl 0x1200000, %eax
    CHECK_EQ "a write from one 2 MB page into the next", %rax, 0x11223344
    USER_OK "a program in a 2 MB page", movl 0x12345(%rbx), %eax
    movq my_pd, %rcx
    movq $0x1000085, (%rcx)
    invlpg 0x100000(%rbx)
    USER_FAULTS "a read-only 2 MB page", PF, 7, movl %eax, 0x12345(%rbx)
    movq my_pd, %rcx
    movq $0x1002087, (%rcx)
    call flush
    FAULTS "address bit 13 of a 2 MB page is reserved", PF, 9, movl (%rbx), %eax
    movq my_pd, %rcx
    movq $0x1400087, (%rcx)
    invlpg 0x1ff000(%rbx)
    movl $0x4444, 0x1412340
    movl 0x12340(%rbx), %eax
    CHECK_EQ "INVLPG of any byte flushes all of a 2 MB page", %rax, 0x4444
    ret

/* A 2 MB page becomes a table of small ones with one hole, and back. */
split:
    call alloc_page
    movq %rax, %r12
    movl $0x1400007, %ecx
    xorl %edx, %edx
1:  movq %rcx, (%r12, %rdx, 8)
    addl $0x1000, %ecx
    incl %edx
    cmpl $512, %edx
    jb 1b
    movq $0, 5*8(%r12)
    movq my_pd, %rcx
    movq %r12, %rax
    orq $7, %rax
    movq %rax, (%rcx)
    call flush
    movl 0x12340(%rbx), %eax
    CHECK_EQ "split: a page that is there", %rax, 0x4444
    FAULTS "split: the hole", PF, 0, movl 0x5000(%rbx), %eax
    movq my_pd, %rcx
    movq $0x1400087, (%rcx)
    call flush
    movl $0x5555, 0x1405000
    movl 0x5000(%rbx), %eax
    CHECK_EQ "joined again", %rax, 0x5555
    ret

one_gigabyte:
    movl $0x80000001, %eax
    pushq %rbx
    cpuid
    popq %rbx
    btl $26, %edx
    jnc 9f
    movq my_pdpt, %rcx
    movl $0x87, %eax
    movq %rax, 8(%rcx) /* the first GB */
    call flush
    leaq 0x40000000(%rbx), %rbp
    movl $0x6666, 0x1654320
    movl 0x1654320(%rbp), %eax
    CHECK_EQ "a word in a 1 GB page", %rax, 0x6666
    USER_OK "a program writes to a 1 GB page", movl %ecx, 0x1654320(%rbp)
    movl 0x1654320, %eax
    CHECK_SAME "and it is there", %rax, exc_regs+F_RCX
    movq my_pdpt, %rcx
    movq $0x83, 8(%rcx)
    invlpg (%rbp)
    USER_FAULTS "a supervisor's 1 GB page", PF, 5, movl 0x1654320(%rbp), %eax
    movq my_pdpt, %rcx
    movq $0x4087, 8(%rcx)
    invlpg (%rbp)
    FAULTS "address bit 14 of a 1 GB page is reserved", PF, 9, movl (%rbp), %eax
    movq my_pdpt, %rcx
    movabsq $0x8000000000000087, %rax
    movq %rax, 8(%rcx)
    invlpg (%rbp)
    movb $0xc3, 0x1700000
    leaq 0x1700000(%rbp), %rdx
    movq $2f, exc_resume
    movq %rsp, exc_resume_rsp
    call *%rdx
2:  call check_fault
    .quad 1f, 0x100041700000
    .long PF, 17
    .pushsection .rodata
1:  .asciz "NX of a 1 GB page"
    .popsection
    movq my_pdpt, %rcx
    movq $0x87, 8(%rcx)
    invlpg (%rbp)
    leaq 0x1700000(%rbp), %rdx
    FAULTS "code in a 1 GB page", NOTHING, 0, call *%rdx
9:  ret

    .bss
my_pdpt: .skip 8
my_pd: .skip 8
