/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * String instructions: faults midway leave the registers at the element that failed, so that the
 * instruction can go on; directions, sizes, address sizes, segments.
 */
#include "guest.inc"

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    call alloc_page
    movq %rax, page1
    call alloc_page
    movq %rax, page2
    MAP WINDOW, page1, 7
    call faults_midway
    call backwards
    call restart
    call compares
    call zero_count
    call overlap
    call address_sizes
    call segments
    call compare_fault
    popq %rbp
    ret

.macro CHECK_STATE name, rcx, rsi, rdi
    CHECK_EQ "\name: RCX", exc_regs+F_RCX, \rcx
    CHECK_EQ "\name: RSI", exc_regs+F_RSI, \rsi
    CHECK_EQ "\name: RDI", exc_regs+F_RDI, \rdi
.endm

faults_midway:
    movq $buffer, %rsi
    movq $WINDOW+4096-40, %rdi
    movl $10, %ecx
    FAULTS "REP MOVSQ into a missing page", PF, 2, rep movsq
    CHECK_STATE "after five elements", 5, buffer+40, WINDOW+4096
    CHECK_EQ "CR2", exc_cr2, WINDOW+4096
    movq $buffer, %rsi
    movq $WINDOW+4096-37, %rdi
    movl $10, %ecx
    FAULTS "REP MOVSQ with an element across the border", PF, 2, rep movsq
    CHECK_STATE "after four elements", 6, buffer+32, WINDOW+4096-5
    movq $WINDOW+4096-6, %rsi
    movq $buffer, %rdi
    movl $10, %ecx
    FAULTS "REP MOVSB from a missing page", PF, 0, rep movsb
    CHECK_STATE "after six bytes", 4, WINDOW+4096, buffer+6
    movq $WINDOW+4096-12, %rdi
    movl $10, %ecx
    movl $0x01020304, %eax
    FAULTS "REP STOSD into a missing page", PF, 2, rep stosl
    CHECK_EQ "RCX after three elements", exc_regs+F_RCX, 7
    CHECK_EQ "RDI after three elements", exc_regs+F_RDI, WINDOW+4096
    movq $WINDOW+4096-2, %rsi
    movl $3, %ecx
    FAULTS "REP LODSW from a missing page", PF, 0, rep lodsw
    CHECK_EQ "AX has the last word that was there", exc_regs+F_RCX, 2
    movq $buffer, %rsi
    movq $WINDOW+4096, %rdi
    FAULTS "MOVSB into a missing page", PF, 2, movsb
    CHECK_EQ "a single MOVSB that faults moves nothing: RSI", exc_regs+F_RSI, buffer
    movq $WINDOW+4096, %rdi
    movq $user_text+USER, %rsi
    jmp 5f
4:  movl $5, %ecx
    movq $WINDOW+4096-3, %rdi
6:  rep movsb
    int $0x80
5:  USER_RUN "REP MOVSB of a program", PF, 6, 6b+USER, 4b+USER
    CHECK_EQ "RCX of the program", exc_regs+F_RCX, 2
    ret

backwards:
    MAP WINDOW+0x10000, page1, 7
    std
    movq $buffer+64, %rsi
    movq $WINDOW+0x10010, %rdi
    movl $10, %ecx
    FAULTS "REP MOVSQ downwards out of the page", PF, 2, rep movsq
    cld
    CHECK_EQ "RCX after three elements", exc_regs+F_RCX, 7
    CHECK_EQ "RDI below the page", exc_regs+F_RDI, WINDOW+0xfff8
    CHECK_EQ "RSI", exc_regs+F_RSI, buffer+40
    MAP WINDOW+0x10000, page1, 0
    std
    movq $bytes+7, %rsi
    movq $buffer+7, %rdi
    movl $8, %ecx
    rep movsb
    cld
    CHECK_EQ "copied downwards", buffer, 0x0807060504030201
    ret

/* A handler maps the page, the instruction goes on. */
restart:
    movq $map_missing, exc_hook+8*PF
    MAP WINDOW+0x1000, page2, 0
    movq $fill, %rsi
    movq $WINDOW+4096-13, %rdi
    movl $100, %ecx
    rep movsb
    movq $0, exc_hook+8*PF
    CHECK_EQ "REP MOVSB over a page that a handler maps: RCX", %rcx, 0
    CHECK_EQ "RDI", %rdi, WINDOW+4096+87
    CHECK_EQ "it faulted once", mapped, 1
    movq page2, %rax
    movzbl 86(%rax), %eax
    CHECK_EQ "the last byte", %rax, 99
    movq page2, %rax
    movzbl (%rax), %eax
    CHECK_EQ "the first byte in the second page", %rax, 13
    MAP WINDOW+0x1000, page2, 0
    movq $map_missing, exc_hook+8*PF
    movq $WINDOW+4096-20, %rsi
    movq $buffer, %rdi
    movl $40, %ecx
    repe cmpsb
    movq $0, exc_hook+8*PF
    MAP WINDOW+0x1000, page2, 0
    ret
map_missing:
    incq mapped
    MAP WINDOW+0x1000, page2, 7
    movl $1, %eax
    ret

