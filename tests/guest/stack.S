/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program whose stack pointer leaves the place where programs have their stacks, in all ways that
 * there are. An engine that takes accesses to the stack for granted there must notice. Behind such
 * an access may lie anything that the engine keeps; the supervisor's page `spage` lies at the same
 * place in its 64 GB as RSP always has, so that a stray access reads it if the supervisor's memory
 * is what lies there.
 */
#include "guest.inc"
#include "irq.inc"
#include "promote.inc"

    .set REGION, 36
    .set LAST, 0x7f0 /* the program's last terabyte begins there */
    .set HOLE, 0x800 /* addresses that are not canonical */
    .set REGIONS, 0x1000
    .set HOME, 0x7f8000000000
    .set EDGE, 0x7f0000000000 /* of the last terabyte */
    .set STEP, 0x80000

    .text
    .globl guest_main
guest_main:
    NEED_CPUID 7, ebx, 20, "no SMAP"
    pushq %rbp
    PROMOTE_SET_UP
    call alloc_page
    movq %rax, spage
    movq $0x5ec2e7, 0x800(%rax)
    call alloc_page
    movq %rax, upage
    movabsq $HOME, %rdi
    addq spage, %rdi
    movq %rdi, home
    movq upage, %rsi
    movl $7, %edx
    call map_page
    MAP EDGE, upage, 7
    MAP EDGE-0x1000, upage, 7
    SET_CR cr4, CR4_SMAP
    PROMOTE
    movq home, %rax
    addq $0x800, %rax
    movq %rax, user_rsp
    call fresh
    call written
    call stepped
    call edge
    call rows
    CLEAR_CR cr4, CR4_SMAP
    popq %rbp
    ret

/* Runs a program with the address in RDI, which it takes for its RSP and reads: where that is
 * harmless, so that an engine sees the whole way, and in each region. */
.macro SWEEP name, entry
    movq $\entry\()+USER, user_rip
    call sweep
    CHECK_EQ "\name", wrong, 0
.endm

sweep:
    movq $UCODE, user_cs
    movq $0, wrong
    movl $4, %ebx
1:  movq user_rsp, %rdi
    call run_user
    decl %ebx
    jnz 1b
1:  call sweep_one
    incl %ebx
    cmpl $LAST, %ebx
    jne 2f
    movl $HOLE, %ebx
2:  cmpl $REGIONS, %ebx
    jb 1b
    ret

sweep_one:
    movq %rbx, %rdi
    shlq $REGION, %rdi
    addq spage, %rdi
    addq $0x800, %rdi
    movq spage, %rax /* the supervisor has it in use */
    movq 0x800(%rax), %rax
    call run_user
    /* goes on */

/* A page fault at the address in RDI, or #SS because it is in region EBX? */
faulted:
    cmpl $HOLE, %ebx
    jb 3f
    cmpq $SS_VEC, exc_vector
    jne 1f
    ret
3:  cmpq $PF, exc_vector
    jne 1f
    cmpq %rdi, exc_cr2
    je 2f
1:  incq wrong
2:  ret

/* The same with code of its own for each region: an engine that learns from an access that failed
 * has not seen it. Each piece runs where that is harmless first. */
.macro FRESH name, entry
    movq $\entry, %rsi
    call fresh_sweep
    CHECK_EQ "\name, in code not seen before", wrong, 0
.endm

    .set PIECE, 64 /* bytes, at most */

fresh_sweep:
    movq area, %rdi
    movl $REGIONS, %edx
1:  movl $PIECE/8, %ecx
    pushq %rsi
    rep movsq
    popq %rsi
    decl %edx
    jnz 1b
    movq $UCODE, user_cs
    movq $0, wrong
    xorl %ebx, %ebx
2:  movl %ebx, %eax
    imulq $PIECE, %rax, %rax
    addq area, %rax
    addq $USER, %rax
    movq %rax, user_rip
    movq user_rsp, %rdi
    call run_user
    call run_user
    call sweep_one
    incl %ebx
    cmpl $LAST, %ebx
    jne 3f
    movl $HOLE, %ebx
3:  cmpl $REGIONS, %ebx
    jb 2b
    addq $REGIONS*PIECE, area
    ret

fresh:
    FRESH "MOV", by_mov
    FRESH "MOV, a jump, a read", by_mov_jump
    FRESH "MOV, a jump, PUSH", by_mov_push
    FRESH "LEA", by_lea
    FRESH "ADD of a register", by_add
    FRESH "POP", by_pop
    ret

