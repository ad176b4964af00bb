/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Real mode as programs of its time use it. A loader offers INT 21h, puts a .COM program behind a
 * program segment prefix and runs it: timer ticks by INT 1Ch, a divide error that is caught, code
 * that patches itself, decimal arithmetic, far calls, strings, a sieve. When the program returns the
 * loader goes on in "unreal" mode: it copies a 32-bit kernel to 2 MB through a segment of 4 GB and
 * starts it there.
 */
#define SEG 0x1000 /* of this code */
#define STACK 0x2000
#define PROGRAM 0x3000
#define SIEVE 0x5000
#define KERNEL 0x200000
#define R(label) (label - base)
#define C(label) (label - com + 0x100)

    .section .real, "awx"
base:
    .long 0x1badb002, 0, -0x1badb002 /* multiboot */

    .text
    .code32
    .globl start
start:
    cli
    cld
    lgdt gdt_pointer
    lidt vectors
    ljmp $0x18, $R(leave)

    .section .real, "awx"
    .code16
leave: /* 16-bit protected mode */
    movw $0x20, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %fs
    movw %ax, %gs
    movw %ax, %ss
    movl %cr0, %eax
    andb $0xfe, %al
    movl %eax, %cr0
    ljmp $SEG, $R(real)

real:
    movw %cs, %ax
    movw %ax, %ds
    movw $STACK, %ax
    movw %ax, %ss
    movw $0xfff0, %sp
    xorw %ax, %ax
    movw %ax, %es
    movw $R(int20), %es:0x20*4
    movw %cs, %es:0x20*4+2
    movw $R(int21), %es:0x21*4
    movw %cs, %es:0x21*4+2

    movw $PROGRAM, %ax /* the prefix: INT 20h at 0; the program at 100h, 0 on its stack */
    movw %ax, %es
    movw $0x20cd, %es:0
    movw $R(com), %si
    movw $0x100, %di
    movw $(com_end-com), %cx
    rep movsb
    movw %ax, %ds
    movw %sp, %cs:R(loader_sp)
    movw %ax, %ss
    movw $0xfffe, %sp
    movw $0, %es:0xfffe
    sti
    ljmp $PROGRAM, $0x100

int20:
    cli
    cld
    movw %cs, %ax
    movw %ax, %ds
    movw $STACK, %ax
    movw %ax, %ss
    movw R(loader_sp), %sp
    jmp unreal

/* AH: 02 a character, 09 a string up to '$', 25 set and 35 get a vector. */
int21:
    sti
    cmpb $0x09, %ah
    je 1f
    cmpb $0x25, %ah
    je 3f
    cmpb $0x35, %ah
    je 4f
    pushw %ax
    movb %dl, %al
    call out_char
    popw %ax
    iret
1:  pushw %ax
    pushw %si
    movw %dx, %si
2:  lodsb
    cmpb $'$', %al
    je 5f
    call out_char
    jmp 2b
5:  popw %si
    popw %ax
    iret
3:  pushw %bx
    pushw %es
    call vector
    movw %dx, %es:(%bx)
    movw %ds, %es:2(%bx)
    popw %es
    popw %bx
    iret
4:  call vector
    lesw %es:(%bx), %bx
    iret
vector:
    xorw %bx, %bx
    movw %bx, %es
    movb %al, %bl
    shlw $2, %bx
    ret

out_char:
    pushw %dx
    pushw %ax
    movw $0x3fd, %dx
1:  inb %dx, %al
    testb $0x20, %al
    jz 1b
    popw %ax
    movw $0x3f8, %dx
    outb %al, %dx
    popw %dx
    ret

/* ---- the program */
    .balign 16
com:
    cmpw $0xfffe, %sp
    movw $C(said_start), %si
    call report
    call ticks
    movw $C(said_ticks), %si
    call report
    call divide
    movw $C(said_divide), %si
    call report
    call patched
    movw $C(said_patched), %si
    call report
    call decimal
    movw $C(said_decimal), %si
    call report
    call far_calls
    movw $C(said_far), %si
    call report
    call factorial
    movw $C(said_factorial), %si
    call report
    call strings
    movw $C(said_strings), %si
    call report
    call sieve
    movw $C(said_sieve), %si
    call report
    ret /* to INT 20h at 0 */

