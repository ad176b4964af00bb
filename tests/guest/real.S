/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Real mode: 16-bit addresses and their wrap, operands, IP, stacks, interrupts (SDM vol. 3, chapter
 * 21). The way there and back goes through every mode that has no task (real.inc).
 */
#include "guest.inc"
#include "real.inc"

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    call set_up_real
    movq $OFF(rm_nothing), %rdi
    call run_real
    CHECK16 "real mode and back", nothing, 0x1234
    call addresses
    call operands
    call transfers
    call stacks
    call interrupts
    popq %rbp
    ret

    REAL
rm_nothing:
    movw $0x1234, OFF(nothing)
    ret
nothing: .word 0
    END_REAL

/* ---- addresses */
addresses:
    movl $0x11112222, 0x20000
    movq $OFF(rm_addresses), %rdi
    call run_real
    CHECK16 "BX + SI + 16 bits", addr1, 0x5678
    CHECK16 "a sum that wraps at 64 KB", addr2, 0x5678
    CHECK16 "BP goes through SS", addr3, 0x5678
    CHECK16 "through ES", addr4, 0x2222
    CHECK16 "above 1 MB: ffff:0018 is 100008", addr5, 18 /* of the ELF note there */
    CHECK16 "an absolute address through ES", addr6, 0x1111
    CHECK16 "LEA wraps", addr7, 0x0001
    CHECK16 "a 32-bit base", addr8, 0x5678
    CHECK16 "a scaled index", addr9, 0x5678
    CHECK16 "XLAT through ES", addr10, 0x22
    CHECK16 "BT reaches beyond its word", addr11, 1
    CHECK16 "a read through CS", addr12, 0x5678
    CHECK16 "a write through CS", addr13, 0x9999
    ret

    REAL
rm_addresses:
    movw $OFF(addr_word)-0x1010, %bx
    movw $0x1000, %si
    movw 0x10(%bx, %si), %ax
    movw %ax, OFF(addr1)
    movw $0xff00, %di
    movw OFF(addr_word)+0x100(%di), %ax
    movw %ax, OFF(addr2)
    movw $OFF(addr_word), %bp
    xorw %si, %si
    movw (%bp, %si), %ax
    movw %ax, OFF(addr3)
    movw $0x2000, %ax
    movw %ax, %es
    xorw %di, %di
    movw %es:(%di), %ax
    movw %ax, OFF(addr4)
    movw %es:2, %ax
    movw %ax, OFF(addr6)
    xorw %bx, %bx
    movb $1, %al
    es xlatb
    movb %al, OFF(addr10)
    movw $0xffff, %ax
    movw %ax, %es
    movw %es:0x18, %ax
    movw %ax, OFF(addr5)
    movw $0xffff, %bx
    leaw 2(%bx), %ax
    movw %ax, OFF(addr7)
    movl $OFF(addr_word), %ecx
    addr32 movw (%ecx), %ax
    movw %ax, OFF(addr8)
    movl $2, %ecx
    addr32 movw OFF(addr_word)-8(, %ecx, 4), %ax
    movw %ax, OFF(addr9)
    movw $40, %ax
    btw %ax, OFF(addr_bits)
    setc OFF(addr11)
    movw %cs:OFF(addr_word), %ax
    movw %ax, OFF(addr12)
    movw $0x9999, %cs:OFF(addr13)
    movw %cs, %ax
    movw %ax, %es
    ret
    .balign 4
addr_word: .word 0x5678
addr_bits: .word 0, 0, 0x100
addr1: .word 0
addr2: .word 0
addr3: .word 0
addr4: .word 0
addr5: .word 0
addr6: .word 0
addr7: .word 0
addr8: .word 0
addr9: .word 0
addr10: .word 0
addr11: .word 0
addr12: .word 0
addr13: .word 0
    END_REAL

/* ---- operands: the prefix 66 means the other size */
operands:
    movq $OFF(rm_operands), %rdi
    call run_real
    CHECK16 "a 16-bit ADD leaves the rest of EAX", op1, 0x1235
    CHECK16 "and carries nothing", op2, 0
    CHECK16 "INC of a 16-bit register", op3, 0x7654
    CHECK16 "a 32-bit ADD", op4, 1
    CHECK16 "a 32-bit immediate", op5, 0xdead
    CHECK16 "MUL of words", op6, 2
    CHECK16 "CWDE", op7, 0xffff
    CHECK16 "MOVSX of a byte", op8, 0xff80
    CHECK16 "MOVZX into 32 bits", op9, 0
    CHECK16 "SHLD of words", op10, 0x2345
    CHECK16 "IMUL with an immediate", op11, 0x369c
    CHECK16 "BSWAP", op12, 0x1122
    CHECK16 "SSE: PADDW", op13, 0x0201
    CHECK16 "x87: FIST", op14, 7
    CHECK16 "LOCK XADD", op15, 0x1111
    CHECK16 "CMPXCHG", op16, 0x2222
    CHECK16 "POPCNT of a word", op17, 16
    CHECK16 "PUSH of an immediate, 32 bits", op18, 0xffff
    CHECK16 "AAM", op19, 0x0703
    CHECK16 "MOV from a segment register", op20, REAL_SEG
    CHECK16 "LES: ES", op21, 0x4321
    CHECK16 "and the offset", op22, 0x8765
    ret

    REAL
rm_operands:
    movl $0x1234ffff, %eax
    addw $1, %ax
    pushfw
    popw OFF(op2)
    andw $ZF, OFF(op2)
    xorw $ZF, OFF(op2)
    shrl $16, %eax
    incw %ax
    movw %ax, OFF(op1)
    movl $0x7654ffff, %ecx
    incw %cx
    shrl $16, %ecx
    movw %cx, OFF(op3)
    movl $0xffff, %edx
    addl $1, %edx
    shrl $16, %edx
    movw %dx, OFF(op4)
    movl $0xdeadbeef, %ebx
    movl %ebx, OFF(op5)-2
    movw $0x1000, %ax
    movw $0x20, %cx
    mulw %cx
    movw %dx, OFF(op6)
    movw $0x8000, %ax
    cwtl
    shrl $16, %eax
    movw %ax, OFF(op7)
    movb $0x80, %al
    movsbw %al, %ax
    movw %ax, OFF(op8)
    movl $-1, %eax
    movw $0x80, %ax
    movzwl %ax, %eax
    shrl $16, %eax
    movw %ax, OFF(op9)
    movw $0x1234, %ax
    movw $0x5678, %dx
    shldw $4, %dx, %ax
    movw %ax, OFF(op10)
    movw $0x1234, %ax
    imulw $3, %ax, %bx
    movw %bx, OFF(op11)
    movl $0x22110000, %eax
    bswap %eax
    movw %ax, OFF(op12)
    movw $0x0100, OFF(op13)
    movw OFF(op13), %ax
    movzwl %ax, %eax
    movd %eax, %xmm0
    movl $0x101, %eax
    movd %eax, %xmm1
    paddw %xmm1, %xmm0
    movd %xmm0, %eax
    movw %ax, OFF(op13)
    fninit
    movw $7, OFF(op14)
    filds OFF(op14)
    movw $0, OFF(op14)
    fistps OFF(op14)
    movw $0x1111, OFF(op15)
    movw $0, %ax
    lock xaddw %ax, OFF(op15)
    movw $0x5555, OFF(op16)
    movw $0x5555, %ax
    movw $0x2222, %cx
    cmpxchgw %cx, OFF(op16)
    movl $-1, %eax
    popcntw %ax, %cx
    movw %cx, OFF(op17)
    pushl $-1
    popw %ax
    popw OFF(op18)
    movb $73, %al
    aam
    movw %ax, OFF(op19)
    movw %ds, %ax
    movw %ax, OFF(op20)
    lesw OFF(op_far), %bx
    movw %es, OFF(op21)
    movw %bx, OFF(op22)
    movw %ds, %ax
    movw %ax, %es
    ret
    .balign 4
op_far: .word 0x8765, 0x4321
op1: .word 0
op2: .word 0
op3: .word 0
op4: .word 0
    .word 0
op5: .word 0
op6: .word 0
op7: .word 0
op8: .word 0
op9: .word 0
op10: .word 0
op11: .word 0
op12: .word 0
op13: .word 0
op14: .word 0
op15: .word 0
op16: .word 0
op17: .word 0
op18: .word 0
op19: .word 0
op20: .word 0
op21: .word 0
op22: .word 0
    END_REAL

