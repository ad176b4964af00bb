/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Probes of a guest that wants out: page tables that point at themselves, at devices, beyond
 * memory; descriptor tables and stacks in strange places; accesses all over the address space,
 * physical and linear. What they read matters little; the machine must go on as hardware would.
 */
#include "guest.inc"
#include "irq.inc"

#define NOWHERE 0xfea00000 /* no device: reads all ones, loses what is written */

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    call linear_sweep
    call physical_sweep
    call self_map
    call tables_in_strange_places
    call tables_change_under_walk
    call monitor_addresses
    call strange_tables
    call strange_code
    call displacement_edges
    call index_edges
    call device_stack
    popq %rbp
    ret

/* Interrupts whose frames go to a device: these are lost, the registers are not. */
device_stack:
    APIC_ON
    movq idt+0x41*16, %r12
    movq idt+0x41*16+8, %r13
    movq $2f, %rax
    movw %ax, idt+0x41*16
    shrq $16, %rax
    movw %ax, idt+0x41*16+6
    shrq $16, %rax
    movl %eax, idt+0x41*16+8
    movl $100, %r14d
    movq %rsp, %rbp
1:  movq %r14, %xmm5
    cli
    SELF_IPI 0x41
    movl $NOWHERE+0x800, %esp
    sti
    nop
    jmp .
2:  movq %rbp, %rsp
    APIC_WRITE APIC_EOI, 0
    movq %xmm5, %rax
    cmpq %r14, %rax
    jne 3f
    decl %r14d
    jnz 1b
3:  movq %r12, idt+0x41*16
    movq %r13, idt+0x41*16+8
    CHECK_EQ "a hundred interrupts on a stack in device memory", %r14, 0
    ret

/* One byte and one quadword at every power of two and its neighbours, and with every top bit
 * pattern: only #PF and #GP may come, and nothing may be there that was not mapped. */
linear_sweep:
    movl $34, %r12d
    xorl %r14d, %r14d
1:  movl $1, %eax
    movl %r12d, %ecx
    shlq %cl, %rax
    movq %rax, %rbx
    call probe_around
    negq %rbx
    call probe_around
    notq %rbx
    call probe_around
    incl %r12d
    cmpl $64, %r12d
    jb 1b
    CHECK_EQ "nothing is mapped at powers of two above 8 GB", %r14, 0
    ret
probe_around:
    leaq -8(%rbx), %r15
    call probe
    leaq -1(%rbx), %r15
    call probe
    movq %rbx, %r15
    call probe
    leaq 4096(%rbx), %r15
/* Reads and writes R15; counts in R14 what succeeds or raises anything but #PF, #GP and #SS. */
probe:
    movq $2f, exc_resume
    movq %rsp, exc_resume_rsp
    movq $-1, exc_vector
    movq (%r15), %rax
2:  call judge
    movq $2f, exc_resume
    movq %rsp, exc_resume_rsp
    movq $-1, exc_vector
    movb $0x55, (%r15)
2:  call judge
    movq $2f, exc_resume
    movq %rsp, exc_resume_rsp
    movq $-1, exc_vector
    lock incl (%r15)
2:  call judge
    movq $2f, exc_resume
    movq %rsp, exc_resume_rsp
    movq $-1, exc_vector
    jmp *%r15
2:
judge:
    movq $0, exc_resume
    movq exc_vector, %rax
    cmpq $PF, %rax
    je 1f
    cmpq $GP, %rax
    je 1f
    cmpq $SS_VEC, %rax
    je 1f
    incq %r14
1:  ret

/* Pages of physical memory that is not there, is a device, or is the last there is. */
physical_sweep:
    movl $12, %r12d
1:  movl $1, %esi
    movl %r12d, %ecx
    shlq %cl, %rsi
    movabsq $0x000ffffffffff000, %rax
    andq %rax, %rsi
    movq $WINDOW, %rdi
    movl $7, %edx
    call map_page
    movq $2f, exc_resume
    movq %rsp, exc_resume_rsp
    movq $WINDOW, %rdi
    movl (%rdi), %eax
2:  movq $0, exc_resume
    incl %r12d
    cmpl $52, %r12d
    jb 1b
    CHECK_EQ "reads of physical memory at every power of two", %r12, 52
    MAP WINDOW, $0x30000000, 7
    movq $WINDOW, %rbx
    movq $0x1234, (%rbx)
    CHECK_EQ "where there is nothing, reads give ones", (%rbx), -1
    movl $16, %ecx
    movq %rbx, %rdi
    rep stosq
    movups (%rbx), %xmm0
    movq %xmm0, %rax
    CHECK_EQ "vector reads too", %rax, -1
    lock xaddl %ecx, (%rbx)
    fldl (%rbx)
    fstpl 8(%rbx)
    CHECK_EQ "and after locked and x87 accesses", (%rbx), -1
    ret