/* ZF: it went well. */
report:
    movw $C(said_ok), %dx
    jz 1f
    movw $C(said_not), %dx
    pushw %ds
    movw $SEG, %ax
    movw %ax, %ds
    movb $1, R(failures)
    popw %ds
1:  movb $9, %ah
    int $0x21
    movw %si, %dx
    movb $9, %ah
    int $0x21
    ret

said_ok: .ascii "ok - $"
said_not: .ascii "not ok - $"
said_start: .ascii "a program starts with its prefix and stack\n$"
said_ticks: .ascii "ticks by INT 1Ch while the program halts\n$"
said_divide: .ascii "a divide error is caught\n$"
said_patched: .ascii "code that patches itself\n$"
said_decimal: .ascii "decimal arithmetic\n$"
said_far: .ascii "the same code through two segments\n$"
said_factorial: .ascii "32-bit multiplication\n$"
said_strings: .ascii "strings in both directions\n$"
said_sieve: .ascii "primes below 65536\n$"

ticks:
    movw $0x351c, %ax
    int $0x21
    movw %bx, C(old_tick)
    movw %es, C(old_tick)+2
    movw $C(on_tick), %dx
    movw $0x251c, %ax
    int $0x21
1:  hlt
    cmpw $3, C(ticked)
    jb 1b
    pushw %ds
    ldsw C(old_tick), %dx
    movw $0x251c, %ax
    int $0x21
    popw %ds
    cmpw $3, C(ticked)
    ret
on_tick:
    incw %cs:C(ticked)
    ljmp *%cs:C(old_tick)
old_tick: .long 0
ticked: .word 0

divide:
    movw $0x3500, %ax
    int $0x21
    pushw %es
    pushw %bx
    movw $C(on_divide), %dx
    movw $0x2500, %ax
    int $0x21
    movw $1234, %ax
    xorw %dx, %dx
    xorw %bx, %bx
    divw %bx
    movw $0x1000, %ax
    movb $2, %bl
    divb %bl
    popw %dx
    popw %ax
    pushw %ds
    movw %ax, %ds
    movw $0x2500, %ax
    int $0x21
    popw %ds
    cmpw $2, C(divided)
    ret
on_divide: /* goes on behind the instruction, which has two bytes */
    pushw %bp
    movw %sp, %bp
    addw $2, 2(%bp)
    incw %cs:C(divided)
    popw %bp
    iret
divided: .word 0

patched:
    xorw %dx, %dx
    movw $100, %cx
1:  movw %cx, %cs:C(patch)+1
    jmp 2f
2:
patch:
    movw $0xffff, %ax
    addw %ax, %dx
    loop 1b
    cmpw $5050, %dx
    ret

decimal: /* 1999 + 0002 = 2001; 85 = 8 * 10 + 5 */
    movw $0x1999, %ax
    addb $0x02, %al
    daa
    xchgb %al, %ah
    adcb $0, %al
    daa
    xchgb %al, %ah
    cmpw $0x2001, %ax
    jne 1f
    movb $85, %al
    aam
    cmpw $0x0805, %ax
    jne 1f
    aad
    cmpw $85, %ax
1:  ret

far_calls:
    xorw %ax, %ax
    lcall $PROGRAM, $C(far_add)
    lcall $PROGRAM+0x10, $C(far_add)-0x100
    lcall *C(far_pointer)
    cmpw $(3 * PROGRAM + 0x10 - 8), %ax
    ret
far_add:
    movw %cs, %dx
    addw %dx, %ax
    lret
far_pointer: .word C(far_add) + 0x80, PROGRAM - 8

factorial:
    movl $1, %eax
    movw $12, %cx
