/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A 386 kernel that lets the processor switch its tasks (SDM vol. 3, chapter 8): paging with 4 KB
 * pages, three programs at CPL 3 with page directories and descriptor tables of their own, switched
 * by the timer's interrupt with a jump to the next one's TSS; page faults in a task of their own,
 * behind a task gate, which maps what is missing; system calls by a trap gate; one program may use
 * the serial port by its I/O map, the others may not.
 */
#define KCODE 0x08
#define KDATA 0x10
#define UCODE 0x1b
#define UDATA 0x23
#define MAIN_TSS 0x28
#define FAULT_TSS 0x30
#define TASK_TSS 0x38 /* three of them */
#define TASK_LDT 0x50 /* three of them */
#define LOCAL 0x07    /* the first entry of an LDT */
#define TASKS 3
#define TSS_SIZE 104
#define ROUNDS 1000000
#define T_CR3 28
#define T_EIP 32
#define T_EFLAGS 36
#define T_ESP 56
#define T_LDT 96
#define T_MAP 102
#define PRIVATE 0x40000000 /* a page of each program's own, missing at first */

    .section .real, "awx"
    .long 0x1badb002, 0, -0x1badb002 /* multiboot */

    .text
    .code32
    .globl start
start:
    cli
    cld
    movl $stack_top, %esp
    lgdt gdt_pointer
    ljmp $KCODE, $1f
1:  movl $KDATA, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    call set_up_pages
    call set_up_gates
    call set_up_tasks
    movl $main_directory, %eax
    movl %eax, %cr3
    movl %cr0, %eax
    orl $0x80010000, %eax /* PG WP */
    movl %eax, %cr0
    movl $MAIN_TSS, %eax
    ltr %ax
    call set_up_timer
    ljmp $TASK_TSS, $0 /* the first program; comes back when all have ended */
    call results
    movl failures, %eax
    movl $text_end, %esi
    call puts
    testl %eax, %eax
    setnz %al
    movw $0xf4, %dx
    outb %al, %dx
2:  hlt
    jmp 2b

/* The first 4 MB for all, the programs' as user pages; each directory is its own. */
set_up_pages:
    movl $7, %eax
    xorl %ecx, %ecx
1:  movl %eax, low_table(, %ecx, 4)
    addl $4096, %eax
    incl %ecx
    cmpl $1024, %ecx
    jb 1b
    movl $low_table+7, main_directory
    xorl %ecx, %ecx
2:  movl %ecx, %edi
    shll $12, %edi
    movl $low_table+7, directories(%edi)
    leal private_tables+7(%edi), %eax
    movl %eax, directories+(PRIVATE>>20)(%edi)
    incl %ecx
    cmpl $TASKS, %ecx
    jb 2b
    ret

.macro GATE vector, handler, selector, type
    movl $\handler, %eax
    movw %ax, idt+8*\vector
    movw $\selector, idt+8*\vector+2
    movw $\type, idt+8*\vector+4
    shrl $16, %eax
    movw %ax, idt+8*\vector+6
.endm

set_up_gates:
    xorl %ecx, %ecx
1:  movl $unexpected, %eax
    movw %ax, idt(, %ecx, 8)
    movw $KCODE, idt+2(, %ecx, 8)
    movw $0x8e00, idt+4(, %ecx, 8)
    shrl $16, %eax
    movw %ax, idt+6(, %ecx, 8)
    incl %ecx
    cmpl $256, %ecx
    jb 1b
    GATE 13, protection, KCODE, 0x8f00
    GATE 14, 0, FAULT_TSS, 0x8500
    GATE 0x20, timer, KCODE, 0x8e00
    GATE 0x80, system_call, KCODE, 0xef00
    lidt idt_pointer
    ret

/* EBX = a descriptor's place, EAX = base, ECX = limit, DL = type */
set_descriptor:
    movw %cx, (%ebx)
    movw %ax, 2(%ebx)
    shrl $16, %eax
    movb %al, 4(%ebx)
    movb %dl, 5(%ebx)
    movb $0, 6(%ebx)
    movb %ah, 7(%ebx)
    ret

set_up_tasks:
    movl $gdt+MAIN_TSS, %ebx
    movl $main_tss, %eax
    movl $TSS_SIZE-1, %ecx
    movb $0x89, %dl
    call set_descriptor
    movl $gdt+FAULT_TSS, %ebx
    movl $fault_tss, %eax
    call set_descriptor
    movl $main_directory, main_tss+T_CR3
    movl $main_directory, fault_tss+T_CR3
    movl $fault_task, fault_tss+T_EIP
    movl $2, fault_tss+T_EFLAGS
    movl $fault_stack_top, fault_tss+T_ESP
    movl $fault_tss, %edi
    movl $KDATA, %eax
    movl $KCODE, %ecx
    call set_segments
    xorl %esi, %esi
