/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Long string instructions of a program: how far they came when they fault, whatever an engine
 * copies with. All pages of the source are one page of memory, and all of the destination.
 */
#include "guest.inc"
#include "irq.inc"
#include "promote.inc"

    .set FROM, 0x7f0000000000
    .set TO, 0x7f0001000000
    .set PAGES, 80
    .set SIZE, PAGES*0x1000
    .set READ_ONLY, TO-0x1000

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    PROMOTE_SET_UP
    call alloc_page
    movq %rax, source
    call alloc_page
    movq %rax, target
    movabsq $FROM, %rbx
    movq source, %r13
    movl $PAGES+1, %r12d
    call map_run
    movabsq $TO, %rbx
    movq target, %r13
    movl $PAGES, %r12d
    call map_run
    MAP READ_ONLY, target, 5
    movl $4095, %ecx
    movq source, %rdi
1:  movb %cl, (%rdi, %rcx)
    decl %ecx
    jns 1b
    PROMOTE
    call warm
    call runs
    call pieces
    call oddities
    popq %rbp
    ret

/* R12D pages from RBX on, all of them the one at R13. */
map_run:
    movq %rbx, %rdi
    movq %r13, %rsi
    movl $7, %edx
    call map_page
    addq $0x1000, %rbx
    decl %r12d
    jnz map_run
    ret

.macro POINTERS from, to, count
    movabsq $\from, %rsi
    movabsq $\to, %rdi
    movabsq $\count, %rcx
.endm

.macro STOPPED name, from, to, left
    CHECK_EQ "\name: RSI", exc_regs+F_RSI, \from
    CHECK_EQ "\name: RDI", exc_regs+F_RDI, \to
    CHECK_EQ "\name: RCX", exc_regs+F_RCX, \left
.endm

.macro GOES name, from, to, count, from_end, to_end, insn:vararg
    POINTERS \from, \to, \count
    USER_OK "\name", \insn
    STOPPED "\name", \from_end, \to_end, 0
.endm

.macro STOPS name, vector, error, from, to, count, cr2, from_end, to_end, left, insn:vararg
    POINTERS \from, \to, \count
    USER_FAULTS "\name", \vector, \error, \insn
    STOPPED "\name", \from_end, \to_end, \left
    .if \vector == PF
    CHECK_EQ "\name: CR2", exc_cr2, \cr2
    .endif
.endm

/* Accesses of other kinds go first: an engine may learn from them. */
warm:
    POINTERS FROM, TO, 1000
    PROGRAM
1:  movb (%rsi), %al
    movb %al, (%rdi)
    decl %ecx
    jnz 1b
    END_PROGRAM "single bytes"
    ret

runs:
    GOES "a short copy", FROM+5, TO+9, 100, FROM+105, TO+109, rep movsb
    movq target, %rbp
    CHECK_EQ "its first bytes", 9(%rbp), 0x0c0b0a0908070605
    CHECK_EQ "its last bytes", 101(%rbp), 0x6867666564636261
    GOES "over pages, in words", FROM+0xff8, TO+2, 0x900, FROM+0x21f8, TO+0x1202, rep movsw
    CHECK_EQ "its bytes", 0x10(%rbp), 0x0d0c0b0a09080706
    GOES "a pattern", TO+16, TO+20, 100, TO+416, TO+420, rep movsl
    CHECK_EQ "it repeats", 0x30(%rbp), 0x0908070609080706
    movabsq $0x1122334455667788, %rax
    GOES "a fill", 1, TO+1, 7, 1, TO+57, rep stosq
    CHECK_EQ "what it wrote", 49(%rbp), 0x1122334455667788
    GOES "nothing", -1, 0x800000000000, 0, -1, 0x800000000000, rep movsb
    GOES "nothing to fill", -1, 0x800000000000, 0, -1, 0x800000000000, rep stosl
    ret

pieces:
    GOES "a long copy", FROM, TO, SIZE, FROM+SIZE, TO+SIZE, rep movsb
    GOES "a long fill", 0, TO, SIZE/4, 0, TO+SIZE, rep stosl
    STOPS "a long copy, too long by 8", PF, 6, FROM, TO, SIZE/8+1, TO+SIZE, FROM+SIZE, TO+SIZE, 1, \
        rep movsq
    STOPS "a huge copy", PF, 6, FROM, TO, 0x123456789, TO+SIZE, FROM+SIZE, TO+SIZE, \
        0x123456789-SIZE, rep movsb
    STOPS "a long fill, too long by 1", PF, 6, 1, TO+5, SIZE-4, TO+SIZE, 1, TO+SIZE, 1, rep stosb
    STOPS "a source that ends", PF, 4, FROM+SIZE+0xff0, TO, 32, FROM+SIZE+0x1000, FROM+SIZE+0x1000, \
        TO+16, 16, rep movsb
    STOPS "a page that is read-only", PF, 7, FROM, READ_ONLY, 4, READ_ONLY, FROM, READ_ONLY, 4, \
        rep movsb
    ret

oddities:
    STOPS "no canonical destination", GP, 0, FROM, 0x800000000000, 4, 0, FROM, 0x800000000000, 4, \
        rep movsb
    STOPS "no canonical source", GP, 0, 0xff007f0000000000, TO, 4, 0, 0xff007f0000000000, TO, 4, \
        rep movsb
    POINTERS FROM+3, TO+3, 4
    PROGRAM
    std
    rep movsb
    cld
    END_PROGRAM "downwards"
    STOPPED "downwards", FROM-1, TO-1, 0
    POINTERS FROM, TO, 64
    xorl %eax, %eax
    PROGRAM
    stc
    rep movsb
    setc %al
    movl $3, %ecx
    cmpl $4, %ecx
    rep stosb
    setb %ah
    END_PROGRAM "flags stay"
    CHECK_EQ "flags stay: both", exc_regs+F_RAX, 0x101
    ret

    .bss
    .balign 8
source: .skip 8
target: .skip 8
