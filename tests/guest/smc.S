/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Self-modifying code: a store to code is seen by the next fetch, with no more than a jump in
 * between (and on one CPU not even that; SDM vol. 3, 8.1.3 and 11.6). Stores come from the same
 * block, the same page, another page, another linear address of the same memory.
 */
#include "guest.inc"

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    call same_block
    call same_page
    call other_page
    call alias
    call call_targets
    call string_stores
    call loop_patches
    call generator
    call program
    call near_code
    call wide_stores
    call pushed_flags
    popq %rbp
    ret

/* PUSHF stores into its own line; what follows still knows where it is. */
pushed_flags:
    movq %rsp, %rcx
    leaq 3f+8(%rip), %rsp
    pushfq
    movq %rcx, %rsp
    leaq 2f(%rip), %rax
2:  movabsq $2b, %rdx
    subq %rdx, %rax
    jmp 4f
    .balign 8
3:  .quad 0
4:  CHECK_EQ "PUSHF into the line it is in", %rax, 0
    ret

/* The immediate of an instruction that follows at once. */
same_block:
    xorl %eax, %eax
    movb $0x55, 1f+1
1:  movb $0x11, %al
    CHECK_EQ "a store to the next instruction", %rax, 0x55
    xorl %eax, %eax
    movw $0xb0+(0x66<<8), 1f
    jmp 1f
    nop
1:  movb $0x11, %al
    CHECK_EQ "a store to the target of the next jump", %rax, 0x66
    movl $5, %ecx
    xorl %eax, %eax
1:  addl $1, %eax /* 83 c0 01 */
    incb 1b+2
    decl %ecx
    jnz 1b
    CHECK_EQ "a loop that changes its own addend", %rax, 15
    movb $1, 1b+2
    movl $1000, %ecx
    xorl %eax, %eax
    xorl %edx, %edx
1:  addl $0, %eax
    xorb $1, 1b+2
    decl %ecx
    jnz 1b
    CHECK_EQ "a thousand changes", %rax, 500
    ret

    .balign 4096
patch_page:
1:  movl $1, %eax
    ret
    .balign 256
2:  movl %edi, 1b+1
    call 1b
    ret
    .balign 4096
same_page:
    call 1b
    CHECK_EQ "before", %rax, 1
    movl $0x1234, %edi
    call 2b
    CHECK_EQ "patched from the same page", %rax, 0x1234
    movl $0x4321, %edi
    call 2b
    CHECK_EQ "and again", %rax, 0x4321
    ret

other_page:
    movl $1000, %ebx
    xorl %r12d, %r12d
1:  movl %ebx, patch_page+1
    call patch_page
    cmpl %eax, %ebx
    jne 2f
    decl %ebx
    jnz 1b
2:  CHECK_EQ "patched from another page, a thousand times", %rbx, 0
    ret

/* The code is executed here and written through USER. */
alias:
    movl $1000, %ebx
1:  movl %ebx, patch_page+1+USER
    call patch_page
    cmpl %eax, %ebx
    jne 2f
    decl %ebx
    jnz 1b
2:  CHECK_EQ "written through another linear address", %rbx, 0
    movl $100, %ebx
1:  movl %ebx, patch_page+1
    movq $patch_page+USER, %rax
    call *%rax
    cmpl %eax, %ebx
    jne 2f
    movl $0x77, patch_page+1
    call patch_page
    cmpl $0x77, %eax
    jne 2f
    decl %ebx
    jnz 1b
2:  CHECK_EQ "executed at two addresses", %rbx, 0
    ret

/* The displacement of a CALL, the target of a JMP, a Jcc turned around. */
call_targets:
    xorl %eax, %eax
    movl $20, %ecx
1:  call target_a /* e8 rel32 */
4:  xorl $(target_a-4b)^(target_b-4b), 1b+1
    decl %ecx
    jnz 1b
    jmp 3f
target_a:
    addl $1, %eax
    ret
target_b:
    addl $100, %eax
    ret
3:  CHECK_EQ "a CALL that alternates between two targets", %rax, 1010
    xorl %eax, %eax
    movl $20, %ecx
1:  stc
2:  jc 3f /* 72 */
    addl $100, %eax
    jmp 4f
3:  addl $1, %eax
4:  xorb $1, 2b
    decl %ecx
    jnz 1b
    CHECK_EQ "a JC that alternates with JNC", %rax, 1010
    ret

/* Code copied over code by string instructions. */
string_stores:
    movl $20, %ebx
    xorl %r12d, %r12d
1:  movq $snippet_a, %rsi
    movq $snippet_b, %rax
    testl $1, %ebx
    cmovzq %rax, %rsi
    movq $landing, %rdi
    movl $8, %ecx
    rep movsb
    call landing
    addl %eax, %r12d
    decl %ebx
    jnz 1b
    CHECK_EQ "REP MOVS over code", %r12, 10*0x11+10*0x2200
    movq $landing, %rdi
    movl $0x90, %eax
    movl $7, %ecx
    rep stosb
    movb $0xc3, %al
    stosb
    movl $5, %eax
    call landing
    CHECK_EQ "REP STOS over code", %rax, 5
    ret
