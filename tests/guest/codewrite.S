/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages that are written while they hold code: once, often, and never again. What runs is what the
 * bytes say, whatever the engine made of them before (smc.S has the single mechanisms).
 */
#include "guest.inc"
#include "irq.inc"

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    call neighbours
    call data_beside
    call versions
    call flags_between
    call numbers
    call addresses
    call own_block
    call own_loop
    call own_helpers
    call own_stack
    call borders
    call borders_of_changed
    call two_modes
    call through_alias
    call many_pages
    call quiet
    popq %rbp
    ret

.macro COPY from, to, size
    movq $\from, %rsi
    movq $\to, %rdi
    movl $\size, %ecx
    rep movsb
.endm

/* With an immediate of four bytes. */
.macro ADD_LONG
    .byte 0x05 /* add eax, imm32 */
    .long 0
.endm

.macro CALL_AT address
    movq $\address, %rax
    call *%rax
.endm

/* Three pieces that jump to each other; one is patched, the others stay. */
neighbours:
    xorl %r12d, %r12d
    movl $8, %ebx
1:  COPY three, page_a, three_end-three
    movl $5, %r13d
2:  movl %r13d, page_a+AT_three_imm
    CALL_AT page_a
    addl %eax, %r12d
    CALL_AT page_a
    addl %eax, %r12d
    decl %r13d
    jnz 2b
    decl %ebx
    jnz 1b
    CHECK_EQ "pieces beside one that is patched", %r12, 8*2*(5*1000+15)
    xorl %r12d, %r12d
    movl $6, %ebx
1:  incq page_a+2048
    movl $7, page_a+AT_three_imm
    CALL_AT page_a
    addl %eax, %r12d
    decl %ebx
    jnz 1b
    CHECK_EQ "the same bytes written again", %r12, 6*1007
    ret
three:
    call 1f
    addl $100, %eax
    ret
    .balign 64
1:  movl $1, %eax
three_imm = .-4
    jmp 2f
    .balign 64
2:  addl $900, %eax
    ret
three_end:
    .set AT_three_imm, three_imm-three

/* A counter that the code of the page itself keeps, and one that others keep. */
data_beside:
    COPY counting, page_b, counting_end-counting
    movl $20000, %ebx
1:  CALL_AT page_b
    incl page_b+2052
    decl %ebx
    jnz 1b
    CHECK_EQ "a counter of the code's own page", page_b+2048, 20000*3+(20000<<32)
    movl $100, %ebx
    xorl %r12d, %r12d
1:  movb %bl, page_b+AT_counting_imm
    CALL_AT page_b
    addl %eax, %r12d
    decl %ebx
    jnz 1b
    CHECK_EQ "and then the code is patched", %r12, 5050
    ret
counting:
    addl $3, page_b+2048
    movl $0, %eax
counting_imm = .-4
    ret
counting_end:
    .set AT_counting_imm, counting_imm-counting

/* Two to nine contents of the same place in turn. */
versions:
    movl $2, %r14d
3:  xorl %r12d, %r12d
    xorl %r13d, %r13d
    movl $60, %ebx
    xorl %r15d, %r15d
1:  incl %r15d
    cmpl %r14d, %r15d
    jb 2f
    xorl %r15d, %r15d
2:  movl %r15d, %esi
    shll $4, %esi
    addq $version, %rsi
    movq $page_c+32, %rdi
    movl $16, %ecx
    rep movsb
    movl $1, %eax
    movq $page_c+32, %rdx
    call *%rdx
    addl %eax, %r12d
    movl %r15d, %edx
    addl expected(,%rdx,4), %r13d
    decl %ebx
    jnz 1b
    subl %r12d, %r13d
    jnz 4f
    incl %r14d
    cmpl $9, %r14d
    jbe 3b
4:  CHECK_EQ "contents in turn: two to nine of them", %r14, 10
    ret
    .balign 16
version:
    movl $0x11, %eax
    ret
    .balign 16
    movl $0x2200, %eax
    ret
    .balign 16
    addl $5, %eax
    addl $5, %eax
    ret
    .balign 16
    leal 7(%rax,%rax), %eax
    jmp 1f
1:  ret
    .balign 16
    movl $3, %ecx
1:  addl %eax, %eax
    loop 1b
    ret
    .balign 16
    negl %eax
    ret
    .balign 16
    movl $0x12, %eax
    ret
    .balign 16
    movl $0x2201, %eax
    ret
    .balign 16
    pushq %rax
    popq %rcx
    leal (%rcx,%rax), %eax
    ret
    .balign 16
    .section .rodata
