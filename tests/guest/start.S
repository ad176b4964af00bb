/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Start-up of the flat guests: from the 32-bit PVH entry (Xen's docs/misc/pvh, XEN_ELFNOTE_
 * PHYS32_ENTRY) to 64-bit mode with page tables, GDT, IDT and TSS; reports on the serial port;
 * exceptions; a way into user mode and back. guest.inc says how it looks from a test.
 */
#include "guest.inc"

    .section .note.pvh, "a", @note
    .long 4, 4, 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .long pvh_start

    .text
    .code32
    .globl pvh_start
pvh_start:
    cli
    movl $stack_top, %esp
    movl $tables_end - tables, %ecx
    movl $tables, %edi
    xorl %eax, %eax
    shrl $2, %ecx
    rep stosl
    movl $pdpt + 7, pml4
    movl $pd_kernel + 3, pdpt
    movl $pd_user + 7, pdpt + 8
    movl $pd_high + 3, pdpt + 24
    movl $0x83, %eax /* P, W, PS */
    xorl %ecx, %ecx
1:  movl %eax, pd_kernel(, %ecx, 8)
    movl %eax, pd_user(, %ecx, 8)
    orl $4, pd_user(, %ecx, 8)
    leal 0xc0000000(%eax), %edx
    movl %edx, pd_high(, %ecx, 8)
    orl $0x10, pd_high(, %ecx, 8) /* PCD */
    addl $0x200000, %eax
    incl %ecx
    cmpl $512, %ecx
    jb 1b
    movl $CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT, %eax
    movl %eax, %cr4
    movl $pml4, %eax
    movl %eax, %cr3
    movl $MSR_EFER, %ecx
    rdmsr
    orl $0x901, %eax /* NXE, LME, SCE */
    wrmsr
    movl $0x80010033, %eax /* PG WP NE ET MP PE */
    movl %eax, %cr0
    lgdt gdt_pointer
    ljmp $KCODE, $start64

    .code64
start64:
    movl $KDATA, %eax
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    movq $stack_top, %rsp
    call set_up_tss
    call set_up_idt
    fninit
    call guest_main
    /* Ends the run: the exit device, or a halt if there is none. */
    .globl finish
finish:
    movq $text_end, %rdi
    call puts
    movl failures, %eax
    testl %eax, %eax
    setnz %al
    movw $0xf4, %dx
    outb %al, %dx
1:  cli
    hlt
    jmp 1b

set_up_tss:
    movq $tss, %rax
    movw %ax, gdt + TSS_SEL + 2
    shrq $16, %rax
    movb %al, gdt + TSS_SEL + 4
    movb %ah, gdt + TSS_SEL + 7
    movq $exc_stack_top, tss + 4
    movq $ist1_top, tss + 0x24
    movq $ist2_top, tss + 0x2c
    movw $0x68, tss + 0x66 /* no I/O map */
    movl $TSS_SEL, %eax
    ltr %ax
    ret

set_up_idt:
    movq $stubs, %rax
    movq $idt, %rdi
    xorl %ecx, %ecx
1:  movq %rax, %rdx
    movw %dx, (%rdi)
    movw $KCODE, 2(%rdi)
    movw $0x8e00, 4(%rdi)
    shrq $16, %rdx
    movw %dx, 6(%rdi)
    addq $16, %rax
    addq $16, %rdi
    incl %ecx
    cmpl $256, %ecx
    jb 1b
    movb $0xee, idt + 3 * 16 + 5
    movb $0xee, idt + 4 * 16 + 5
    movb $0xee, idt + 0x80 * 16 + 5
    movb $1, idt + 8 * 16 + 4 /* #DF on its own stack */
    lidt idt_pointer
    ret

    .balign 16
stubs:
    .set vector, 0
    .rept 256
    .balign 16
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
    pushq $0
    .endif
    pushq $vector
    jmp exc_common
    .set vector, vector + 1
    .endr
    .balign 16