compares:
    movq $text1, %rsi
    movq $text2, %rdi
    movl $100, %ecx
    repe cmpsb
    CHECK_IF "REPE CMPSB ends at a difference", b
    CHECK_EQ "its place", %rsi, text1+6
    CHECK_EQ "RCX", %rcx, 94
    movq $text1, %rdi
    movl $'d', %eax
    movl $100, %ecx
    repne scasb
    CHECK_IF "REPNE SCASB finds a byte", e
    CHECK_EQ "its place", %rdi, text1+4
    movq $text1, %rdi
    movl $3, %ecx
    repne scasb
    CHECK_IF "and not, when there are too few", ne
    CHECK_EQ "RCX is 0", %rcx, 0
    movq $WINDOW+4096-4, %rdi
    movl $0, (%rdi)
    xorl %eax, %eax
    movl $10, %ecx
    FAULTS "REPE SCASB into a missing page", PF, 0, repe scasb
    CHECK_EQ "RCX after four bytes", exc_regs+F_RCX, 6
    ret

zero_count:
    xorl %ecx, %ecx
    movabsq $0x800000000000, %rsi
    movq %rsi, %rdi
    stc
    FAULTS "REP MOVS with RCX = 0 touches nothing", NOTHING, 0, rep movsb
    FAULTS "REPE CMPS with RCX = 0 touches nothing", NOTHING, 0, repe cmpsb
    cmpl %ecx, %ecx
    repne scasb
    CHECK_IF "and keeps the flags", e
    FAULTS "MOVS from a non-canonical address", GP, 0, movsb
    movl $3, %ecx
    FAULTS "REP STOS to a non-canonical address", GP, 0, rep stosb
    CHECK_EQ "RCX stays", exc_regs+F_RCX, 3
    ret

/* Overlapping moves are byte by byte (element by element). */
overlap:
    movq $0x0807060504030201, %rax
    movq %rax, buffer
    movq $0, buffer+8
    movq $buffer, %rsi
    movq $buffer+1, %rdi
    movl $7, %ecx
    rep movsb
    CHECK_EQ "REP MOVSB one byte up fills", buffer, 0x0101010101010101
    movq %rax, buffer
    movq $buffer+1, %rsi
    movq $buffer, %rdi
    movl $7, %ecx
    rep movsb
    CHECK_EQ "REP MOVSB one byte down shifts", buffer, 0x0808070605040302
    movq $buffer, %rsi
    movq $buffer+8, %rdi
    movl $200, %ecx
    rep movsq
    CHECK_SAME "REP MOVSQ repeats a quadword", buffer+1600, buffer
    movq %rax, buffer+4
    movq $buffer, %rsi
    movq $buffer+3, %rdi
    movl $50, %ecx
    movq $0x0000000000030201, %rdx
    movq %rdx, buffer
    rep movsb
    movl buffer+48, %eax
    CHECK_EQ "a pattern of three bytes", %rax, 0x01030201
    ret

address_sizes:
    movabsq $0xffffffff00000000+buffer, %rsi
    movabsq $0xffffffff00000000+buffer+64, %rdi
    movabsq $0x5555555500000004, %rcx
    addr32 rep movsl
    CHECK_EQ "REP MOVSD with 32-bit addresses: ECX", %rcx, 0
    CHECK_EQ "ESI", %rsi, buffer+16
    CHECK_EQ "EDI", %rdi, buffer+80
    movabsq $0x100000002, %rcx
    movq $buffer, %rdi
    addr32 rep stosb
    CHECK_EQ "ECX counts", %rdi, buffer+2
    movabsq $0x1234567800000001, %rcx
    addr32 loop 1f
    jmp 2f
1:  movq $1, %rcx
2:  CHECK_EQ "LOOP with ECX", %rcx, 0
    movabsq $0x1234567800000000, %rcx
    movl $0, %eax
    addr32 jrcxz 1f
    movl $1, %eax
1:  CHECK_EQ "JECXZ looks at ECX", %rax, 0
    ret

segments:
    MSR_WRITE MSR_FS_BASE, bytes
    movq $0, %rsi
    lodsq %fs:(%rsi)
    CHECK_EQ "LODS through FS", %rax, 0x0807060504030201
    xorl %esi, %esi
    movq $buffer, %rdi
    movl $8, %ecx
    rep movsb %fs:(%rsi), (%rdi)
    CHECK_EQ "REP MOVS through FS", buffer, 0x0807060504030201
    MSR_WRITE MSR_FS_BASE, 0
    ret

compare_fault:
    movq $WINDOW+4096-4, %rdi
    movq $buffer, %rsi
    movl $0, (%rdi)
    movl $0, buffer
    movl $10, %ecx
    FAULTS "REPE CMPSB into a missing page", PF, 0, repe cmpsb
    CHECK_EQ "RCX after four equal bytes", exc_regs+F_RCX, 6
    ret

    .data
    .balign 8
bytes: .quad 0x0807060504030201
text1: .ascii "abcdefgh"
text2: .ascii "abcdezgh"
fill:
    .set byte, 0
    .rept 128
    .byte byte
    .set byte, byte + 1
    .endr
user_text: .asciz "text"
    .bss
    .balign 64
buffer: .skip 4096
page1: .skip 8
page2: .skip 8
mapped: .skip 8