1:  movzwl %cx, %ebx
    mull %ebx
    loop 1b
    cmpl $479001600, %eax
    ret

strings:
    movw %ds, %ax
    movw %ax, %es
    movw $C(said_sieve), %di
    movb $'6', %al
    movw $-1, %cx
    repne scasb
    subw $C(said_sieve), %di
    cmpw $14, %di
    jne 1f
    movw $C(said_ok)+4, %si /* moves by one, from the end */
    movw $C(string)+5, %di
    movw $5, %cx
    std
    rep movsb
    cld
    movw $C(said_ok), %si
    movw $C(string)+1, %di
    movw $5, %cx
    repe cmpsb
1:  ret
string: .skip 8

sieve:
    movw $SIEVE, %ax
    movw %ax, %es
    xorw %di, %di
    xorw %ax, %ax
    movw $0x8000, %cx
    rep stosw
    movw $2, %bx
    xorw %dx, %dx
1:  cmpb $0, %es:(%bx)
    jne 3f
    incw %dx
    movw %bx, %si
2:  addw %bx, %si
    jc 3f
    movb $1, %es:(%si)
    jmp 2b
3:  incw %bx
    jnz 1b
    cmpw $6542, %dx
    ret
com_end:

/* ---- unreal mode */
    .balign 16
unreal:
    lgdtl R(gdt_pointer)
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    movw $0x10, %bx
    movw %bx, %fs
    andb $0xfe, %al
    movl %eax, %cr0
    sti
    movl $KERNEL, %edi
    xorl %esi, %esi
    movl $(payload_end-payload), %ecx
1:  movb R(payload)(%si), %al
    movb %al, %fs:(%edi)
    incl %esi
    incl %edi
    addr32 loop 1b
    movl $KERNEL, %ebx
    movl %fs:(%ebx), %eax
    movw $R(said_unreal), %si
    cmpl R(payload), %eax
    call loader_report
    xorw %ax, %ax /* a load in real mode leaves the limit as it is */
    movw %ax, %fs
    movl $(KERNEL-0x100), %ebx
    movl %fs:0x100(%ebx), %eax
    movw $R(said_limit), %si
    cmpl R(payload), %eax
    call loader_report
    cli
    movb R(failures), %dl
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $8, $KERNEL

loader_report:
    pushw %si
    movw $R(text_ok), %si
    jz 1f
    movb $1, R(failures)
    movw $R(text_not), %si
1:  call out_string
    popw %si
out_string:
    lodsb
    testb %al, %al
    jz 1f
    call out_char
    jmp out_string
1:  ret

    .code32
payload: /* runs at 2 MB */
    movw $0x10, %ax
    movw %ax, %ds
    movw %ax, %ss
    movb %dl, %bl
    call 1f
1:  popl %esi
    addl $payload_text-1b, %esi
    movl $payload_text_end-payload_text, %ecx
2:  movw $0x3fd, %dx
3:  inb %dx, %al
    testb $0x20, %al
    jz 3b
    movb (%esi), %al
    incl %esi
    movw $0x3f8, %dx
    outb %al, %dx
    loop 2b
    movb %bl, %al
    movw $0xf4, %dx
    outb %al, %dx
4:  cli
    hlt
    jmp 4b
payload_text:
    .ascii "ok - the kernel at 2 MB runs\n# end\n"
payload_text_end:
payload_end:

text_ok: .asciz "ok - "
text_not: .asciz "not ok - "
said_unreal: .asciz "a copy to 2 MB through a large segment\n"
said_limit: .asciz "a load in real mode keeps the limit\n"
loader_sp: .word 0
failures: .byte 0
    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff /* 08: 32-bit code */
    .quad 0x00cf93000000ffff /* 10: data, 4 GB */
    .quad 0x00009b010000ffff /* 18: 16-bit code, base 10000h */
    .quad 0x000093010000ffff /* 20: 16-bit data */
gdt_end:
vectors: /* of real mode */
    .word 0x3ff
    .long 0
gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt
