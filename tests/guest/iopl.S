/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a program may do with interrupts and ports: IOPL, the I/O permission bitmap, and what POPF
 * silently leaves alone.
 */
#include "guest.inc"

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    call flags
    call level_three
    call bitmap
    call strings
    popq %rbp
    ret

flags:
    USER_FAULTS "CLI with IOPL 0", GP, 0, cli
    USER_FAULTS "STI with IOPL 0", GP, 0, sti
    USER_FAULTS "IN with IOPL 0", GP, 0, inb $0x80, %al
    USER_FAULTS "OUT with IOPL 0", GP, 0, outl %eax, %dx
    USER32_FAULTS "CLI in compatibility mode", GP, 0, cli
    USER32_FAULTS "IN in compatibility mode", GP, 0, inw %dx, %ax
    movq $2|IF, user_rflags
    PROGRAM
    pushq $0x3cd7 /* IOPL 3, no IF */
    popfq
    pushfq
    popq %rax
    cld
    END_PROGRAM "POPF in a program"
    CHECK_EQ "it keeps IF and IOPL", exc_regs+F_RAX, 0xed7
    PROGRAM
    pushq $0x244ed7 /* AC, ID, NT */
    popfq
    pushfq
    popq %rax
    pushq $2
    popfq
    END_PROGRAM "POPF of AC, ID and NT"
    CHECK_EQ "they can be set", exc_regs+F_RAX, 0x244ed7
    PROGRAM
    pushq $0x1b0002 /* VM, RF, VIF, VIP */
    popfq
    pushfq
    popq %rax
    END_PROGRAM "POPF of VM, RF, VIF and VIP"
    CHECK_EQ "they cannot", exc_regs+F_RAX, 0x202
    PROGRAM
    pushw $0xcd7
    popfw
    pushfq
    popq %rax
    cld
    END_PROGRAM "16-bit POPF"
    CHECK_EQ "its flags", exc_regs+F_RAX, 0xed7
    movq $2, user_rflags
    pushq $0x3002
    popfq
    pushfq
    popq %rax
    pushq $2
    popfq
    CHECK_EQ "the supervisor's POPF sets IOPL", %rax, 0x3002
    ret

level_three:
    movq $0x3002, user_rflags
    USER_OK "STI with IOPL 3", sti
    movq exc_regs+F_RFLAGS, %rax
    andl $IF, %eax
    CHECK_EQ "sets IF", %rax, IF
    movq $0x3202, user_rflags
    USER_OK "CLI with IOPL 3", cli
    movq exc_regs+F_RFLAGS, %rax
    andl $IF, %eax
    CHECK_EQ "clears IF", %rax, 0
    PROGRAM
    pushq $2
    popfq
    pushfq
    popq %rax
    END_PROGRAM "POPF with IOPL 3"
    CHECK_EQ "clears IF, keeps IOPL", exc_regs+F_RAX, 0x3002
    USER_OK "OUT with IOPL 3", outb %al, $0x80
    USER32_OK "IN with IOPL 3 in compatibility mode", inb $0x80, %al
    USER_FAULTS "HLT with IOPL 3", GP, 0, hlt
    movq $0x1002, user_rflags
    USER_FAULTS "CLI with IOPL 1", GP, 0, cli
    movq $2, user_rflags
    ret

/* A bitmap at the end of the TSS: port 0x80 and 0x84 - 0x87 are the program's. */
bitmap:
    movw $0x68, tss+0x66
    movq $tss+0x68, %rdi
    movl $8193, %ecx
    movb $0xff, %al
    rep stosb
    movw $0x68+8192, gdt+TSS_SEL
    movb $0x89, gdt+TSS_SEL+5
    movl $TSS_SEL, %eax
    ltr %ax
    movb $0x0e, tss+0x68+0x10 /* ports 80, 84 - 87 */
    USER_OK "IN from a port that is allowed", inb $0x80, %al
    USER_FAULTS "IN from one that is not", GP, 0, inb $0x81, %al
    USER_FAULTS "a word that is half allowed", GP, 0, inw $0x80, %ax
    USER_OK "a doubleword that is allowed", inl $0x84, %eax
    USER_FAULTS "a doubleword that ends beyond", GP, 0, inl $0x85, %eax
    USER32_OK "IN in compatibility mode", inb $0x80, %al
    USER32_FAULTS "IN in compatibility mode, not allowed", GP, 0, inb $0x83, %al
    movb $0xff, tss+0x68+0x10
    USER_FAULTS "a change of the bitmap counts at once", GP, 0, inb $0x80, %al
    movb $0, tss+0x68+0x10
    USER_OK "and the other way", inb $0x81, %al
    movb $0, tss+0x68+0x1fff
    movl $0xffff, %edx
    USER_OK "the last port", inb %dx, %al
    USER_FAULTS "a word at the last port", GP, 0, inw %dx, %ax
    movw $0x67+0x11, gdt+TSS_SEL
    movb $0x89, gdt+TSS_SEL+5
    movl $TSS_SEL, %eax
    ltr %ax
    movw $0x100, %dx
    USER_FAULTS "a port beyond the TSS's limit", GP, 0, inb %dx, %al
    movw $0x67, gdt+TSS_SEL
    movb $0x89, gdt+TSS_SEL+5
    movl $TSS_SEL, %eax
    ltr %ax
    USER_FAULTS "no bitmap within the limit", GP, 0, inb $0x80, %al
    ret

/* INS and OUTS: rights, then memory. */
strings:
    movq $buffer, %rdi
    movl $0x3fd, %edx
    movl $4, %ecx
    FAULTS "REP INSB", NOTHING, 0, rep insb
    CHECK_EQ "RDI behind the last byte", %rdi, buffer+4
    movzbl buffer+3, %eax
    andl $0x20, %eax
    CHECK_EQ "the status of the serial port", %rax, 0x20
    movl $0x80, %edx
    movq $buffer, %rsi
    movl $3, %ecx
    rep outsl
    CHECK_EQ "REP OUTSD", %rsi, buffer+12
    USER_FAULTS "OUTSB in a program", GP, 0, outsb
    movq $WINDOW, %rdi
    FAULTS "INSB into a missing page", PF, 2, insb
    CHECK_EQ "RDI stays", exc_regs+F_RDI, WINDOW
    movq $WINDOW, %rsi
    FAULTS "OUTSB from a missing page", PF, 0, outsb
    ret

    .bss
buffer: .skip 64
