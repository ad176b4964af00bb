/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the virtual CPUs of smp.c run: 64-bit code at CPL 0, memory mapped one to one. RDI: the
 * vCPU's number, RSI: rounds, R15: how many vCPUs take part, RBX: the shared data (smp.h). Each
 * program ends by telling port 0x11.
 */
#include "smp.h"

        .section .rodata
        .balign 16
        .globl smp_guest_begin, smp_guest_end
smp_guest_begin:

        .macro program name
        .balign 16
        .globl smp_\name
smp_\name:
        call    meet
        .endm

        .macro finish
        mov     %edi, %eax
        out     %eax, $0x11
1:      pause
        jmp     1b
        .endm

/* All vCPUs begin together. */
meet:   lock incl START(%rbx)
1:      pause
        cmp     %r15d, START(%rbx)
        jne     1b
        ret

/* Sums that come out right only if every step was atomic; one counter lies over two pages. */
program atomics
        mov     %rsi, %rcx
2:      lock incl COUNT(%rbx)
        lock incl SPLIT(%rbx)
        mov     $1, %eax
        lock xadd %rax, XADD(%rbx)
        mov     XSPLIT(%rbx), %rax
3:      lea     1(%rax), %rdx
        lock cmpxchg %rdx, XSPLIT(%rbx)
        jne     3b
4:      mov     $1, %eax
        xchg    %eax, LOCK(%rbx)
        test    %eax, %eax
        jz      5f
        pause
        jmp     4b
5:      mov     PLAIN(%rbx), %rax
        inc     %rax
        mov     %rax, PLAIN(%rbx)
        movl    $0, LOCK(%rbx)
        dec     %rcx
        jnz     2b
        finish

/* Litmus tests over arrays: element by element, X and Y, and what was seen in R0 to R3. */
        .macro each
        xor     %ecx, %ecx
2:
        .endm
        .macro next
        inc     %rcx
        cmp     %rsi, %rcx
        jb      2b
        .endm

        .macro store_buffer fence
        each
        test    %edi, %edi
        jnz     3f
        movl    $1, X(%rbx, %rcx, 4)
        \fence
        mov     Y(%rbx, %rcx, 4), %eax
        mov     %eax, R0(%rbx, %rcx, 4)
        jmp     4f
3:      movl    $1, Y(%rbx, %rcx, 4)
        \fence
        mov     X(%rbx, %rcx, 4), %eax
        mov     %eax, R1(%rbx, %rcx, 4)
4:      next
        finish
        .endm

program sb
        store_buffer
program sb_mfence
        store_buffer mfence
program sb_locked
        store_buffer "lock orl $0, -64(%rsp)"

program message
        each
        test    %edi, %edi
        jnz     3f
        movl    $1, X(%rbx, %rcx, 4)
        movl    $1, Y(%rbx, %rcx, 4)
        jmp     4f
3:      mov     Y(%rbx, %rcx, 4), %eax
        mov     X(%rbx, %rcx, 4), %edx
        mov     %eax, R0(%rbx, %rcx, 4)
        mov     %edx, R1(%rbx, %rcx, 4)
4:      next
        finish

program load_buffer
        each
        test    %edi, %edi
        jnz     3f
        mov     Y(%rbx, %rcx, 4), %eax
        movl    $1, X(%rbx, %rcx, 4)
        mov     %eax, R0(%rbx, %rcx, 4)
        jmp     4f
3:      mov     X(%rbx, %rcx, 4), %eax
        movl    $1, Y(%rbx, %rcx, 4)
        mov     %eax, R1(%rbx, %rcx, 4)
4:      next
        finish

program iriw
        each
        cmp     $1, %edi
        jb      3f
        je      4f
        cmp     $2, %edi
        je      5f
        mov     Y(%rbx, %rcx, 4), %eax
        mov     X(%rbx, %rcx, 4), %edx
        mov     %eax, R2(%rbx, %rcx, 4)
        mov     %edx, R3(%rbx, %rcx, 4)
        jmp     6f
