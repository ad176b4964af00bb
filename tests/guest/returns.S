/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CALL and RET where a prediction of returns may go wrong: stacks that are deep, switched, moved or
 * written to; code and address spaces that change between a call and its return; flags that a
 * callee or a caller hands over; targets that look like known ones.
 */
#include "guest.inc"

    .set DEPTH, 40000

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    call alloc_page
    movq %rax, page1
    call alloc_page
    movq %rax, page2
    call deep
    call written
    call switched
    call aliased
    call flags
    call immediate
    call exchanged
    call retired
    call forged
    call programs
    popq %rbp
    ret

/* More frames than any predictor has; the stack is in the free memory above the pool. */
deep:
    movq %rsp, %rbp
    movq $POOL+0x800000, %rsp
    movl $3, %r13d
1:  movl $DEPTH, %ecx
    xorl %eax, %eax
    call down
    cmpq $DEPTH, %rax
    jne 2f
    decl %r13d
    jnz 1b
2:  movq %rbp, %rsp
    CHECK_EQ "a deep recursion, three times", %r13, 0
    ret
down:
    decl %ecx
    jz 1f
    call down
1:  incl %eax
    ret

/* The callee returns somewhere else, by a new address in its frame or by dropping frames. */
written:
    movl $100, %r13d
    xorl %ebx, %ebx
1:  call 3f
    incl %ebx
2:  decl %r13d
    jnz 1b
    jmp 4f
3:  testl $1, %r13d
    jz 5f
    movq $2b, (%rsp)
5:  ret
4:  CHECK_EQ "a return address changed every other time", %rbx, 50
    movl $100, %r13d
    xorl %ebx, %ebx
1:  call 2f
    incl %ebx
    decl %r13d
    jnz 1b
    jmp 5f
2:  call 3f
    addl $1000, %ebx
    ret
3:  call 4f
    addl $1000, %ebx
    ret
4:  addq $16, %rsp
    ret
5:  CHECK_EQ "a return over two frames", %rbx, 100
    movl $100, %r13d
1:  pushq $2f
    ret
    ud2
2:  decl %r13d
    jnz 1b
    CHECK_EQ "RET as a jump", %r13, 0
    movl $100, %r13d
1:  call 2f
2:  popq %rax
    decl %r13d
    jnz 1b
    CHECK_EQ "CALL to ask for the place", %rax, 2b
    ret

/* Two coroutines whose stacks lie a power of two apart. */
switched:
    movq %rsp, %rbp
    movq $POOL+0x600000, %r14
    movq $POOL+0x640000, %r15
    leaq -8(%r15), %r15
    movq $other, (%r15)
    movq %r14, %rsp
    movl $200, %r13d
    xorl %ebx, %ebx
1:  call yield
    incl %ebx
    decl %r13d
    jnz 1b
    movq %rbp, %rsp
    CHECK_EQ "two stacks in turn", %rbx, 200+100*6-4
    ret
other:
    addl $2, %ebx
    call yield
    call 1f
    jmp other
1:  call yield
    addl $1, %ebx
    addl $3, %ebx
    ret
yield:
    xchgq %rsp, %r15
    ret

/* The same code called at stacks a byte apart: return addresses overlap. */
aliased:
    movq %rsp, %rbp
    xorl %ebx, %ebx
    movl $64, %r13d
1:  movq %rbp, %rsp
    movl %r13d, %eax
    andl $15, %eax
    subq %rax, %rsp
    call 3f
    movl %r13d, %eax
    andl $7, %eax
    subq %rax, %rsp
    call 3f
    decl %r13d
    jnz 1b
    movq %rbp, %rsp
    CHECK_EQ "stacks at odd addresses", %rbx, 256
    ret
3:  call 4f
4:  incl %ebx
    ret

/* All status flags, whole: RAX = flags. */
.macro FLAGS
    pushfq
    popq %rax
    andl $0x8d5, %eax
.endm
.macro SET_FLAGS value
    pushq $\value+2
    popfq
.endm

flags:
    movl $20, %r13d
1:  SET_FLAGS 0x8d5
    call 3f
    FLAGS
    cmpl $0x811, %eax
    jne 2f
    SET_FLAGS 0x40
    movq $3f, %rcx
    call *%rcx
    FLAGS
    cmpl $0x811, %eax
    jne 2f
    cmpl $0x40, %edx
    jne 2f
    SET_FLAGS 0x895
    movq $4f, %rcx
    jmp *%rcx
4:  FLAGS
    cmpl $0x895, %eax
    jne 2f
    SET_FLAGS 0xc4
    pushq $5f
    ret
5:  FLAGS
    cmpl $0xc4, %eax
    jne 2f
    decl %r13d
    jnz 1b
2:  CHECK_EQ "flags through calls, returns and jumps", %r13, 0
    movl $20, %r13d
    xorl %ebx, %ebx
1:  cmpl %ecx, %ecx
    call 6f
    jz 2f
    jnc 2f
    stc
    call 7f
    jc 2f
    incl %ebx
2:  decl %r13d
    jnz 1b
    CHECK_EQ "a callee that answers by flags", %rbx, 20
    ret
    /* RDX = the flags that come in; those that go out are CF, AF and OF */
3:  FLAGS
    movl %eax, %edx
    SET_FLAGS 0x811
    ret
6:  testl %esp, %esp
    stc
    ret
7:  jnc 8f
    clc
8:  ret

/* RET with bytes to drop. */
immediate:
    movl $50, %r13d
    movq %rsp, %rbp