1:  movl %esi, %edi /* EDI = its TSS */
    shll $8, %edi
    addl $task_tss, %edi
    leal gdt+TASK_TSS(, %esi, 8), %ebx
    movl %edi, %eax
    movl $TSS_SIZE-1, %ecx
    movb $0x89, %dl
    cmpl $2, %esi /* the last one has an I/O map up to port 3ff, and the byte behind it */
    jne 2f
    addl $129, %ecx
2:  call set_descriptor
    leal gdt+TASK_LDT(, %esi, 8), %ebx
    leal local_tables(, %esi, 8), %eax
    movl $7, %ecx
    movb $0x82, %dl
    call set_descriptor
    leal TASK_LDT(, %esi, 8), %eax
    movl %eax, T_LDT(%edi)
    movl %esi, %eax
    shll $12, %eax
    leal directories(%eax), %ecx
    movl %ecx, T_CR3(%edi)
    leal stacks+2048(%eax), %ecx
    movl %ecx, 4(%edi)
    movl $KDATA, 8(%edi)
    leal stacks+4096(%eax), %ecx
    movl %ecx, T_ESP(%edi)
    movl $0x202, T_EFLAGS(%edi)
    movl $program, T_EIP(%edi)
    movl %esi, 40(%edi) /* EAX */
    movw $TSS_SIZE, T_MAP(%edi)
    movl $UDATA, %eax
    movl $UCODE, %ecx
    call set_segments
    movl $LOCAL, 88(%edi) /* FS */
    leal local_data(, %esi, 4), %eax /* the LDT's only segment: one word */
    leal local_tables(, %esi, 8), %ebx
    movl $3, %ecx
    movb $0xf2, %dl
    call set_descriptor
    movb $0x40, 6(%ebx)
    incl %esi
    cmpl $TASKS, %esi
    jb 1b
    movl $task_tss+512+TSS_SIZE, %edi
    movl $129, %ecx
    movb $0xff, %al
    rep stosb
    movb $0, task_tss+512+TSS_SIZE+0x3f8/8
    ret
set_segments:
    movl %eax, 72(%edi) /* ES */
    movl %ecx, 76(%edi) /* CS */
    movl %eax, 80(%edi) /* SS */
    movl %eax, 84(%edi) /* DS */
    movl $0, 88(%edi)
    movl $0, 92(%edi)
    ret

.macro OUT port, value
    movb $\value, %al
    outb %al, $\port
.endm
set_up_timer: /* the 8259s at 20h and 28h; 1000 Hz */
    OUT 0x20, 0x11
    OUT 0x21, 0x20
    OUT 0x21, 4
    OUT 0x21, 1
    OUT 0x21, 0xfe
    OUT 0xa1, 0xff
    OUT 0x43, 0x34
    OUT 0x40, 0xa9
    OUT 0x40, 0x04
    ret

/* ---- what runs on the programs' kernel stacks */
timer:
    pushl %eax
    pushl %ecx
    pushl %ds
    movl $KDATA, %eax
    movl %eax, %ds
    movb $0x20, %al
    outb %al, $0x20
    incl ticks
    call switch
    popl %ds
    popl %ecx
    popl %eax
    iret

/* The next program that has not ended; the main task if there is none. Its busy bit tells which one
 * runs: a jump to a task that is busy is #GP. */
switch:
    movl running, %ecx
    movl $TASKS, %eax
1:  incl %ecx
    cmpl $TASKS, %ecx
    jb 2f
    xorl %ecx, %ecx
2:  cmpl $0, ended(, %ecx, 4)
    je 3f
    decl %eax
    jnz 1b
    movl $MAIN_TSS, target+4
    ljmp *target
3:  cmpl running, %ecx
    je 4f
    movl %ecx, running
    leal TASK_TSS(, %ecx, 8), %ecx
    movl %ecx, target+4
    incl switches
    ljmp *target
4:  ret

system_call: /* EAX: the result of the program EBX */
    pushl %ds
    movl $KDATA, %ecx
    movl %ecx, %ds
    movl %eax, result(, %ebx, 4)
    movl $1, ended(, %ebx, 4)
    cli
    call switch
    hlt /* never */

protection: /* OUT by a program that may not: skipped */
    pushl %eax
    pushl %ds
    movl $KDATA, %eax
    movl %eax, %ds
    incl protections
    popl %ds
    popl %eax
    addl $4, %esp
    incl (%esp)
    iret

/* The task of page faults: IRET ends it, and the next fault goes on behind that. */
fault_task:
    popl fault_error
    incl faults
    movl %cr2, %eax
    movl %eax, fault_address
    movl fault_tss, %ebx /* the link: who was interrupted */
    movl %ebx, fault_link
    subl $TASK_TSS, %ebx
    shrl $3, %ebx
    movl %ebx, %ecx
    shll $12, %ebx
    leal private_pages+7(%ebx), %eax
    movl %eax, private_tables(%ebx)
    iret
    jmp fault_task