3:      movl    $1, X(%rbx, %rcx, 4)
        jmp     6f
4:      movl    $1, Y(%rbx, %rcx, 4)
        jmp     6f
5:      mov     X(%rbx, %rcx, 4), %eax
        mov     Y(%rbx, %rcx, 4), %edx
        mov     %eax, R0(%rbx, %rcx, 4)
        mov     %edx, R1(%rbx, %rcx, 4)
6:      next
        finish

/* vCPU 0 writes a function that returns n; the others serialize, call it, and say what they got.
 * R14: where the function is; R13: a word that everybody writes now and then. */
program cross
        mov     %rsi, %rbp
        xor     %r12d, %r12d
        test    %edi, %edi
        jnz     4f
2:      inc     %r12d
        mov     %r12d, 1(%r14)
        mov     %r12d, FLAG(%rbx)
        lea     -1(%r15), %eax
        mul     %r12d
3:      pause
        cmp     %eax, ACKS(%rbx)
        jne     3b
        cmp     %r12d, %ebp
        jne     2b
        finish
4:      inc     %r12d
5:      pause
        cmp     %r12d, FLAG(%rbx)
        jne     5b
        push    %rbx
        xor     %eax, %eax
        cpuid
        pop     %rbx
        call    *%r14
        cmp     %r12d, %eax
        je      6f
        lock incl WRONG(%rbx)
6:      lock incl (%r13)
        lock incl ACKS(%rbx)
        cmp     %r12d, %ebp
        jne     4b
        finish

/* The same without waiting for each other, and a store that is not to the function's bytes: the
 * others call it all the while. */
program beside
        mov     %rsi, %rcx
        test    %edi, %edi
        jnz     3f
2:      incl    (%r13)
        dec     %rcx
        jnz     2b
        finish
3:      call    *%r14
        cmp     $7, %eax
        je      4f
        lock incl WRONG(%rbx)
4:      dec     %rcx
        jnz     3b
        finish

/* vCPU 0 moves a page to other memory, and waits for all to flush it, over and over; the others
 * store their mark to it. RBP: the page's entry in its table, WINDOW its address, R14, R13: the two
 * frames. */
program shootdown
        test    %edi, %edi
        jnz     4f
        mov     %rsi, %rcx
        xor     %r12d, %r12d
2:      mov     %r14, %rax
        or      $3, %rax
        mov     %rax, (%rbp)
        invlpg  WINDOW
        inc     %r12d
        mov     %r12d, FLAG(%rbx)
        lea     -1(%r15), %eax
        mul     %r12d
3:      pause
        cmp     %eax, ACKS(%rbx)
        jne     3b
        movq    $0, 8(%r13)          /* nobody writes here any more */
        mov     $200, %eax
7:      cmpq    $0, 8(%r13)
        jne     8f
        dec     %eax
        jnz     7b
        xchg    %r13, %r14
        dec     %rcx
        jnz     2b
        movl    $1, DONE(%rbx)
        finish
8:      lock incl WRONG(%rbx)
        movl    $1, DONE(%rbx)
        finish
4:      xor     %r12d, %r12d
5:      movq    $1, WINDOW + 8
        cmpl    $0, DONE(%rbx)
        jne     9f
        cmp     %r12d, FLAG(%rbx)
        je      5b
        inc     %r12d
        invlpg  WINDOW
        lock incl ACKS(%rbx)
        jmp     5b
9:      finish

/* Waits for a word with PAUSE while others have work: R12 tells nothing, the clock of the test
 * does. Each vCPU waits for its turn. */
program turns
        mov     %rsi, %rcx
        mov     %edi, %r12d
2:      pause
        cmp     %r12d, FLAG(%rbx)
        jne     2b
        incl    FLAG(%rbx)
        add     %r15d, %r12d
        dec     %rcx
        jnz     2b
        finish

smp_guest_end:
        .section .note.GNU-stack, "", @progbits