exc_common:
    pushq %r15
    pushq %r14
    pushq %r13
    pushq %r12
    pushq %r11
    pushq %r10
    pushq %r9
    pushq %r8
    pushq %rdi
    pushq %rsi
    pushq %rbp
    pushq %rbx
    pushq %rdx
    pushq %rcx
    pushq %rax
    cld
    movq %rsp, exc_frame
    incq exc_count
    movq %rsp, %rsi
    movq $exc_regs, %rdi
    movl $22, %ecx
    rep movsq
    movq F_VECTOR(%rsp), %rbx
    cmpq $PF, %rbx
    jne 1f
    movq %cr2, %rax
    movq %rax, exc_cr2
1:  movq exc_hook(, %rbx, 8), %rax
    testq %rax, %rax
    jz 2f
    movq %rsp, %rdi
    movq %rsp, %rbp
    andq $-16, %rsp
    call *%rax
    movq %rbp, %rsp
    testq %rax, %rax
    jnz 3f
2:  movq exc_resume, %rax
    testq %rax, %rax
    jz unexpected
    movq $0, exc_resume
    movq %rax, F_RIP(%rsp)
    movq $KCODE, F_CS(%rsp)
    movq $KDATA, F_SS(%rsp)
    movq $2, F_RFLAGS(%rsp)
    movq exc_resume_rsp, %rax
    movq %rax, F_RSP(%rsp)
    movq exc_regs + F_VECTOR, %rax
    movq %rax, exc_vector
3:  popq %rax
    popq %rcx
    popq %rdx
    popq %rbx
    popq %rbp
    popq %rsi
    popq %rdi
    popq %r8
    popq %r9
    popq %r10
    popq %r11
    popq %r12
    popq %r13
    popq %r14
    popq %r15
    addq $16, %rsp
    iretq

unexpected:
    movq $text_unexpected, %rdi
    call puts
    movq exc_regs + F_VECTOR, %rdi
    call put_hex
    movq exc_regs + F_ERROR, %rdi
    call put_hex
    movq exc_regs + F_RIP, %rdi
    call put_hex
    movq exc_cr2, %rdi
    call put_hex
    movl $'\n', %edi
    call putc
    incl failures
    jmp finish

/* Runs the program at user_rip in user_cs with the registers of the caller and the user stack;
 * comes back after its first exception. The caller's registers stay; the program's are in
 * exc_regs. */
    .globl run_user
run_user:
    pushq %rax
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    movq %rsp, exc_resume_rsp
    movq $1f, exc_resume
    movq $-1, exc_vector
    movl user_ds, %r11d
    movl %r11d, %ds
    movl %r11d, %es
    movq (%rsp), %r11
    pushq $UDATA
    pushq user_rsp
    pushq user_rflags
    pushq user_cs
    pushq user_rip
    iretq
1:  xorl %r11d, %r11d
    movl %r11d, %ds
    movl %r11d, %es
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    popq %rax
    ret

/* The checks keep every register and the flags. Their arguments lie behind the call. */
.macro SAVE_ALL
    pushfq
    pushq %rax
    pushq %rcx
    pushq %rdx
    pushq %rbx
    pushq %rsi
    pushq %rdi
    cld
.endm
.macro RESTORE_ALL
    popq %rdi
    popq %rsi
    popq %rbx
    popq %rdx
    popq %rcx
    popq %rax
    popfq
.endm
#define SAVED 56

/* Stack: return address, value. Record: name, wanted value. */
    .globl check_eq
check_eq:
    SAVE_ALL
    movq SAVED(%rsp), %rbx
    movq (%rbx), %rdi
    movq 8(%rbx), %rdx
    movq SAVED + 8(%rsp), %rsi
    call report
    addq $16, %rbx
    movq %rbx, SAVED + 8(%rsp)
    RESTORE_ALL
    leaq 8(%rsp), %rsp
    ret

/* Stack: return address, value, wanted value. Record: name. */
    .globl check_same