unexpected:
    movl $KDATA, %eax
    movl %eax, %ds
    movl $text_unexpected, %esi
    call puts
    movb $1, %al
    movw $0xf4, %dx
    outb %al, %dx
1:  hlt
    jmp 1b

/* ---- the programs, with their number in EAX */
program:
    movl %eax, %ebx
    movl $0x1234, PRIVATE /* maps the page */
    movl %ebx, %fs:0
    movw $0x3fb, %dx
    outb %al, %dx /* one byte, and only allowed to the last one */
    xorl %esi, %esi
    movl $ROUNDS, %ecx
1:  imull $1664525, %esi, %esi
    addl $1013904223, %esi
    addl %ebx, %esi
    addl %esi, PRIVATE
    loop 1b
2:  cmpl $6, ticks /* the host may be slow with the timer */
    jb 2b
    movl PRIVATE, %eax
    xorl %fs:0, %eax
    int $0x80
    ud2

/* ---- afterwards */
results:
    movl $text_results, %edx
    xorl %ebx, %ebx
1:  xorl %esi, %esi
    movl $0x1234, %edi
    movl $ROUNDS, %ecx
2:  imull $1664525, %esi, %esi
    addl $1013904223, %esi
    addl %ebx, %esi
    addl %esi, %edi
    loop 2b
    xorl %ebx, %edi
    cmpl result(, %ebx, 4), %edi
    jne 3f
    cmpl %ebx, local_data(, %ebx, 4)
    jne 3f
    incl %ebx
    cmpl $TASKS, %ebx
    jb 1b
3:  call report
    cmpl $3, switches
    movl $text_switches, %edx
    jb 4f
    cmpl %eax, %eax
4:  call report
    cmpl $TASKS, faults
    movl $text_faults, %edx
    call report
    cmpl $PRIVATE, fault_address
    movl $text_address, %edx
    call report
    cmpl $6, fault_error
    movl $text_error, %edx
    call report
    cmpl $2, protections
    movl $text_protections, %edx
    call report
    movb gdt+MAIN_TSS+5, %al
    movb gdt+TASK_TSS+5, %ah
    cmpw $0x898b, %ax
    movl $text_busy, %edx
    call report
    strw %ax
    cmpw $MAIN_TSS, %ax
    movl $text_tr, %edx
    call report
    movl main_tss, %eax
    testl %eax, %eax
    movl $text_link, %edx
report: /* ZF: it is so */
    movl $text_ok, %esi
    je 1f
    incl failures
    movl $text_not, %esi
1:  call puts
    movl %edx, %esi
puts: /* keeps EAX, EBX, ECX */
    pushl %eax
    pushl %edx
    movw $0x3fd, %dx
1:  inb %dx, %al
    testb $0x20, %al
    jz 1b
    lodsb
    testb %al, %al
    jz 2f
    movw $0x3f8, %dx
    outb %al, %dx
    movw $0x3fd, %dx
    jmp 1b
2:  popl %edx
    popl %eax
    ret

    .data
text_ok: .asciz "ok - "
text_not: .asciz "not ok - "
text_results: .asciz "three programs, three results\n"
text_switches: .asciz "the timer switched them\n"
text_faults: .asciz "each program had one page fault, in a task of its own\n"
text_address: .asciz "CR2 in that task\n"
text_error: .asciz "the error code on its stack\n"
text_protections: .asciz "the I/O maps let one program use the port, not two\n"
text_busy: .asciz "the task that runs is busy, no other\n"
text_tr: .asciz "TR\n"
text_link: .asciz "jumps leave no link\n"
text_unexpected: .asciz "not ok - unexpected exception\n# end\n"
text_end: .asciz "# end\n"
    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff
    .quad 0x00cf93000000ffff
    .quad 0x00cffb000000ffff
    .quad 0x00cff3000000ffff
    .fill 8, 8, 0
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt
idt_pointer:
    .word 256 * 8 - 1
    .long idt
target: .long 0, 0
running: .long 0

    .bss
    .balign 4096
main_directory: .skip 4096
low_table: .skip 4096
directories: .skip 4096 * TASKS
private_tables: .skip 4096 * TASKS
private_pages: .skip 4096 * TASKS
stacks: .skip 4096 * TASKS
    .skip 4096
stack_top:
    .skip 4096
fault_stack_top:
idt: .skip 256 * 8
    .balign 256
main_tss: .skip 256
fault_tss: .skip 256
task_tss: .skip 256 * TASKS
local_tables: .skip 8 * TASKS
local_data: .skip 4 * TASKS
result: .skip 4 * TASKS
ended: .skip 4 * TASKS
ticks: .skip 4
switches: .skip 4
faults: .skip 4
fault_address: .skip 4
fault_error: .skip 4
fault_link: .skip 4
protections: .skip 4
failures: .skip 4