written:
    SWEEP "MOV", by_mov
    SWEEP "MOV, a jump, a read", by_mov_jump
    SWEEP "MOV, a jump, PUSH", by_mov_push
    SWEEP "MOV, a call", by_mov_call
    SWEEP "MOV with flags in use", by_mov_flags
    SWEEP "LEA", by_lea
    SWEEP "XCHG", by_xchg
    SWEEP "CMOV", by_cmov
    SWEEP "ADD of a register", by_add
    SWEEP "XOR of a register", by_xor
    SWEEP "POP", by_pop
    SWEEP "MOV, a jump, RET", by_mov_ret
    SWEEP "a large step", by_large
    SWEEP "MOV and a jump through a register", by_mov_indirect
    ret

by_mov:
    movq %rdi, %rsp
    movq (%rsp), %rax
    int $0x80
by_mov_jump:
    movq (%rsp), %rax
    movq %rdi, %rsp
    jmp 1f
    int3
1:  movq (%rsp), %rax
    int $0x80
by_mov_push:
    leaq 8(%rdi), %rdx
    movq %rdx, %rsp
    jmp 1f
    int3
1:  pushq %rax
    int $0x80
by_mov_call:
    leaq 8(%rdi), %rsp
    call 1f
    int3
1:  int $0x80
by_mov_flags:
    stc
    movq %rdi, %rsp
    jnc 1f
    jmp 2f
1:  int $0x80
2:  movq (%rsp), %rax
    int $0x80
by_lea:
    leaq 0x1000(%rdi), %rsp
    jmp 1f
    int3
1:  movq -0x1000(%rsp), %rax
    int $0x80
by_xchg:
    xchgq %rdi, %rsp
    jmp 1f
    int3
1:  movq (%rsp), %rax
    int $0x80
by_cmov:
    testl %eax, %eax
    cmovzq %rdi, %rsp
    cmovnzq %rdi, %rsp
    jmp 1f
    int3
1:  movq (%rsp), %rax
    int $0x80
by_add:
    movq %rdi, %rsi
    subq %rsp, %rsi
    addq %rsi, %rsp
    jmp 1f
    int3
1:  movq (%rsp), %rax
    int $0x80
by_xor:
    movq %rdi, %rsi
    xorq %rsp, %rsi
    xorq %rsi, %rsp
    jmp 1f
    int3
1:  movq (%rsp), %rax
    int $0x80
by_pop:
    pushq %rdi
    popq %rsp
    jmp 1f
    int3
1:  movq (%rsp), %rax
    int $0x80
by_mov_ret:
    movq %rdi, %rsp
    jmp 1f
    int3
1:  ret
by_large: /* the read before says nothing of what follows the step */
    movq %rsp, %rcx
    subq %rdi, %rcx
    ja 1f
    movq %rdi, %rsp /* above: in one step */
1:  jbe 3f
    shrq $30, %rcx
    movq (%rsp), %rax
2:  subq $0x40000000, %rsp
    decl %ecx
    jnz 2b
3:  movq (%rsp), %rax
    int $0x80
by_mov_indirect:
    leaq 1f(%rip), %rax
    movq %rdi, %rsp
    jmpq *%rax
    int3
1:  movq (%rsp), %rax
    int $0x80

/* Small steps down, for up to 32 regions. ECX: steps; RSP ends where RDI is. */
.macro STEPS name, entry
    movq $\entry\()+USER, user_rip
    call step_sweep
    CHECK_EQ "\name", wrong, 0
.endm

step_sweep:
    movq $UCODE, user_cs
    movq $0, wrong
    movl $4, %ebx
1:  movl %ebx, %ecx
    xorl %edx, %edx
    call run_user
    decl %ebx
    jnz 1b
    movl $1, %ebx
1:  movq %rbx, %rdi
    shlq $REGION, %rdi
    negq %rdi
    addq home, %rdi
    addq $0x800, %rdi
    movl %ebx, %ecx
    shll $REGION-19, %ecx
    xorl %edx, %edx
    movq spage, %rax
    movq 0x800(%rax), %rax
    call run_user
    call faulted
    incl %ebx
    cmpl $32, %ebx
    jb 1b
    ret