expected:
    .long 0x11, 0x2200, 11, 9, 8, -1, 0x12, 0x2201, 2
    .text

/* What is exchanged reads the flags of what is in front of it, or does not. */
flags_between:
    COPY flagged, page_c+256, flagged_end-flagged
    movl $100, %ebx
    xorl %r12d, %r12d
1:  movw $0xc019, page_c+256+AT_flagged_in /* sbb eax, eax */
    CALL_AT page_c+256
    addl %eax, %r12d
    movw $0xc031, page_c+256+AT_flagged_in /* xor eax, eax */
    CALL_AT page_c+256
    addl %eax, %r12d
    movw $0xc084, page_c+256+AT_flagged_in /* test al, al */
    CALL_AT page_c+256
    decl %ebx
    jnz 1b
    movslq %r12d, %r12
    CHECK_EQ "code that needs flags where code was that did not", %r12, -49
    ret
flagged:
    cmpl $50, %ebx
    jmp flagged_in
    .balign 16
flagged_in:
    nop
    nop
    ret
flagged_end:
    .set AT_flagged_in, flagged_in-flagged

/* Immediates of all kinds change; nothing else does. */
numbers:
    COPY numeric, page_d, numeric_end-numeric
    movl $63, %ebx
    xorl %r12d, %r12d
1:  movb %bl, page_d+AT_num_1-1
    movw %bx, page_d+AT_num_2-2
    movl %ebx, page_d+AT_num_3-4
    movq %rbx, %rax
    shlq $33, %rax
    movq %rax, page_d+AT_num_4-8
    movl %ebx, page_d+AT_num_5-4
    movb %bl, page_d+AT_num_6-1
    movl %ebx, page_d+AT_num_7-4
    movb %bl, page_d+AT_num_8-1
    movl %ebx, page_d+AT_num_9-4
    movl %ebx, page_d+AT_num_a-4
    movb %bl, page_d+AT_num_b-1
    CALL_AT page_d
    /* 1: b, 2: b, 3: b, 4: b << 33 >> 32, 5: 3b, 6: bit test, 7: b stored and read, 8: 1 << b,
     * 9: b pushed, a: b stored over two pages, b: b added to a pointer and back */
    leaq (%rbx,%rbx,2), %rcx
    leaq (%rcx,%rcx,2), %rcx
    addq %rbx, %rcx
    addq %rbx, %rcx
    addq %rbx, %rcx
    movl $1, %edx
    pushq %rcx
    movl %ebx, %ecx
    shll %cl, %edx
    popq %rcx
    addq %rdx, %rcx
    cmpl $32, %ebx
    jb 2f
    incq %rcx
2:  cmpq %rcx, %rax
    jne 3f
    decl %ebx
    jnz 1b
3:  CHECK_EQ "every immediate changed, sixty-three times", %rbx, 0
    ret
numeric:
    pushq %rbx
    xorl %eax, %eax
    addb $0, %al
num_1:
    movl $0, %ecx
    movw $0, %cx
num_2:
    addl %ecx, %eax
    ADD_LONG
num_3:
    movabsq $0, %rcx
num_4:
    shrq $32, %rcx
    addq %rcx, %rax
    movl $3, %ecx
    .byte 0x69, 0xc9 /* imul ecx, ecx, imm32 */
    .long 0
num_5:
    addq %rcx, %rax
    xorl %ecx, %ecx
    movabsq $0xffffffff00000000, %rdx
    btq $0, %rdx
num_6:
    adcl %ecx, %eax
    movq $page_d+2048, %rdx
    movl $0, (%rdx)
num_7:
    addl (%rdx), %eax
    movl $1, %ecx
    shll $0, %ecx
num_8:
    addq %rcx, %rax
    jmp 1f
1:  .byte 0x68 /* push imm32 */
    .long 0
num_9:
    popq %rcx
    addq %rcx, %rax
    jmp 1f
1:
    movl $0, page_d+4094
num_a:
    addl page_d+4094, %eax
    jmp 1f
1:  movq $page_e+64, %rdx
    movl $0, page_e+128(%rbx)
    movl $0x1000, (%rdx)
    addq $0, %rdx
num_b:
    movl $0x2000, 64(%rdx)
    subq $page_e+64, %rdx
    addq %rdx, %rax
    addl page_e+128(%rbx), %eax
    subl $0x2000, %eax
    popq %rbx
    ret
