/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Segments in 64-bit mode: what little is left of them (SDM vol. 3, chapters 3 and 5), far
 * transfers and call gates, descriptor tables, LAR and its relatives.
 */
#include "guest.inc"

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    call ignored
    call accessed
    call far_transfers
    call call_gates
    call lookups
    call tables
    call local_table
    popq %rbp
    ret

/* Bases and limits of CS, DS, ES and SS do not count. */
ignored:
    movq $0x0040930100000000, %rax /* base 0x10000, limit 0 */
    movq %rax, gdt+SPARE_SEL
    movq $0x1234, words
    movl $SPARE_SEL, %ecx
    movl %ecx, %ds
    movl %ecx, %es
    CHECK_EQ "DS with a base and no limit", words, 0x1234
    movl %ecx, %ss
    pushq $0x77
    popq %rax
    CHECK_EQ "SS with a base and no limit", %rax, 0x77
    movl $KDATA, %ecx
    movl %ecx, %ss
    movl %ds, %eax
    CHECK_EQ "the selector is there", %rax, SPARE_SEL
    xorl %ecx, %ecx
    movl %ecx, %ds
    movl %ecx, %es
    CHECK_EQ "a null DS", words, 0x1234
    movq $words, %rdi
    movl $0x55, %eax
    stosq
    CHECK_EQ "STOS through a null ES", words, 0x55
    movw %ds, words
    movzwl words, %eax
    CHECK_EQ "MOV of a segment register stores 16 bits", %rax, 0
    movq $-1, %rax
    movw %cs, %ax
    CHECK_EQ "16 bits into a register", %rax, -65536+KCODE
    movq $-1, %rax
    movl %cs, %eax
    CHECK_EQ "32 bits clear the rest", %rax, KCODE
    pushq %fs
    popq %rax
    CHECK_EQ "PUSH FS", %rax, 0
    pushq $KDATA
    popq %gs
    movl %gs, %eax
    CHECK_EQ "POP GS", %rax, KDATA
    xorl %eax, %eax
    movl %eax, %gs
    ret

/* Loading a descriptor sets its accessed bit. */
accessed:
    movq $0x00cf92000000ffff, %rax
    movq %rax, gdt+SPARE_SEL
    movl $SPARE_SEL, %ecx
    movl %ecx, %fs
    CHECK_EQ "loading sets the accessed bit", gdt+SPARE_SEL, 0x00cf93000000ffff
    xorl %ecx, %ecx
    movl %ecx, %fs
    ret

far_transfers:
    movq %rsp, %rbp
    movq $1f, words
    movw $KCODE, words+8
    rex.w ljmp *words
    ud2
1:  movl $1f, words
    movw $KCODE, words+4
    ljmpl *words
    ud2
1:  pushq $KCODE
    pushq $1f
    lretq
    ud2
1:  CHECK_SAME "far JMP and RET: RSP", %rbp, %rbp
    pushq $0x99
    pushq $0x98
    pushq $KCODE
    pushq $1f
    lretq $16
1:  movq %rsp, %rax
    CHECK_SAME "far RET with an operand", %rax, %rbp
    movq $2f, words
    movw $KCODE, words+8
    rex.w lcall *words
    jmp 1f
2:  movq 8(%rsp), %rax
    lretq
