/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtual-8086 mode: entered by IRET from 32-bit protected mode, left by interrupts and exceptions;
 * what IOPL governs there; virtual-mode extensions (SDM vol. 3, chapter 21). Each program runs at
 * REAL_SEG in the segments' way of an 8086 and ends with its first exception or interrupt.
 */
#include "guest.inc"
#include "real.inc"

#define TSS32 (SPARE_SEL + 13 * 8)
#define CR4_VME 1
#define VM 0x20000
#define VIF 0x80000
#define VIP 0x100000
#define IOPL3 0x3000

/* Runs the code at `label` with these flags; then vector, error code and IP are as given. */
.macro V86 name, label, flags, vector, error, at
    movq $OFF(\label), %rdi
    movl $(\flags)|VM|2, v86_flags
    call run_v86
    movl v86_vector, %eax
    CHECK_EQ "\name: vector", %rax, \vector
    movl v86_error, %eax
    CHECK_EQ "\name: error code", %rax, \error
    movl v86_frame, %eax
    CHECK_EQ "\name: IP", %rax, OFF(\at)
.endm

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    call set_up_real
    call set_up_v86
    V86 "a program", vm_moves, IOPL3, 0x40, 0, vm_moves_end
    movl v86_frame+4, %eax
    CHECK_EQ "CS in the frame", %rax, REAL_SEG
    movl v86_frame+8, %eax
    andl $VM|IOPL3, %eax
    CHECK_EQ "VM and IOPL in the frame", %rax, VM|IOPL3
    movl v86_frame+16, %eax
    CHECK_EQ "SS", %rax, REAL_SEG
    movl v86_frame+20, %eax
    CHECK_EQ "ES", %rax, 0x2000
    movl v86_frame+24, %eax
    CHECK_EQ "DS", %rax, REAL_SEG
    movl v86_frame+28, %eax
    CHECK_EQ "FS", %rax, 0x1234
    movl v86_frame+32, %eax
    CHECK_EQ "GS", %rax, 0x4321
    movl v86_seen, %eax
    CHECK_EQ "DS in the handler is null", %rax, 0
    movzwl 0x20010, %eax
    CHECK_EQ "a store through ES", %rax, 0x55aa
    CHECK16 "PUSHF shows IOPL", vm_word, 0x3002
    V86 "CLI without IOPL", vm_cli, 0, GP, 0, vm_cli
    V86 "STI without IOPL", vm_sti, 0, GP, 0, vm_sti
    V86 "PUSHF without IOPL", vm_pushf, 0, GP, 0, vm_pushf
    V86 "POPF without IOPL", vm_popf, 0, GP, 0, vm_popf
    V86 "IRET without IOPL", vm_iret, 0, GP, 0, vm_iret
    V86 "INT without IOPL", vm_int, 0, GP, 0, vm_int
    V86 "INT 3 in one byte asks no IOPL", vm_int3, 0, BP, 0, vm_int3+1
    V86 "HLT", vm_hlt, IOPL3, GP, 0, vm_hlt
    V86 "LMSW", vm_lmsw, IOPL3, GP, 0, vm_lmsw
    V86 "LLDT", vm_lldt, IOPL3, UD, 0, vm_lldt
    V86 "a word at FFFF", vm_limit, 0, GP, 0, vm_limit_at
    V86 "POPF keeps IOPL", vm_popf_keep, IOPL3, 0x40, 0, vm_popf_keep_end
    CHECK16 "and loads IF", vm_word, 0x3202
    V86 "a far call and IRET", vm_far, IOPL3, 0x40, 0, vm_far_end
    /* virtual-mode extensions */
    SET_CR cr4, CR4_VME
    movb $0xff, tss32+0x68+0x40/8 /* INT 40 comes to us */
    V86 "VME: CLI clears VIF", vm_vme_cli, VIF|IF, GP, 0, vm_vme_cli_end
    movl v86_frame+8, %eax
    andl $VIF|IF, %eax
    CHECK_EQ "VIF clear, IF set", %rax, IF
    V86 "VME: STI sets VIF", vm_vme_sti, IF, GP, 0, vm_vme_sti_end
    movl v86_frame+8, %eax
    andl $VIF, %eax
    CHECK_EQ "VIF", %rax, VIF
    V86 "VME: STI with VIP", vm_vme_sti, IF|VIP, GP, 0, vm_vme_sti
    V86 "VME: PUSHF", vm_vme_pushf, VIF, GP, 0, vm_vme_pushf_end
    CHECK16 "shows VIF as IF, IOPL 3", vm_word, 0x3202
    V86 "VME: POPF", vm_vme_popf, VIF|IF, GP, 0, vm_vme_popf_end
    movl v86_frame+8, %eax
    andl $VIF|IF|CF, %eax
    CHECK_EQ "changes VIF, not IF", %rax, IF|CF
    V86 "VME: INT through the program's table", vm_vme_int, VIF|IF, GP, 0, vm_vme_int_end
    CHECK16 "IF and IOPL in its frame", vm_word, 0x3200
    movl v86_frame+8, %eax
    andl $VIF, %eax
    CHECK_EQ "IRET sets VIF again", %rax, VIF
    CLEAR_CR cr4, CR4_VME
    popq %rbp
    ret

    REAL
vm_moves:
    movw $0x2000, %ax
    movw %ax, %es
    movw $0x1234, %ax
    movw %ax, %fs
    movw $0x4321, %ax
    movw %ax, %gs
    movw $0x55aa, %es:0x10
    pushfw
    popw OFF(vm_word)
    int $0x40
vm_moves_end:
vm_cli: cli
vm_sti: sti
vm_pushf: pushfw
vm_popf: popfw
vm_iret: iretw
vm_int: int $0x40
vm_int3: int3
vm_hlt: hlt
vm_lmsw: lmsww %ax
vm_lldt: .byte 0x0f, 0x00, 0xd0
vm_limit:
    movw $0xffff, %bx
vm_limit_at:
    movw (%bx), %ax
vm_popf_keep:
    pushw $0x0202
    popfw
    pushfw
    popw OFF(vm_word)
    int $0x40
vm_popf_keep_end:
vm_far:
    pushfw
    lcallw $REAL_SEG-1, $OFF(1f)+16
    int $0x40
vm_far_end:
    hlt
1:  iretw
vm_vme_cli:
    cli
vm_vme_cli_end:
    hlt
vm_vme_sti:
    sti
vm_vme_sti_end:
    hlt
vm_vme_pushf:
    pushfw
    popw OFF(vm_word)
vm_vme_pushf_end:
    hlt
vm_vme_popf:
    pushw $CF
    popfw
vm_vme_popf_end:
    hlt
vm_vme_int:
    movw %ds, %ax
    xorw %bx, %bx
    movw %bx, %ds
    movw $OFF(1f), 0x21*4
    movw %ax, 0x21*4+2
    movw %ax, %ds
    int $0x21
vm_vme_int_end:
    hlt
1:  movw %sp, %bp
    movw 4(%bp), %ax
    andw $0x3200, %ax
    movw %ax, OFF(vm_word)
    iretw
    .balign 2
vm_word: .word 0
real_end:
    END_REAL

/* run_v86(IP): from 64-bit mode through protected mode without paging, and back. */
run_v86:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movl %edi, v86_ip
    movq %rsp, real_rsp
    pushq $KCODE32
    pushq $1f
    lretq
    .code32
1:  movl %cr0, %eax
    andl $0x7fffffff, %eax
    movl %eax, %cr0
    movl $KDATA, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movb $0x89, gdt+TSS32+5
    movl $TSS32, %eax
    ltr %ax
    lidt idt32_pointer
    movl %esp, tss32+4
    movl $KDATA, tss32+8
    xorl %eax, %eax
    pushl %eax /* GS, FS */
    pushl %eax
    pushl $REAL_SEG /* DS, ES */
    pushl $REAL_SEG
    pushl $REAL_SEG /* SS, ESP */
    pushl $0xf000
    pushl v86_flags
    pushl $REAL_SEG
    pushl v86_ip
    iretl

/* All vectors: the error code (or 0) and the vector are on the stack. */
v86_back:
    movl %ds, %eax
    movl $KDATA, %ebx
    movl %ebx, %ds
    movl %ebx, %es
    movl %eax, v86_seen
    popl v86_vector
    popl v86_error
    movl %esp, %esi
    movl $v86_frame, %edi
    movl $9, %ecx
    cld
    rep movsl
    movl %cr0, %eax
    orl $0x80000000, %eax
    movl %eax, %cr0
    ljmp $KCODE, $1f
    .code64
1:  lidt idt_pointer
    movb $0x89, gdt+TSS_SEL+5
    movl $TSS_SEL, %eax
    ltr %ax
    movq real_rsp, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret

set_up_v86:
    movl $stubs32, %eax
    movl $idt32, %edi
    movl $0x41, %ecx
1:  movw %ax, (%rdi)
    movw $KCODE32, 2(%rdi)
    movw $0xee00, 4(%rdi)
    movl %eax, %edx
    shrl $16, %edx
    movw %dx, 6(%rdi)
    addl $16, %eax
    addl $8, %edi
    decl %ecx
    jnz 1b
    movl $tss32, %eax
    movabsq $0x0000890000000100, %rdx
    movq %rdx, gdt+TSS32
    movw %ax, gdt+TSS32+2
    shrl $16, %eax
    movb %al, gdt+TSS32+4
    movw $0x88, tss32+0x66 /* the I/O map, behind 32 bytes for interrupts */
    ret

    .code32
    .balign 16
stubs32:
    .set vector, 0
    .rept 0x41
    .balign 16
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17)
    pushl $0
    .endif
    pushl $vector
    jmp v86_back
    .set vector, vector + 1
    .endr
    .code64

    .data
    .balign 4
idt32_pointer:
    .word 0x41*8-1
    .long idt32
    .bss
    .balign 16
idt32: .skip 0x41*8
tss32: .skip 0x110
v86_ip: .skip 4
v86_flags: .skip 4
v86_vector: .skip 4
v86_error: .skip 4
v86_seen: .skip 4
v86_frame: .skip 36