numeric_end:
    .set AT_num_1, num_1-numeric
    .set AT_num_2, num_2-numeric
    .set AT_num_3, num_3-numeric
    .set AT_num_4, num_4-numeric
    .set AT_num_5, num_5-numeric
    .set AT_num_6, num_6-numeric
    .set AT_num_7, num_7-numeric
    .set AT_num_8, num_8-numeric
    .set AT_num_9, num_9-numeric
    .set AT_num_a, num_a-numeric
    .set AT_num_b, num_b-numeric

/* Addresses and targets change. */
addresses:
    COPY addressing, page_c+512, addressing_end-addressing
    movl $50, %ebx
    xorl %r12d, %r12d
1:  movl %ebx, %eax
    andl $3, %eax
    leal table(,%rax,4), %ecx
    movl %ecx, page_c+512+AT_addr_1-4
    leal (%rax,%rax,2), %ecx /* over no, one, two, three of the additions */
    movb %cl, page_c+512+AT_addr_2-1
    CALL_AT page_c+512
    movl %ebx, %ecx
    andl $3, %ecx
    addl table_sum(,%rcx,4), %r12d
    subl %eax, %r12d
    jnz 2f
    decl %ebx
    jnz 1b
2:  CHECK_EQ "an address and a target changed", %rbx, 0
    ret
addressing:
    movl table, %eax
addr_1:
    jmp 1f
addr_2:
1:  addl $1, %eax
    addl $1, %eax
    addl $1, %eax
    ret
addressing_end:
    .set AT_addr_1, addr_1-addressing
    .set AT_addr_2, addr_2-addressing
    .section .rodata
table:
    .long 10, 20, 30, 40
table_sum:
    .long 13, 22, 31, 40
    .text

/* A block that changes what follows in itself, and what is in front of it. */
own_block:
    COPY changing, page_b+256, changing_end-changing
    movl $300, %ebx
    xorl %r12d, %r12d
1:  movl %ebx, %edi
    CALL_AT page_b+256
    addq %rax, %r12
    decl %ebx
    jnz 1b
    /* each call: behind = b, ahead = what the call before stored */
    CHECK_EQ "stores to what follows and to what is ahead", %r12, 300*301/2+300*301/2-1+7
    ret
changing:
    movl $7, %eax
chg_ahead:
    movl %edi, page_b+256+AT_chg_ahead-4
    movl %edi, page_b+256+AT_chg_behind-4
    ADD_LONG
chg_behind:
    nop
    ret
changing_end:
    .set AT_chg_ahead, chg_ahead-changing
    .set AT_chg_behind, chg_behind-changing

/* A loop of one block that changes itself, in front of the store and behind it. */
own_loop:
    COPY looping, page_b+512, looping_end-looping
    movl $3, %ebx
1:  movl $1, page_b+512+AT_loop_1-4
    movl $1, page_b+512+AT_loop_2-4
    CALL_AT page_b+512
    decl %ebx
    jnz 1b
    /* a: 1 + 2 + ... + 100, b: 2 + 3 + ... + 101 */
    CHECK_EQ "a loop that changes both ends of itself", %rax, 5050+5150
    ret
looping:
    xorl %eax, %eax
    movl $100, %ecx
1:  addl $1, %eax
    .byte 0x05 /* add eax, imm32 */
    .long 1
loop_1:
    subl $1, %eax
    incl page_b+512+AT_loop_1-4
    incl page_b+512+AT_loop_2-4
    .byte 0x05
    .long 1
loop_2:
    decl %ecx
    jnz 1b
    ret
looping_end:
    .set AT_loop_1, loop_1-looping
    .set AT_loop_2, loop_2-looping

/* Instructions that are no plain stores change what follows them. */
own_helpers:
    COPY helping, page_e+1024, helping_end-helping
    movl $40, %ebx
1:  movl %ebx, %edx
    CALL_AT page_e+1024
    leal (%rbx,%rbx,2), %ecx
    leal (%rcx,%rbx), %ecx
    cmpl %ecx, %eax
    jne 2f
    decl %ebx
    jnz 1b
2:  CHECK_EQ "REP STOS, REP MOVS, XCHG and MOVD change what follows", %rbx, 0
    ret
helping:
    movl %edx, %eax
    movq $page_e+1024+AT_help_1-4, %rdi
    movl $1, %ecx
    rep stosl
    movl $0, %eax
help_1:
    movl %edx, help_word
    movq $help_word, %rsi
    movq $page_e+1024+AT_help_2-4, %rdi
    movl $4, %ecx
    rep movsb
    ADD_LONG
help_2:
    movl %edx, %ecx
    xchgl %ecx, page_e+1024+AT_help_3-4
    ADD_LONG
help_3:
    movd %edx, %xmm0
    movd %xmm0, page_e+1024+AT_help_4-4
    ADD_LONG
help_4:
    ret
helping_end:
    .set AT_help_1, help_1-helping
    .set AT_help_2, help_2-helping
    .set AT_help_3, help_3-helping
    .set AT_help_4, help_4-helping
    .bss
help_word: .long 0
    .text

/* The stack lies in the code: CALL and PUSH change what is run. */
own_stack:
    COPY stacking, page_e+2048, stacking_end-stacking
    movl $20, %ebx
1:  movl %ebx, %edx
    CALL_AT page_e+2048
    cmpl %ebx, %eax
    jne 2f
    decl %ebx
    jnz 1b
2:  CHECK_EQ "PUSH changes what follows", %rbx, 0
    ret
stacking:
    movabsq $0xb890909090, %rcx
    movl %edx, %eax
    shlq $40, %rax
    orq %rax, %rcx /* nop; nop; nop; nop; mov eax, edx' low 24 bits */
    movq %rsp, %rsi
    movq $page_e+2048+AT_stack_1+8, %rsp
    pushq %rcx
    jmp stack_1 /* forwards: no look at anything */
stack_1:
    .skip 8, 0xcc
    .byte 0
    movq %rsi, %rsp
    andl $0xffffff, %eax
    ret
stacking_end:
    .set AT_stack_1, stack_1-stacking

/* An instruction over two pages: either half is patched, from everywhere. */
borders:
    movb $0xb8, page_f+4093 /* mov eax, imm32 */
    movl $0, page_f+4094
    movb $0xc3, page_f+4098
    COPY three, page_g+64, three_end-three
    movl $200, %ebx
    xorl %r12d, %r12d
1:  movw %bx, page_f+4094
    CALL_AT page_f+4093
    movzwl %ax, %eax
    addl %eax, %r12d
    movw %bx, page_g
    CALL_AT page_g+64 /* the second page runs on its own in between */
    CALL_AT page_f+4093
    shrl $16, %eax
    addl %eax, %r12d
    decl %ebx
    jnz 1b
    CHECK_EQ "halves of an instruction in two pages", %r12, 2*20100
    /* and where it stands one that needs flags, or none */
    movl $100, %ebx
    xorl %r12d, %r12d
    movl $0x0034fb83, page_f+4090 /* cmp ebx, 0x34; 4093 - 4096 follow */
    movb $0x34, page_f+4092
1:  movl $0xc0920f90, page_f+4093 /* nop; setb al */
    movb $0xc3, page_f+4097
    xorl %eax, %eax
    movq $page_f+4090, %rdx
    call *%rdx
    addl %eax, %r12d
    movl $0x00c08390, page_f+4093 /* nop; add eax, 0 */
    xorl %eax, %eax
    movq $page_f+4090, %rdx
    call *%rdx
    addl %eax, %r12d
    decl %ebx
    jnz 1b
    CHECK_EQ "flags over the border", %r12, 0x33
    ret

/* An instruction goes on in a page whose code was all changed since it ran: that is found out while
 * the instruction is decoded. */
    .set PIECES, 60
borders_of_changed:
    movl $PIECES, %ecx
    movl $page_j+64, %edi
1:  movb $0xb8, (%rdi) /* mov eax, imm32 */
    movl %ecx, 1(%rdi)
    movb $0xc3, 5(%rdi)
    addq $64, %rdi
    decl %ecx
    jnz 1b
    movb $0xb8, page_i+4093
    movl $1234, page_i+4094
    movb $0xc3, page_i+4098
    call all_pieces
    call all_pieces
    CHECK_EQ "calls of one page from another", %r12, PIECES*(PIECES+1)/2
    movl $PIECES, %ecx
    movl $page_j+64, %edi
1:  addl $1000, 1(%rdi)
    addq $64, %rdi
    decl %ecx
    jnz 1b
    CALL_AT page_i+4093
    CHECK_EQ "an instruction that goes on in a page of changed code", %rax, 1234
    call all_pieces
    CHECK_EQ "and that page's code", %r12, PIECES*(PIECES+1)/2+PIECES*1000
    ret