1:  CHECK_EQ "far CALL pushes CS", %rax, KCODE
    movq %rsp, %rax
    CHECK_SAME "RSP is balanced", %rax, %rbp
    movw $KDATA, words+8
    FAULTS "far JMP to data", GP, KDATA, rex.w ljmp *words
    movw $0, words+8
    FAULTS "far JMP to null", GP, 0, rex.w ljmp *words
    movw $UCODE, words+8
    FAULTS "far JMP to a program's code", GP, UCODE&~3, rex.w ljmp *words
    movw $0x4000, words+8
    FAULTS "far JMP beyond the GDT", GP, 0x4000, rex.w lcall *words
    movw $TSS_SEL, words+8
    FAULTS "far JMP to a TSS in 64-bit mode", GP, TSS_SEL, rex.w ljmp *words
    movq $0x00af1b000000ffff, %rax
    movq %rax, gdt+SPARE_SEL
    movw $SPARE_SEL, words+8
    FAULTS "far JMP to absent code", NP, SPARE_SEL, rex.w ljmp *words
    movabsq $0x800000000000, %rax
    movq %rax, words
    movw $KCODE, words+8
    FAULTS "far JMP to a non-canonical address", GP, 0, rex.w ljmp *words
    /* a far RET to CPL 3 */
    movq $92f, exc_resume
    movq %rsp, exc_resume_rsp
    pushq $UDATA
    pushq user_rsp
    pushq $UCODE
    pushq $91f+USER
    lretq
91: int $0x80
92: call check_fault
    .quad 91f, 91b+USER+2
    .long 0x80, 0
    .pushsection .rodata
91: .asciz "far RET to CPL 3"
    .popsection
    CHECK_EQ "its CS", exc_regs+F_CS, UCODE
    CHECK_SAME "its RSP", exc_regs+F_RSP, user_rsp
    /* conforming code keeps the caller's CPL */
    movq $0x00af9f000000ffff, %rax
    movq %rax, gdt+SPARE_SEL
    PROGRAM
    pushq $SPARE_SEL
    leaq 7f(%rip), %rax
    pushq %rax
    pushq $SPARE_SEL+3
    leaq 8f(%rip), %rax
    pushq %rax
    lretq
8:  movl %cs, %ecx
    nop
7:
    END_PROGRAM "far RET to conforming code"
    CHECK_EQ "at CPL 3", exc_regs+F_RCX, SPARE_SEL+3
    ret

/* 64-bit call gates: 16 bytes, into CPL 0 with RSP0, and back. */
call_gates:
    movq $gate_entry, %rax
    movq %rax, %rcx
    andl $0xffff, %ecx
    orl $KCODE<<16, %ecx
    movl %ecx, gdt+SPARE_SEL
    movq %rax, %rcx
    andl $0xffff0000, %ecx
    orl $0xec00, %ecx
    movl %ecx, gdt+SPARE_SEL+4
    shrq $32, %rax
    movq %rax, gdt+SPARE_SEL+8
    movl $0, words
    movw $SPARE_SEL+3, words+4
    PROGRAM
    movq $words+USER, %rbx
    movq %rsp, %rdi
    lcall *(%rbx)
    subq %rsp, %rdi
    END_PROGRAM "a call gate to CPL 0 and back"
    CHECK_EQ "CS in the gate", gate_cs, KCODE
    CHECK_EQ "the program's CS on the stack", gate_caller, UCODE
    CHECK_EQ "on RSP0", gate_rsp, exc_stack_top-32
    CHECK_EQ "RSP is balanced", exc_regs+F_RDI, 0
    movb $0x8c, gdt+SPARE_SEL+5
    jmp 5f
4:  movq $words+USER, %rbx
6:  lcall *(%rbx)
5:  USER_RUN "a gate with DPL 0", GP, SPARE_SEL, 6b+USER, 4b+USER
    movb $0x6c, gdt+SPARE_SEL+5
    jmp 5f
4:  movq $words+USER, %rbx
6:  lcall *(%rbx)
5:  USER_RUN "an absent gate", NP, SPARE_SEL, 6b+USER, 4b+USER
    movq $0, gdt+SPARE_SEL+8
    movq $0, gdt+SPARE_SEL
    ret
gate_entry:
    movl %cs, %eax
    movq %rax, gate_cs
    movq %rsp, gate_rsp
    movq 8(%rsp), %rax
    movq %rax, gate_caller
    lretq