1:  pushq $1
    pushq $2
    call 2f
    pushq $3
    call 3f
    decl %r13d
    jnz 1b
    CHECK_EQ "RET imm16", %r13, 0
    movq %rsp, %rax
    CHECK_SAME "and RSP", %rax, %rbp
    ret
2:  ret $16
3:  ret $8

/* The caller's page is exchanged by the callee: it returns into the new one. */
exchanged:
    movq page1, %rdi
    movq $1f, %rsi
    movl $3f-1f, %ecx
    rep movsb
    movq page2, %rdi
    movq $1f, %rsi
    movl $3f-1f, %ecx
    rep movsb
    movq page2, %rax
    movb $2, 2f-1f+1(%rax)
    movq $WINDOW, %r12
    movq $space, %r15
    movl $100, %r13d
4:  MAP WINDOW, page1, 7
    movq page2, %r14
    call *%r12
    cmpl $2, %eax
    jne 5f
    MAP WINDOW, page2, 7
    movq page1, %r14
    call *%r12
    cmpl $1, %eax
    jne 5f
    decl %r13d
    jnz 4b
5:  CHECK_EQ "the caller's page is another one when the callee returns", %r13, 0
    MAP WINDOW, page1, 7
    movl $100, %r13d
    movq $7f, %r15
4:  call *%r12
    cmpl $1, %eax
    jne 5f
    decl %r13d
    jnz 4b
5:  CHECK_EQ "CR3 is loaded meanwhile", %r13, 0
    ret
space:
    movq $WINDOW, %rdi
    movq %r14, %rsi
    movl $7, %edx
    jmp map_page
7:  movq %cr3, %rax
    movq %rax, %cr3
    ret
1:  call *%r15
2:  movb $1, %al
    movzbl %al, %eax
    ret
3:

/* The callee writes to the caller's code, behind the call. */
retired:
    movl $100, %r13d
    xorl %ebx, %ebx
1:  call 3f
2:  addl $0x11, %ebx
    decl %r13d
    jnz 1b
    jmp 4f
3:  movb %r13b, 2b+2
    andb $1, 2b+2
    ret
4:  CHECK_EQ "code behind a call that the callee writes", %rbx, 50
    ret

/* Targets that are a known one but for what an engine may add to it. */
forged:
    movq $WINDOW, %r12
    MAP WINDOW, page1, 7
    movq $7b, %r15
    call *%r12
    movq %cr3, %rax
    movq %rax, %cr3
    call *%r12
    movl $15, %r13d
    movabsq $0x0001000000000000, %rbx
    movq %r12, %r14
1:  addq %rbx, %r14
    movq %cr3, %rax
    movq %rax, %cr3
    movq $-1, exc_vector
    movq $2f, exc_resume
    movq %rsp, exc_resume_rsp
    movq %r13, scratch
    jmp *%r14
2:  movq scratch, %r13
    cmpq $GP, exc_vector
    jne 3f
    decl %r13d
    jnz 1b
3:  CHECK_EQ "a known target plus multiples of 2^48 is not canonical", %r13, 0
    ret

/* In a program, whose pages go away with each CR3 load. */
programs:
    PROGRAM
    movl $1000, %ecx
    xorl %eax, %eax
    call 7f
    jmp 8f
7:  decl %ecx
    jz 9f
    call 7b
9:  incl %eax
    ret
8:
    END_PROGRAM "a recursion in a program"
    CHECK_EQ "its depth", exc_regs+F_RAX, 1000
    PROGRAM
    .code32
    movl $1000, %ecx
    xorl %eax, %eax
    call 7f
    jmp 8f
7:  decl %ecx
    jz 9f
    call 7b
9:  incl %eax
    ret
8:
    END_PROGRAM "a recursion in compatibility mode", UCODE32
    CHECK_EQ "its depth there", exc_regs+F_RAX, 1000
    PROGRAM
    .code32
    movl $20, %ecx
1:  call 2f
    loop 1b
    jmp 4f
2:  call 3f
    incl %eax
    ret
3:  ret
4:
    END_PROGRAM "return addresses four bytes apart", UCODE32
    /* The program calls from a page of its own; then that is not mapped any more, and a RET at the
     * same stack goes to small numbers, to which nothing is mapped for a program. */
    movq page2, %rax
    movl $0xe8909090, (%rax) /* NOPs, CALL 2f, INT 0x80, 2: RET */
    movl $0x00000002, 4(%rax)
    movl $0xc380cd, 8(%rax)
    MAP WINDOW+0x7000, page2, 7
    movl $5, %r13d
1:  movl $WINDOW+0x7000, user_rip
    movq $UCODE, user_cs
    call run_user
    decl %r13d
    jnz 1b
    movq %cr3, %rax
    movq %rax, %cr3
    xorl %ebx, %ebx
1:  movq user_rsp, %rdx
    subq $USER, %rdx
    movq %rbx, -8(%rdx)
    movq $-1, exc_vector
    movq $5f+USER, user_rip
    call run_user
    cmpq $PF, exc_vector
    jne 2f
    cmpq %rbx, exc_regs+F_RIP
    jne 2f
    incl %ebx
    cmpl $64, %ebx
    jb 1b
2:  CHECK_EQ "RET to small numbers", %rbx, 64
    ret
5:  subq $8, %rsp
    ret

    .bss
    .balign 8
page1: .skip 8
page2: .skip 8
scratch: .skip 8