stepped:
    STEPS "small steps", by_steps
    STEPS "small steps and a prefetch", by_prefetch
    STEPS "small steps and a read that is jumped over", by_skipped
    STEPS "small steps and a read behind them", by_later
    STEPS "small steps in two blocks", by_blocks
    ret

by_steps:
    subq $STEP, %rsp
    decl %ecx
    jnz by_steps
    movq (%rsp), %rax
    int $0x80
by_prefetch:
    prefetcht0 (%rsp)
    nopl 8(%rsp)
    leaq -STEP(%rsp), %rsp
    decl %ecx
    jnz by_prefetch
    movq (%rsp), %rax
    int $0x80
by_skipped:
    testl %edx, %edx
    jz 1f
    movq (%rsp), %rax
1:  subq $STEP, %rsp
    decl %ecx
    jnz by_skipped
    movq (%rsp), %rax
    int $0x80
by_later:
    subq $STEP, %rsp
    decl %ecx
    jnz by_later
    movq (%rsp), %rax
    pushq %rax
    int $0x80
by_blocks:
    leaq -STEP(%rsp), %rsp
    jmp 1f
    int3
1:  decl %ecx
    jnz by_blocks
    jmp 2f
    int3
2:  movq (%rsp), %rax
    int $0x80

/* Over the edge of the last terabyte and back: what is mapped there stays the program's. */
edge:
    PROGRAM
    movl $3, %ebx
1:  movabsq $EDGE+0x20, %rsp
    movl $8, %ecx
2:  pushq %rcx
    decl %ecx
    jnz 2b
    movl $8, %ecx
    xorl %eax, %eax
3:  popq %rdx
    leaq (%rdx, %rax, 8), %rax
    decl %ecx
    jnz 3b
    decl %ebx
    jnz 1b
    END_PROGRAM "PUSH and POP over the edge"
    CHECK_EQ "what was pushed", exc_regs+F_RAX, 0x29cbc0
    PROGRAM
    movabsq $EDGE-0x800, %rsp
    movl $64, %ecx
1:  pushq %rcx
    call 3f
    popq %rdx
    decl %ecx
    jnz 1b
    jmp 8f
3:  movq 8(%rsp), %rdx
    ret
8:
    END_PROGRAM "calls below the edge"
    CHECK_EQ "their argument", exc_regs+F_RDX, 1
    ret

/* PUSH and POP in a row: one in the middle faults, and RSP is where the ones before left it. */
.macro ROW name, entry, at, rsp, cr2
    movq upage, %rax /* where RET goes */
    movq $\entry\()_end+USER, 0x810(%rax)
    movq home, %rdi
    addq $0x800, %rdi
    USER_RUN "\name: harmless", 0x80, 0, \entry\()_end+USER+2, \entry+USER
    USER_RUN "\name: harmless again", 0x80, 0, \entry\()_end+USER+2, \entry+USER
    movq home, %rdi
    addq $\rsp, %rdi
    USER_RUN "\name", PF, ANY, \at+USER, \entry+USER
    movq home, %rdi
    addq $\cr2, %rdi
    CHECK_SAME "\name: CR2", exc_cr2, %rdi
    movq home, %rdi
    addq $(\cr2+0xfff)&-0x1000, %rdi
    CHECK_SAME "\name: RSP", exc_regs+F_RSP, %rdi
.endm

rows:
    ROW "PUSH in a row", row_push, row_push_at, 0x10, -8
    ROW "POP in a row", row_pop, row_pop_at, 0x1000-0x18, 0x1000
    ROW "RET behind POP", row_ret, row_ret_at, 0x1000-0x10, 0x1000
    CHECK_EQ "what was popped", exc_regs+F_RAX, 0x1234
    ret

row_push:
    movq %rdi, %rsp
    pushq %rax
    pushq $5
row_push_at:
    pushq %rbx
    pushq %rcx
    pushq %rdx
row_push_end:
    int $0x80
row_pop:
    movq %rdi, %rsp
    popq %rax
    popq %rbx
    popq %rbx
row_pop_at:
    popq %rcx
    popq %rdx
row_pop_end:
    int $0x80
row_ret:
    movq $0x1234, (%rdi)
    movq %rdi, %rsp
    popq %rax
    popq %rbx
row_ret_at:
    ret
row_ret_end:
    int $0x80

    .data
    .balign 8
area: .quad 0x1000000 /* free physical memory */
    .bss
    .balign 8
spage: .skip 8
upage: .skip 8
home: .skip 8
wrong: .skip 8