/* A PML4 entry that points at the PML4: the tables seen through themselves. */
self_map:
    movq $pml4+3, %rax
    movq %rax, pml4+8*300
    movabsq $0xffff960000000000|(300<<39)|(300<<30)|(300<<21)|(300<<12), %rbx
    shlq $16, %rbx
    sarq $16, %rbx
    movq (%rbx), %rax
    orq $0x20, %rax
    movq pml4, %rcx
    orq $0x20, %rcx
    CHECK_SAME "the PML4 through itself", %rax, %rcx
    /* a change through the map counts after INVLPG */
    call alloc_page
    movq $0x4321, (%rax)
    orq $7, %rax
    movq %rax, %r12
    movq $WINDOW+0x5000, %rdi
    call pte_of
    movabsq $0xffff960000000000, %rcx
    movq $WINDOW+0x5000, %rdx
    shrq $9, %rdx
    andq $-8, %rdx
    addq %rdx, %rcx
    movq %r12, (%rcx)
    movq $WINDOW+0x5000, %rdx
    invlpg (%rdx)
    CHECK_EQ "a page mapped through the map", (%rdx), 0x4321
    movq $0, pml4+8*300
    movq %cr3, %rax
    movq %rax, %cr3
    FAULTS "the map is gone", PF, 0, movq (%rbx), %rax
    ret

/* Tables beyond memory, in the local APIC, in themselves at each level. */
tables_in_strange_places:
    movabsq $0x500000000000, %rbx
    movabsq $0x30000000+7, %rax
    movq %rax, pml4+8*160
    FAULTS "a table where there is no memory", PF, ANY, movl (%rbx), %eax
    movl $0xfee00007, %eax
    movq %rax, pml4+8*160
    invlpg (%rbx)
    FAULTS "a table in the local APIC", PF, ANY, movl (%rbx), %eax
    movabsq $0xffffff000+7, %rax
    movq %rax, pml4+8*160
    invlpg (%rbx)
    FAULTS "a table at the end of 36 bits", PF, ANY, movl (%rbx), %eax
    call alloc_page
    movq %rax, %r12
    orq $7, %rax
    movl $512, %ecx
    movq %r12, %rdi
    rep stosq
    movq %rax, pml4+8*160
    invlpg (%rbx)
    movq (%rbx), %rax
    orq $0x60, %rax
    movq %r12, %rcx
    orq $0x67, %rcx
    CHECK_SAME "a page that is its own table, on four levels", %rax, %rcx
    movq $0, 8(%rbx)
    invlpg 4096(%rbx)
    FAULTS "a hole made in it through it", PF, 0, movq 4096(%rbx), %rax
    movq $0, pml4+8*160
    invlpg (%rbx)
    FAULTS "and gone", PF, 0, movq (%rbx), %rax
    /* CR3 beyond memory cannot be tested without losing the code; a PDPT full of itself can */
    ret

/* An entry that changes between two accesses, a thousand times, without faults in between. */
tables_change_under_walk:
    call alloc_page
    movq %rax, %r12
    call alloc_page
    movq %rax, %r13
    movq $1, (%r12)
    movq $2, (%r13)
    movq $WINDOW+0x7000, %rdi
    call pte_of
    movq %rax, %rbx
    movq $WINDOW+0x7000, %rdi
    movl $1000, %ecx
    xorl %r14d, %r14d
1:  leaq 7(%r12), %rax
    movq %rax, (%rbx)
    invlpg (%rdi)
    addq (%rdi), %r14
    leaq 7(%r13), %rax
    xchgq %rax, (%rbx)
    invlpg (%rdi)
    addq (%rdi), %r14
    decl %ecx
    jnz 1b
    CHECK_EQ "two pages in turn", %r14, 3000
    ret

/* Where a monitor on Linux has its own image, heap, libraries and stacks. */
monitor_addresses:
    xorl %r14d, %r14d
    movq $places, %r12
1:  movq (%r12), %r15
    testq %r15, %r15
    jz 2f
    call probe
    addq $8, %r12
    jmp 1b
2:  CHECK_EQ "nothing is there", %r14, 0
    movabsq $0x555555554000, %rax
    USER_FAULTS "nor for a program", PF, 4, movq (%rax), %rcx
    ret

/* GDT and IDT where there is nothing: exceptions become #DF, and that needs an IDT, too. Only
 * survivable variants. */