all_pieces:
    xorl %r12d, %r12d
    .set piece, 1
    .rept PIECES
    call page_j+64*piece
    addl %eax, %r12d
    .set piece, piece+1
    .endr
    ret

/* The same page runs for the supervisor, a 64-bit and a 32-bit program, patched in between. */
two_modes:
    COPY modal, page_h, modal_end-modal
    movl $40, %ebp
1:  movl %ebp, page_h+AT_modal_imm-4
    movl $0, %eax
    CALL_AT page_h
    cmpl %ebp, %eax
    jne 2f
    movl $page_h+USER+AT_modal_user, user_rip
    movq $UCODE, user_cs
    call run_user
    cmpl %ebp, exc_regs+F_RAX
    jne 2f
    movl $page_h+USER+AT_modal_user, user_rip
    movq $UCODE32, user_cs
    incl page_h+AT_modal_imm-4
    call run_user
    movl exc_regs+F_RAX, %eax
    decl %eax
    cmpl %ebp, %eax
    jne 2f
    decl %ebp
    jnz 1b
2:  movl %ebp, %ebx
    CHECK_EQ "patched between three modes that run it", %rbx, 0
    ret
modal:
    call modal_body
    ret
modal_user:
    call modal_body
    int $0x80
modal_body:
    movl $0, %eax
modal_imm:
    ret
modal_end:
    .set AT_modal_imm, modal_imm-modal
    .set AT_modal_user, modal_user-modal

/* Patched through another linear address, by the code itself, too. */
through_alias:
    COPY aliasing, page_h+512, aliasing_end-aliasing
    movl $500, %ebx
    xorl %r12d, %r12d
1:  movl %ebx, page_h+512+USER+AT_alias_1-4
    CALL_AT page_h+512
    addl %eax, %r12d
    decl %ebx
    jnz 1b
    CHECK_EQ "patched through another address, from outside and inside", %r12, 3*125250
    ret
aliasing:
    movl $0, %eax
alias_1:
    leal (%rax,%rax), %ecx
    movl %ecx, page_h+512+USER+AT_alias_2-4
    jmp 1f
1:  ADD_LONG
alias_2:
    ret
aliasing_end:
    .set AT_alias_1, alias_1-aliasing
    .set AT_alias_2, alias_2-aliasing

/* More pages than one remembers, each written and run several times. */
    .set PAGES, 1300
many_pages:
    xorl %r12d, %r12d
    movl $4, %r13d
1:  movl $POOL+0x400000, %edi
    movl $PAGES, %ebx
2:  movb $0xb8, 100(%rdi)
    movl %ebx, 101(%rdi)
    movb $0xc3, 105(%rdi)
    leaq 100(%rdi), %rax
    call *%rax
    addl %eax, %r12d
    incl 101(%rdi)
    leaq 100(%rdi), %rax
    call *%rax
    addl %eax, %r12d
    addl $4096, %edi
    decl %ebx
    jnz 2b
    decl %r13d
    jnz 1b
    CHECK_EQ "many pages, written and run", %r12, 4*(2*(PAGES*(PAGES+1)/2)+PAGES)
    ret

/* A page that was written all the time is left alone for a while, and is then written again. */
quiet:
    PIC_ON 0xfe
    APIC_ON
    PIT_ON 2386 /* 2 ms */
    movq $tick, exc_hook+8*0x20
    movl $3, %r15d
3:  COPY three, page_a, three_end-three
    xorl %r12d, %r12d
    movl $400, %r13d
1:  movl %r13d, page_a+AT_three_imm
    CALL_AT page_a
    addl %eax, %r12d
    decl %r13d
    jnz 1b
    CHECK_EQ "a page written again and again", %r12, 400*1000+80200
    xorl %r12d, %r12d
    movq ticks, %r14
    addq $150, %r14
    sti
1:  CALL_AT page_a
    orl %eax, %r12d
    cmpq %r14, ticks
    jb 1b
    cli
    CHECK_EQ "is left alone", %r12, 1001
    decl %r15d
    jnz 3b
    OUT 0x21, 0xff
    ret
tick:
    OUT 0x20, 0x20
    incq ticks
    movl $1, %eax
    ret

    .bss
    .balign 8
ticks: .quad 0
    .balign 4096
page_a: .skip 4096
page_b: .skip 4096
page_c: .skip 4096
page_d: .skip 4096
page_e: .skip 4096
page_f: .skip 4096
page_g: .skip 4096
page_h: .skip 4096
page_i: .skip 4096
page_j: .skip 4096