lookups:
    movl $KCODE, %ecx
    larl %ecx, %eax
    CHECK_IF "LAR of code", z
    andl $0xf0ff00, %eax
    CHECK_EQ "its rights", %rax, 0xa09b00
    lsll %ecx, %eax
    CHECK_EQ "LSL: pages", %rax, 0xffffffff
    movl $TSS_SEL, %ecx
    lsll %ecx, %eax
    CHECK_EQ "LSL of the TSS", %rax, 0x67
    larl %ecx, %eax
    CHECK_IF "LAR of the TSS", z
    xorl %ecx, %ecx
    movl $77, %eax
    larl %ecx, %eax
    CHECK_IF "LAR of null", nz
    CHECK_EQ "keeps the register", %rax, 77
    movl $0x4000, %ecx
    lsll %ecx, %eax
    CHECK_IF "LSL beyond the GDT", nz
    movl $KCODE, %ecx
    verr %cx
    CHECK_IF "VERR of readable code", z
    verw %cx
    CHECK_IF "VERW of code", nz
    movl $KDATA, %ecx
    verw %cx
    CHECK_IF "VERW of data", z
    PROGRAM
    movl $KDATA, %ecx
    larl %ecx, %eax
    setz %bl
    verr %cx
    setz %bh
    END_PROGRAM "LAR and VERR of a supervisor's segment in a program"
    movzwl exc_regs+F_RBX, %eax
    CHECK_EQ "both say no", %rax, 0
    ret

/* The tables themselves: limits, missing pages, moved while in use. */
tables:
    sgdt words
    CHECK_EQ "SGDT", words+2, gdt
    movq $gdt, %rsi
    movq $other_gdt, %rdi
    movl $26, %ecx
    rep movsq
    movq $other_gdt, words+2
    movw $0xcf, words
    lgdt words
    movq $0x00cf930000770000|0xffff, %rax
    movq %rax, other_gdt+SPARE_SEL
    movl $SPARE_SEL, %ecx
    movl %ecx, %fs
    MSR_READ MSR_FS_BASE
    CHECK_EQ "a descriptor from another table", %rax, 0x77
    movq %rax, other_gdt+SPARE_SEL
    lgdt gdt_pointer
    movw $0x2f, words
    lgdt words
    movl $0x30, %ecx
    FAULTS "a selector at the limit", GP, 0x30, movl %ecx, %fs
    movw $0x36, words
    lgdt words
    FAULTS "a descriptor that is cut by the limit", GP, 0x30, movl %ecx, %fs
    lgdt gdt_pointer
    FAULTS "and with the whole table", NOTHING, 0, movl %ecx, %fs
    movw $0xffff, words
    movq $WINDOW, %rax
    movq %rax, words+2
    lgdt words
    movl $SPARE_SEL, %ecx
    movq $exc_stack_top, %rax
    lgdt gdt_pointer
    xorl %ecx, %ecx
    movl %ecx, %fs
    ret

local_table:
    movq $other_gdt, %rax
    movq $0x0000820000000017, %rcx
    movl %eax, %edx
    andl $0xffffff, %edx
    shlq $16, %rdx
    orq %rdx, %rcx
    movq %rcx, gdt+SPARE_SEL
    movq $0, gdt+SPARE_SEL+8
    movl $SPARE_SEL, %ecx
    lldt %cx
    sldt %eax
    CHECK_EQ "SLDT", %rax, SPARE_SEL
    movq $0x00cf930000880000|0xffff, %rax
    movq %rax, other_gdt+8
    movl $8+4, %ecx
    movl %ecx, %fs
    MSR_READ MSR_FS_BASE
    CHECK_EQ "a descriptor from the LDT", %rax, 0x88
    movl $24+4, %ecx
    FAULTS "a selector beyond the LDT", GP, 24+4, movl %ecx, %fs
    xorl %ecx, %ecx
    movl %ecx, %fs
    lldt %cx
    movl $8+4, %ecx
    FAULTS "without an LDT", GP, 8+4, movl %ecx, %fs
    ret

    .bss
    .balign 16
words: .skip 64
gate_cs: .skip 8
gate_rsp: .skip 8
gate_caller: .skip 8
    .balign 16
other_gdt: .skip 256