strange_tables:
    movw $0xffff, scratch
    movabsq $0x800000000000, %rax
    movq %rax, scratch+2
    FAULTS "LGDT of a non-canonical base is #GP", GP, 0, lgdt scratch
    FAULTS "LIDT of a non-canonical base is #GP", GP, 0, lidt scratch
    lgdt gdt_pointer
    lidt idt_pointer
    movq $WINDOW+0x100000, %rax
    movq %rax, scratch+2
    lgdt scratch
    movl $0x60, %ecx
    /* loading a segment faults, and delivering that fault reads CS from the GDT: #DF needs it too.
     * So only the load of a null selector is safe here. */
    xorl %ecx, %ecx
    movl %ecx, %fs
    lgdt gdt_pointer
    CHECK_EQ "a GDT in a missing page, unused", %rcx, 0
    /* a GDT at the end of memory whose last descriptor is cut by the page's end */
    call alloc_page
    movq %rax, %r12
    movq $gdt, %rsi
    leaq 4096-0xd0+16(%rax), %rdi
    movl $24, %ecx
    rep movsq
    MAP WINDOW+0x20000, %r12, 3
    movw $0xcf, scratch
    movq $WINDOW+0x20000+4096-0xd0+16, %rax
    movq %rax, scratch+2
    lgdt scratch
    movl $0xc0, %ecx
    FAULTS "a descriptor in a page that is missing", PF, ANY, movl %ecx, %fs
    lgdt gdt_pointer
    ret

/* Data as code: it ends in a fault somewhere. */
strange_code:
    movq $2f, exc_resume
    movq %rsp, exc_resume_rsp
    movq $-1, exc_vector
    movq $zeros+4096, %rbx
    jmp *%rbx
2:  movq $0, exc_resume
    cmpq $-1, exc_vector
    CHECK_IF "a page of zeros as code ends in a fault", ne
    ret

/* A base that is fine and displacements that lead far away, either way. */
displacement_edges:
    movq $WINDOW+0x30000, %rbx
    call alloc_page
    movq %rax, %r12
    MAP WINDOW+0x30000, %r12, 7
    movq (%rbx), %rax
    FAULTS "2 GB up", PF, 0, movl 0x7fffffff(%rbx), %eax
    FAULTS "one page up", PF, 0, movl 4096(%rbx), %eax
    FAULTS "one page down", PF, 0, movl -4096(%rbx), %eax
    FAULTS "across the end", PF, 0, movl 4094(%rbx), %eax
    xorl %ecx, %ecx
    movl $0x1000, %edx
    movq (%rbx), %rax
    movq 8(%rbx), %rax
    FAULTS "after other uses of the base", PF, 0, movq 4096(%rbx), %rax
    movq (%rbx), %rax
    addq $0x1000, %rbx
    FAULTS "after the base has moved", PF, 0, movq (%rbx), %rax
    subq $0x1000, %rbx
    movq (%rbx), %rax
    FAULTS "with an index", PF, 0, movq (%rbx, %rdx), %rax
    FAULTS "stack-like", PF, 0, movq 0x1000(%rbx, %rcx, 8), %rax
    movabsq $0x00007fffffff0000, %rbp
    FAULTS "RBP at the end of the lower half", PF, 0, movq (%rbp), %rax
    FAULTS "and beyond", SS_VEC, 0, movq 0x10000(%rbp), %rax
    movabsq $0xffff800000000000, %rbp
    FAULTS "below the upper half", SS_VEC, 0, movq -8(%rbp), %rax
    xorl %ebp, %ebp
    FAULTS "below 0 is the top of memory", PF, 0, movq -8(%rbp), %rax
    CHECK_EQ "its CR2", exc_cr2, -8
    ret

/* Indexes of every kind, with a base that is fine. */
index_edges:
    movq $WINDOW+0x30000, %rbx
    movabsq $0x2000000000000000, %rcx
    FAULTS "a large index times 8 wraps", NOTHING, 0, movq 8(%rbx, %rcx, 8), %rax
    movabsq $0x0800000000000000, %rcx
    FAULTS "half of that is not canonical", GP, 0, movq 8(%rbx, %rcx, 8), %rax
    movabsq $0xffffffff, %rcx
    FAULTS "32 GB up", PF, 0, movq 8(%rbx, %rcx, 8), %rax
    movq $-1, %rcx
    FAULTS "one element down", NOTHING, 0, movq 8(%rbx, %rcx, 8), %rax
    movabsq $0x0000100000000000, %rcx
    FAULTS "128 TB up", GP, 0, movq 8(%rbx, %rcx, 8), %rax
    ret

    .data
places:
    .quad 0x555555554000, 0x555555560000, 0x7ffff7fc0000, 0x7ffffffde000, 0x7fffffffe000
    .quad 0x7f0000000000, 0x7fff00000000, 0x100000000000, 0x10000000000, 0x600000000000
    .quad 0x7fffffffd000, 0x562000000000, 0xffffffffff600000, 0xffff888000000000
    .quad 0
    .bss
    .balign 4096
zeros: .skip 8192
scratch: .skip 64