/* ---- jumps, calls, IP */
transfers:
    /* 1fff0: a jump over the end of the segment to its start, and back from a copy of that */
    movabsq $0x9090909090902eeb, %rax /* jmp to IP 0020 */
    movq %rax, 0x2fff0
    movb $0xcb, 0x20020 /* lret */
    movq $OFF(rm_transfers), %rdi
    call run_real
    CHECK16 "CALL and RET", tr1, 3
    CHECK16 "CALL pushes IP", tr2, 0
    CHECK16 "far CALL: CS", tr3, 0x0fff
    CHECK16 "its return address", tr4, REAL_SEG
    CHECK16 "CALL through memory", tr5, 7
    CHECK16 "JMP through a table", tr6, 9
    CHECK16 "LOOP", tr7, 55
    CHECK16 "LOOP counts CX alone", tr8, 0xabcd
    CHECK16 "JCXZ", tr9, 1
    CHECK16 "JECXZ", tr10, 1
    CHECK16 "LOOPNE ends with ZF", tr11, 5
    CHECK16 "a jump wraps at 64 KB", tr12, 1
    CHECK16 "RET with bytes to drop", tr13, 0
    CHECK16 "far CALL through memory", tr14, 0x0fff
    CHECK16 "a 32-bit CALL pushes EIP", tr15, 0
    ret

    REAL
rm_transfers:
    movw $1, %ax
    callw 1f
    incw %ax
    movw %ax, OFF(tr1)
    jmp 2f
1:  incw %ax
    ret
2:  callw 3f
3:  popw %ax
    subw $OFF(3b), %ax
    movw %ax, OFF(tr2)
    lcallw $REAL_SEG-1, $OFF(4f)+16
    jmp 5f
4:  movw %cs, OFF(tr3)
    movw %sp, %bp
    movw 2(%bp), %ax
    movw %ax, OFF(tr4)
    lretw
5:  movw $OFF(6f), OFF(tr_pointer)
    callw *OFF(tr_pointer)
    jmp 7f
6:  movw $7, OFF(tr5)
    ret
7:  movw $OFF(8f), %bx
    jmpw *%bx
    movw $0, OFF(tr6)
    jmp 9f
8:  movw $9, OFF(tr6)
9:  movl $0xabcd000a, %ecx
    xorw %ax, %ax
1:  addw %cx, %ax
    loopw 1b
    movw %ax, OFF(tr7)
    shrl $16, %ecx
    movw %cx, OFF(tr8)
    movl $0x10000, %ecx
    jcxz 1f
    jmp 2f
1:  movw $1, OFF(tr9)
2:  jecxz 1f
    movw $1, OFF(tr10)
1:  movw $10, %cx
1:  cmpw $6, %cx
    loopne 1b
    movw %cx, OFF(tr11)
    lcallw $0x2000, $0xfff0
    movw $1, OFF(tr12)
    movw %sp, %si
    pushw $1
    pushw $2
    callw 1f
    jmp 2f
1:  retw $4
2:  subw %sp, %si
    movw %si, OFF(tr13)
    movw $OFF(3f)+16, OFF(tr_pointer)
    movw $REAL_SEG-1, OFF(tr_pointer)+2
    lcallw *OFF(tr_pointer)
    jmp 4f
3:  movw %cs, OFF(tr14)
    lretw
4:  calll 5f
5:  popl %eax
    subl $OFF(5b), %eax
    movw %ax, OFF(tr15)
    ret
    .balign 4
tr_pointer: .word 0, 0
tr1: .word 0
tr2: .word 1
tr3: .word 0
tr4: .word 0
tr5: .word 0
tr6: .word 0
tr7: .word 0
tr8: .word 0
tr9: .word 0
tr10: .word 0
tr11: .word 0
tr12: .word 0
tr13: .word 1
tr14: .word 0
tr15: .word 1
    END_REAL

/* ---- stacks of 16 bits */
stacks:
    movq $OFF(rm_stacks), %rdi
    call run_real
    CHECK16 "PUSHA and POPA", st1, 0x1122
    CHECK16 "SP after them", st2, 0
    CHECK16 "PUSHA pushes the old SP", st3, 0
    CHECK16 "SP wraps to FFFE", st4, 0xfffe
    CHECK16 "the upper half of ESP stays", st5, 0x7777
    CHECK16 "ENTER: BP", st6, 2
    CHECK16 "its locals", st7, 10
    CHECK16 "LEAVE", st8, 0
    CHECK16 "PUSHF and POPF", st9, 0x0cd7
    CHECK16 "PUSHL", st10, 0x8765
    CHECK16 "POP into memory", st11, 0x4321
    CHECK16 "PUSH SP", st12, 0
    CHECK16 "nested ENTER", st13, 0x5a5a
    ret

    REAL