check_same:
    SAVE_ALL
    movq SAVED(%rsp), %rbx
    movq (%rbx), %rdi
    movq SAVED + 16(%rsp), %rdx
    movq SAVED + 8(%rsp), %rsi
    call report
    addq $8, %rbx
    movq %rbx, SAVED + 16(%rsp)
    RESTORE_ALL
    leaq 16(%rsp), %rsp
    ret

/* Record: name, address; vector, error code. */
    .globl check_fault
check_fault:
    SAVE_ALL
    movq $0, exc_resume
    movq SAVED(%rsp), %rbx
    movslq 16(%rbx), %rdx
    movq exc_vector, %rsi
    cmpq %rsi, %rdx
    jne 1f
    cmpq $-1, %rsi
    je 1f
    movslq 20(%rbx), %rdx
    movq exc_regs + F_ERROR, %rsi
    cmpl $ANY, %edx
    jne 4f
    movq %rsi, %rdx
4:  cmpq %rsi, %rdx
    jne 2f
    movq 8(%rbx), %rdx
    movq exc_regs + F_RIP, %rsi
    cmpq %rsi, %rdx
    je 3f
    movq $text_rip, %rax
    jmp 5f
1:  movq $text_vector, %rax
    jmp 5f
2:  movq $text_error, %rax
5:  movq %rax, report_what
3:  movq (%rbx), %rdi
    call report
    addq $24, %rbx
    movq %rbx, SAVED(%rsp)
    RESTORE_ALL
    ret

/* report(name, got, want): one line. */
    .globl report
report:
    pushq %rdi
    pushq %rsi
    pushq %rdx
    cmpq %rsi, %rdx
    je 1f
    incl failures
    movq $text_not, %rdi
    call puts
1:  movq $text_ok, %rdi
    call puts
    movq 16(%rsp), %rdi
    call puts
    movq 8(%rsp), %rdi
    cmpq %rdi, (%rsp)
    je 2f
    movq report_what, %rdi
    call puts
    movq 8(%rsp), %rdi
    call put_hex
    movq $text_want, %rdi
    call puts
    movq (%rsp), %rdi
    call put_hex
2:  movq $text_empty, report_what
    movl $'\n', %edi
    call putc
    popq %rdx
    popq %rsi
    popq %rdi
    ret

/* skip_all(reason): the whole guest is skipped. */
    .globl skip_all
skip_all:
    pushq %rdi
    movq $text_skip, %rdi
    call puts
    popq %rdi
    call puts
    movl $'\n', %edi
    call putc
    jmp finish

/* Console. They keep all registers but RAX, RCX, RDX, RSI, RDI. */
    .globl putc
putc:
    movl $1000000, %ecx
1:  movw $0x3fd, %dx
    inb %dx, %al
    testb $0x20, %al
    jnz 2f
    decl %ecx
    jnz 1b
2:  movl %edi, %eax
    movw $0x3f8, %dx
    outb %al, %dx
    ret

    .globl puts
puts:
    movq %rdi, %rsi
1:  movzbl (%rsi), %edi
    testl %edi, %edi
    jz 2f
    call putc
    incq %rsi
    jmp 1b
2:  ret

    .globl put_hex
put_hex:
    pushq %rbx
    pushq %r12
    movq %rdi, %rbx
    movl $' ', %edi
    call putc
    movl $16, %r12d
1:  rolq $4, %rbx
    movl %ebx, %edi
    andl $15, %edi
    movzbl digits(%rdi), %edi
    call putc
    decl %r12d
    jnz 1b
    popq %r12
    popq %rbx
    ret

/* alloc_page() -> RAX: a zeroed physical page (identity mapped). */
    .globl alloc_page
alloc_page:
    pushq %rdi
    pushq %rcx
    movq pool_next, %rdi
    addq $4096, pool_next
    pushq %rdi
    xorl %eax, %eax
    movl $512, %ecx
    rep stosq
    popq %rax
    popq %rcx
    popq %rdi
    ret

