/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Addresses at the edges: non-canonical ones (#GP, #SS through RSP and RBP), accesses that run
 * over the end of a canonical half, stacks at page borders, a stack pointer that wraps, deliveries
 * on bad stacks.
 */
#include "guest.inc"

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    movabsq $0x0000800000000000, %rbx
    call data
    call edges
    call stacks
    call branches
    call page_edges
    call wrapping
    call bad_handlers_stack
    popq %rbp
    ret

data:
    FAULTS "read", GP, 0, movl (%rbx), %eax
    FAULTS "write", GP, 0, movl %eax, (%rbx)
    FAULTS "locked", GP, 0, lock incl (%rbx)
    FAULTS "vector", GP, 0, movups (%rbx), %xmm0
    FAULTS "x87", GP, 0, fldl (%rbx)
    FAULTS "PUSH of a memory operand", GP, 0, pushq (%rbx)
    FAULTS "JMP through memory", GP, 0, jmp *(%rbx)
    FAULTS "XSAVE area", GP, 0, fxsave (%rbx)
    FAULTS "LGDT", GP, 0, lgdt (%rbx)
    FAULTS "LIDT", GP, 0, lidt (%rbx)
    FAULTS "base plus index", GP, 0, movl (%rbx, %rbx), %eax
    movabsq $0xffff7fffffffffff, %rcx
    FAULTS "just below the upper half", GP, 0, movb (%rcx), %al
    FAULTS "LEA is not an access", NOTHING, 0, leaq (%rbx), %rax
    FAULTS "INVLPG does nothing", NOTHING, 0, invlpg (%rbx)
    FAULTS "PREFETCH does nothing", NOTHING, 0, prefetcht0 (%rbx)
    USER_FAULTS "read by a program", GP, 0, movl (%rbx), %eax
    movq %rbx, %rsi
    movq %rbx, %rdi
    movl $1, %ecx
    FAULTS "MOVS", GP, 0, movsb
    FAULTS "STOS", GP, 0, stosq
    FAULTS "CLFLUSH", GP, 0, clflush (%rbx)
    movabsq $0x4141414141414141, %rcx
    FAULTS "a pointer of letters", GP, 0, movq (%rcx), %rax
    movabsq $0x8000000000000000, %rcx
    FAULTS "the sign bit alone", GP, 0, movq (%rcx), %rax
    FAULTS "an absolute address in the instruction", GP, 0, movabsb 0x1234567812345678, %al
    ret

/* The last bytes of the lower half and what crosses from them. */
edges:
    call alloc_page
    movq %rax, page
    movabsq $0x00007ffffffff000, %rdi
    movq page, %rsi
    movl $7, %edx
    call map_page
    movabsq $0x00007ffffffffff8, %r12
    FAULTS "the last quadword of the lower half", NOTHING, 0, movq (%r12), %rax
    FAULTS "a quadword across its end", GP, 0, movq 4(%r12), %rax
    FAULTS "a store across its end", GP, 0, movups %xmm0, (%r12)
    USER_OK "a program reads the last byte", movb 7(%r12), %al
    movq $-1, %rcx
    FAULTS "the last byte of memory", PF, 0, movb (%rcx), %al
    CHECK_EQ "its CR2", exc_cr2, -1
    FAULTS "a word across the end of memory", PF, ANY, movw (%rcx), %ax
    movabsq $0xffff800000000000, %rcx
    FAULTS "the first byte of the upper half", PF, 0, movb (%rcx), %al
    USER_FAULTS "a program reads it", PF, 4, movb (%rcx), %al
    movq $4, %rcx
    movq $0x55, scratch
    FAULTS "a negative displacement below 0", PF, ANY, movb -8(%rcx), %al
    CHECK_EQ "its CR2", exc_cr2, -4
    ret

/* As FAULTS while RSP itself is the bad address; the checks run on the stack at RBP. */
.macro FAULTS_ON_STACK name, vector, error, insn:vararg
    movq %rbx, %rsp
    movq $93f, exc_resume
    movq %rbp, exc_resume_rsp
    movq $-1, exc_vector
92: \insn
93: call check_fault
    .quad 91f, 92b
    .long \vector, \error
    .pushsection .rodata
91: .asciz "\name with RSP there"
    .popsection
.endm

stacks:
    movabsq $0x0000800000001000, %rbx /* so that PUSH does not reach the lower half */
    movq %rsp, %rbp
    movb $2, idt+SS_VEC*16+4
    FAULTS_ON_STACK "PUSH", SS_VEC, 0, pushq %rax
    FAULTS_ON_STACK "POP", SS_VEC, 0, popq %rax
    FAULTS_ON_STACK "CALL", SS_VEC, 0, call data
    FAULTS_ON_STACK "RET", SS_VEC, 0, ret
    FAULTS_ON_STACK "PUSHF", SS_VEC, 0, pushfq
    FAULTS_ON_STACK "POPF", SS_VEC, 0, popfq
    FAULTS_ON_STACK "a read through RSP", SS_VEC, 0, movl (%rsp), %eax
    FAULTS_ON_STACK "IRETQ", SS_VEC, 0, iretq
    movq %rbp, %rsp
    movq %rsp, %r13
    movq %rbx, %rbp
    FAULTS "a read through RBP", SS_VEC, 0, movl (%rbp), %eax
    FAULTS "a read through RBP and an index", SS_VEC, 0, movl (%rbp, %rcx), %eax
    movq %r13, %rsp
    movb $0, idt+SS_VEC*16+4
    movq user_rsp, %r14
    movq %rbx, user_rsp
    USER_FAULTS "PUSH of a program", SS_VEC, 0, pushq %rax
    USER_FAULTS "RET of a program", SS_VEC, 0, ret
    movq %r14, user_rsp
    ret

branches:
    FAULTS "JMP to a register", GP, 0, jmp *%rbx
    FAULTS "CALL to a register", GP, 0, call *%rbx
    movq %rbx, scratch
    FAULTS "JMP through memory", GP, 0, jmp *scratch
    movq $0x7777, -8(%rsp)
    FAULTS "CALL through memory", GP, 0, call *scratch
    pushq %rbx
    movq %rsp, %rbp
    FAULTS "RET", GP, 0, ret
    CHECK_SAME "RSP is as before", exc_regs+F_RSP, %rbp
    popq %rax
    USER_FAULTS "JMP of a program", GP, 0, jmp *%rbx
    USER_FAULTS "CALL of a program", GP, 0, call *%rbx
    CHECK_SAME "RSP is as before the CALL", exc_regs+F_RSP, user_rsp
    ret

/* Pushes across page borders, with the next page there or not. */
page_edges:
    call alloc_page
    movq %rax, page2
    MAP WINDOW+0x10000, page, 7
    MAP WINDOW+0x11000, page2, 7
    movq user_rsp, %r14
    movq $WINDOW+0x11004, %rax
    movq %rax, user_rsp
    PROGRAM
    movabsq $0x1122334455667788, %rax
    pushq %rax
    popq %rcx
    call 7f
    jmp 8f
7:  popq %rdx
8:  pushq %rax
    movq (%rsp), %rdi
    addq $8, %rsp
    END_PROGRAM "a stack across two pages"
    CHECK_SAME "what was pushed comes back", exc_regs+F_RCX, exc_regs+F_RAX
    movq page, %rax
    movl 0xffc(%rax), %eax
    CHECK_EQ "its lower half in the lower page", %rax, 0x55667788
    MAP WINDOW+0x10000, page, 0
    USER_FAULTS "the lower page missing", PF, 6, pushq %rax
    CHECK_SAME "RSP", exc_regs+F_RSP, user_rsp
    CHECK_EQ "CR2", exc_cr2, WINDOW+0x10ffc
    MAP WINDOW+0x10000, page, 7
    MAP WINDOW+0x11000, page2, 0
    USER_FAULTS "the upper page missing", PF, 6, pushq %rax
    CHECK_EQ "CR2", exc_cr2, WINDOW+0x11000
    movq $WINDOW+0x11000, %rax
    movq %rax, user_rsp
    USER_OK "a PUSH right below the border", pushq %rax
    MAP WINDOW+0x10000, page, 5
    USER_FAULTS "a read-only stack", PF, 7, pushq %rax
    movq %r14, user_rsp
    ret

/* RSP wraps at 64 bits: PUSH at 0 goes to the top of memory. */
wrapping:
    movabsq $0xfffffffffffff000, %rdi
    movq page, %rsi
    movl $7, %edx
    call map_page
    movq user_rsp, %r14
    movq $0, user_rsp
    movabsq $0x5a5a5a5a5a5a5a5a, %rax
    USER_OK "PUSH with RSP = 0", pushq %rax
    CHECK_EQ "RSP", exc_regs+F_RSP, -8
    movq page, %rcx
    CHECK_SAME "the value", 0xff8(%rcx), %rax
    movq $-8, user_rsp
    USER_OK "POP at the top of memory", popq %rcx
    CHECK_EQ "RSP is 0", exc_regs+F_RSP, 0
    CHECK_SAME "the value comes back", exc_regs+F_RCX, %rax
    movq %r14, user_rsp
    movabsq $0xfffffffffffff000, %rdi
    xorl %esi, %esi
    xorl %edx, %edx
    call map_page
    ret

/* The stack for the handler is bad: #DF on its own stack. */
bad_handlers_stack:
    movq tss+4, %r14
    movq %rbx, tss+4
    USER_FAULTS "a non-canonical RSP0: #SS, then #DF", DF_VEC, 0, ud2
    movq $WINDOW+0x20000, %rax
    movq %rax, tss+4
    USER_FAULTS "RSP0 in a missing page: #PF, then #DF", DF_VEC, 0, ud2
    movq %r14, tss+4
    movq %rsp, %rbp
    movq $WINDOW+0x20000, %rsp
    movq $93f, exc_resume
    movq %rbp, exc_resume_rsp
    movq $-1, exc_vector
92: ud2
93: call check_fault
    .quad 91f, 92b
    .long DF_VEC, 0
    .pushsection .rodata
91: .asciz "a supervisor's stack in a missing page: #DF"
    .popsection
    ret

    .bss
scratch: .skip 64
page: .skip 8
page2: .skip 8