rm_stacks:
    movw %sp, OFF(st2)
    movw $0x1122, %bx
    movw $0x3344, %di
    pushaw
    movw %sp, %bp
    movw 6(%bp), %ax
    subw OFF(st2), %ax
    movw %ax, OFF(st3)
    xorw %bx, %bx
    xorw %di, %di
    popaw
    movw %bx, OFF(st1)
    subw %sp, OFF(st2)
    movl %esp, %edx
    movw $0x3000, %ax
    movw %ax, %ss
    movl $0x77770000, %esp
    pushw $0x99
    movl %esp, %eax
    movw %ds, %cx
    movw %cx, %ss
    movl %edx, %esp
    movw %ax, OFF(st4)
    shrl $16, %eax
    movw %ax, OFF(st5)
    movw %sp, %si
    enterw $8, $0
    movw %si, %ax
    subw %bp, %ax
    movw %ax, OFF(st6)
    movw %si, %ax
    subw %sp, %ax
    movw %ax, OFF(st7)
    leavew
    subw %sp, %si
    movw %si, OFF(st8)
    pushw $0x0cd7
    popfw
    pushfw
    popw OFF(st9)
    pushw $2
    popfw
    pushl $0x87654321
    popw OFF(st11)
    popw OFF(st10)
    pushw %sp
    popw %ax
    subw %sp, %ax
    movw %ax, OFF(st12)
    movw $OFF(st_frame)+2, %bp
    movw %sp, %si
    enterw $0, $2
    movw -2(%bp), %ax
    movw %ax, OFF(st13)
    movw %si, %sp
    ret
    .balign 4
st_frame: .word 0x5a5a, 0
st1: .word 0
st2: .word 0
st3: .word 1
st4: .word 0
st5: .word 0
st6: .word 0
st7: .word 0
st8: .word 1
st9: .word 0
st10: .word 0
st11: .word 0
st12: .word 1
st13: .word 0
    END_REAL

/* ---- interrupts and exceptions */
interrupts:
    movq $OFF(rm_interrupts), %rdi
    call run_real
    CHECK16 "INT 3", in1, 3
    CHECK16 "it is reported behind the instruction", in1+2, 1
    CHECK16 "INT n", in2, 0x15
    CHECK16 "INTO", in3, 4
    CHECK16 "#DE", in4, 0
    CHECK16 "at the instruction", in4+2, 0
    CHECK16 "#UD", in5, 6
    CHECK16 "BOUND", in6, 5
    CHECK16 "a single step", in7, 1
    CHECK16 "behind one instruction", in7+2, 1
    CHECK16 "ARPL is undefined", in8, 6
    CHECK16 "LLDT is undefined", in9, 6
    CHECK16 "#GP beyond the interrupt table", in10, 13
    CHECK16 "CLTS is allowed", in11, 0xffff
    CHECK16 "IRET loads the flags", in12, 0xcd7
    ret

    REAL
rm_interrupts:
    RM_FAULTS in1, int3
    RM_FAULTS in2, int $0x15
    movb $0x7f, %al
    addb $1, %al
    RM_FAULTS in3, into
    xorw %cx, %cx
    RM_FAULTS in4, divw %cx
    RM_FAULTS in5, ud2
    movw $7, %ax
    RM_FAULTS in6, boundw %ax, OFF(in_bounds)
    movw $OFF(2f), OFF(rm_resume)
    movw $-1, OFF(rm_vector)
    pushw $TF|2
    popfw
1:  nop
    movw $7, OFF(rm_vector)
2:  movw OFF(rm_vector), %ax
    movw %ax, OFF(in7)
    movw OFF(rm_ip), %ax
    subw $OFF(1b), %ax
    movw %ax, OFF(in7)+2
    movw $0, OFF(rm_resume)
    RM_FAULTS in8, arpl %ax, %cx
    RM_FAULTS in9, .byte 0x0f, 0x00, 0xd0
    lidtl OFF(in_idt)
    RM_FAULTS in10, int $0x20
    lidtl OFF(real_idt)
    RM_FAULTS in11, clts
    pushw $0xcd7
    pushw %cs
    pushw $OFF(1f)
    iretw
1:  pushfw
    popw OFF(in12)
    pushw $2
    popfw
    ret
    .balign 4
in_bounds: .word 1, 6
in_idt: .word 0x7f
    .long 0
in1: .word 0, 0
in2: .word 0, 0
in3: .word 0, 0
in4: .word 0, 0
in5: .word 0, 0
in6: .word 0, 0
in7: .word 0, 0
in8: .word 0, 0
in9: .word 0, 0
in10: .word 0, 0
in11: .word 0, 0
in12: .word 0
real_end:
    END_REAL