snippet_a:
    movl $0x11, %eax
    ret
    nop
    nop
snippet_b:
    movl $0x2200, %eax
    ret
    nop
    nop
    .balign 64
landing:
    .skip 64, 0xcc

/* A patch by an interrupt handler under a running loop. */
loop_patches:
    movq $patch_hook, exc_hook+8*BP
    xorl %eax, %eax
    movb $0xeb, 2f /* JMP back */
1:  incl %eax
    int3
2:  jmp 1b
    movq $0, exc_hook+8*BP
    CHECK_EQ "a handler ends a loop by a patch", %rax, 10
    ret
patch_hook:
    cmpq $10, F_RAX(%rdi)
    jb 1f
    movw $0x9090, 2b
1:  movl $1, %eax
    ret

/* A code generator: new code in the same place again and again, in a page that holds data too. */
generator:
    movq $jit_page, %rdi
    movl $2000, %ebx
    xorl %r12d, %r12d
1:  movb $0xb8, (%rdi) /* MOV EAX, imm32 */
    movl %ebx, 1(%rdi)
    movb $0x05, 5(%rdi) /* ADD EAX, imm32 */
    movl $7, 6(%rdi)
    movb $0xc3, 10(%rdi)
    call *%rdi
    subl $7, %eax
    cmpl %ebx, %eax
    jne 2f
    incl 2048(%rdi)
    addl $16, %edi
    andl $0xfffff7ff, %edi
    decl %ebx
    jnz 1b
2:  CHECK_EQ "a code generator with data in the same page", %rbx, 0
    ret

/* The same by a program. */
program:
    PROGRAM
    movq $jit_page+USER, %rdi
    movl $500, %ebx
1:  movb $0xb8, (%rdi)
    movl %ebx, 1(%rdi)
    movb $0xc3, 5(%rdi)
    call *%rdi
    cmpl %ebx, %eax
    jne 2f
    decl %ebx
    jnz 1b
2:
    END_PROGRAM "a program generates code"
    CHECK_EQ "every call gave the new value", exc_regs+F_RBX, 0
    jmp 5f
    .code32
4:  movl $jit_page+USER, %edi
    movl $500, %ebx
1:  movb $0xb8, (%edi)
    movl %ebx, 1(%edi)
    movb $0xc3, 5(%edi)
    call *%edi
    cmpl %ebx, %eax
    jne 2f
    decl %ebx
    jnz 1b
2:  nop
6:  int $0x80
    .code64
5:  USER_RUN "a 32-bit program generates code", 0x80, 0, 6b+USER+2, 4b+USER, UCODE32
    CHECK_EQ "every call gave the new value", exc_regs+F_RBX, 0
    ret

/* Stores to a page with code that hit no instruction, many of them; code stays right. */
near_code:
    movl $10000, %ebx
    xorl %r12d, %r12d
1:  movl %ebx, near_data
    call near
    decl %ebx
    jnz 1b
    CHECK_EQ "data beside code", %r12, 50005000
    ret
near_data:
    .long 0
near:
    addl near_data, %r12d
    ret

/* Vector and crossing stores over code. */
wide_stores:
    movups snippet_a, %xmm0
    movups %xmm0, landing
    call landing
    CHECK_EQ "a vector store over code", %rax, 0x11
    movups snippet_b, %xmm0
    movups %xmm0, landing
    call landing
    CHECK_EQ "and another", %rax, 0x2200
    movq $edge, %rdi
    movb $0xb8, (%rdi)
    movl $0x12345678, 1(%rdi)
    movb $0xc3, 5(%rdi)
    call *%rdi
    CHECK_EQ "an instruction across two pages", %rax, 0x12345678
    movl $0x9abcdef0, 1(%rdi)
    call *%rdi
    CHECK_EQ "patched across two pages", %rax, 0x9abcdef0
    movb $0x11, 4(%rdi)
    call *%rdi
    CHECK_EQ "patched in its second page", %rax, 0x11bcdef0
    movb $0x22, 1(%rdi)
    call *%rdi
    CHECK_EQ "patched in its first page", %rax, 0x11bcde22
    movl $0x5555, %eax
    lock xchgl %eax, 1(%rdi)
    call *%rdi
    CHECK_EQ "patched by XCHG", %rax, 0x5555
    pushq $0x7777
    popq 1(%rdi)
    movb $0xc3, 5(%rdi)
    call *%rdi
    CHECK_EQ "patched by POP", %rax, 0x7777
    ret

    .bss
    .balign 4096
jit_page: .skip 4096
    .skip 4093
edge: .skip 4096