/* pte_of(linear) -> RAX: address of its 4 KB page table entry; tables are made as needed, with all
 * rights. */
    .globl pte_of
pte_of:
    pushq %rbx
    pushq %rcx
    pushq %rdx
    movq %cr3, %rdx
    andq $-4096, %rdx
    movl $39, %ecx
1:  movq %rdi, %rbx
    shrq %cl, %rbx
    andl $511, %ebx
    leaq (%rdx, %rbx, 8), %rax
    cmpl $12, %ecx
    je 3f
    testb $1, (%rax)
    jnz 2f
    pushq %rax
    call alloc_page
    orq $7, %rax
    movq %rax, %rdx
    popq %rax
    movq %rdx, (%rax)
2:  movq (%rax), %rdx
    andq $-4096, %rdx
    btrq $63, %rdx
    subl $9, %ecx
    jmp 1b
3:  popq %rdx
    popq %rcx
    popq %rbx
    ret

/* map_page(linear, physical, flags) */
    .globl map_page
map_page:
    call pte_of
    orq %rsi, %rdx
    movq %rdx, (%rax)
    invlpg (%rdi)
    ret

    .section .rodata
text_ok: .asciz "ok - "
text_not: .asciz "not "
text_want: .asciz " want"
text_vector: .asciz ": vector"
text_error: .asciz ": error code"
text_rip: .asciz ": rip"
text_empty: .asciz ": got"
text_end: .asciz "# end\n"
text_skip: .asciz "ok - # SKIP "
text_unexpected: .asciz "not ok - unexpected exception (vector, error code, rip, cr2):"
digits: .ascii "0123456789abcdef"

    .data
    .balign 16
    .globl gdt, gdt_pointer, idt_pointer
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff /* 08: 32-bit code, CPL 0 */
    .quad 0x00af9b000000ffff /* 10: 64-bit code, CPL 0 */
    .quad 0x00cf93000000ffff /* 18: data, CPL 0 */
    .quad 0x00cffb000000ffff /* 20: 32-bit code, CPL 3 */
    .quad 0x00cff3000000ffff /* 28: data, CPL 3 */
    .quad 0x00affb000000ffff /* 30: 64-bit code, CPL 3 */
    .quad 0
    .quad 0x0000890000000067 /* 40: TSS */
    .quad 0
    .fill 16, 8, 0 /* 50 - cf: spare */
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .quad gdt
idt_pointer:
    .word 256 * 16 - 1
    .quad idt
pool_next: .quad POOL
report_what: .quad text_empty
    .globl user_rsp, user_rflags, user_ds
user_rsp: .quad user_stack_top + USER
user_rflags: .quad 2
user_ds: .quad UDATA

    .bss
    .balign 4096
    .globl tables, pml4, pdpt, pd_kernel, pd_user, pd_high
tables:
pml4: .skip 4096
pdpt: .skip 4096
pd_kernel: .skip 4096
pd_user: .skip 4096
pd_high: .skip 4096
tables_end:
    .globl idt, tss
idt: .skip 4096
tss: .skip 0x68 + 8192 + 8 /* and room for an I/O map */
    .balign 4096
    .skip 8192
    .globl stack_top, exc_stack_top, ist1_top, ist2_top, user_stack_top
stack_top:
    .skip 8192
exc_stack_top:
    .skip 8192
ist1_top:
    .skip 8192
ist2_top:
    .skip 8192
user_stack_top:
    .skip 64
    .globl exc_hook, exc_regs, exc_frame, exc_count, exc_vector, exc_cr2, exc_resume
    .globl exc_resume_rsp, user_rip, user_cs, failures, pool_next
exc_hook: .skip 256 * 8
exc_regs: .skip 22 * 8
exc_frame: .skip 8
exc_count: .skip 8
exc_vector: .skip 8
exc_cr2: .skip 8
exc_resume: .skip 8
exc_resume_rsp: .skip 8
user_rip: .skip 8
user_cs: .skip 8
failures: .skip 8
