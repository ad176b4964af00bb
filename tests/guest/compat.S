/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 32-bit programs in compatibility mode: the instructions that 64-bit mode lost, 32-bit and 16-bit
 * addresses, segments with bases and limits, far transfers between 32- and 64-bit code.
 */
#include "guest.inc"

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    call lost_instructions
    call decimal
    call bound_and_into
    call addresses
    call segments
    call limits
    call segment_loads
    call far_transfers
    call wrap
    call upper_halves
    call absent_extensions
    popq %rbp
    ret

/* A 32-bit program; its end is END32. */
.macro PROGRAM32
    jmp 5f
    .code32
4:
.endm
.macro END32 name
6:  int $0x80
    .code64
5:  USER_RUN "\name", 0x80, 0, 6b+USER+2, 4b+USER, UCODE32
.endm
/* A register of the program, 32 bits of it. */
.macro CHECK32 name, reg, value
    movl exc_regs+\reg, %r15d
    CHECK_EQ "\name", %r15, \value
.endm

lost_instructions:
    PROGRAM32
    movl $1, %eax
    movl $2, %ecx
    movl $3, %edx
    movl $4, %ebx
    movl $5, %ebp
    movl $6, %esi
    movl $7, %edi
    pusha
    movl %esp, %eax
    popl %edi
    popl %esi
    popl %ebp
    popl %edx /* ESP */
    subl %eax, %edx
    addl $16, %esp
    END32 "PUSHA"
    CHECK32 "its last register", F_RDI, 7
    CHECK32 "and before", F_RSI, 6
    CHECK32 "ESP as it was before", F_RDX, 32
    PROGRAM32
    pushl $1
    pushl $2
    pushl $3
    pushl $4
    pushl $5
    pushl $6
    pushl $7
    pushl $8
    popa
    END32 "POPA"
    CHECK32 "EDI", F_RDI, 8
    CHECK32 "EBX", F_RBX, 4
    CHECK32 "EAX", F_RAX, 1
    CHECK_SAME "ESP is not loaded", exc_regs+F_RSP, user_rsp
    PROGRAM32
    movl $0x7fffffff, %eax
    incl %eax /* 40 */
    movl $0, %ecx
    decl %ecx /* 49 */
    movw $0xffff, %dx
    incw %dx
    stc
    incl %esi
    setc %bl
    END32 "one-byte INC and DEC"
    CHECK32 "INC EAX", F_RAX, 0x80000000
    CHECK32 "DEC ECX", F_RCX, 0xffffffff
    movzwl exc_regs+F_RDX, %eax
    CHECK_EQ "INC DX", %rax, 0
    movzbl exc_regs+F_RBX, %eax
    CHECK_EQ "INC keeps CF", %rax, 1
    PROGRAM32
    stc
    .byte 0xd6 /* SALC */
    END32 "SALC"
    movzbl exc_regs+F_RAX, %eax
    CHECK_EQ "AL", %rax, 0xff
    PROGRAM32
    pushl %ds
    popl %es
    pushl %ss
    popl %ds
    movl %es, %eax
    END32 "PUSH and POP of segment registers"
    CHECK32 "ES", F_RAX, UDATA
    PROGRAM32
    movl $0xcd7, %eax
    pushl %eax
    popfl
    pushfl
    popl %eax
    cld
    END32 "PUSHFD and POPFD"
    movl exc_regs+F_RAX, %eax
    CHECK_EQ "EFLAGS", %rax, 0xcd7
    PROGRAM32
    .byte 0x82, 0xc0, 0x05 /* ADD AL, 5: alias of 80 */
    END32 "opcode 82"
    PROGRAM32
    movl $0x30, %ecx
    movl $0xffff, %eax
    arpl %cx, %ax
    END32 "ARPL"
    ret

decimal:
    PROGRAM32
    movb $0x79, %al
    addb $0x35, %al
    daa
    setc %cl
    END32 "DAA"
    movzbl exc_regs+F_RAX, %eax
    CHECK_EQ "79 + 35", %rax, 0x14
    movzbl exc_regs+F_RCX, %eax
    CHECK_EQ "and carry", %rax, 1
    PROGRAM32
    movb $0x35, %al
    subb $0x47, %al
    das
    setc %cl
    END32 "DAS"
    movzbl exc_regs+F_RAX, %eax
    CHECK_EQ "35 - 47", %rax, 0x88
    PROGRAM32
    movl $0x108, %eax
    addb $9, %al
    aaa
    END32 "AAA"
    movzwl exc_regs+F_RAX, %eax
    CHECK_EQ "8 + 9", %rax, 0x207
    PROGRAM32
    movl $0x208, %eax
    subb $9, %al
    aas
    END32 "AAS"
    movzwl exc_regs+F_RAX, %eax
    CHECK_EQ "8 - 9", %rax, 0x109
    PROGRAM32
    movl $123, %eax
    aam
    END32 "AAM"
    movzwl exc_regs+F_RAX, %eax
    CHECK_EQ "123 in tens", %rax, 0xc03
    PROGRAM32
    movl $0x705, %eax
    aad
    END32 "AAD"
    movzwl exc_regs+F_RAX, %eax
    CHECK_EQ "75", %rax, 75
    USER32_FAULTS "AAM 0 is #DE", DE, 0, .byte 0xd4, 0
    ret

bound_and_into:
    PROGRAM32
    movl $bounds+USER, %ebx
    movl $10, %eax
    boundl %eax, (%ebx)
    movl $-5, %eax
    boundl %eax, (%ebx)
    END32 "BOUND within"
    jmp 5f
    .code32
4:  movl $bounds+USER, %ebx
    movl $11, %eax
6:  boundl %eax, (%ebx)
    .code64
5:  USER_RUN "BOUND outside is #BR at the instruction", BR, 0, 6b+USER, 4b+USER, UCODE32
    jmp 5f
    .code32
4:  movl $bounds+USER, %ebx
    movl $-6, %eax
6:  boundw %ax, (%ebx)
    .code64
5:  USER_RUN "16-bit BOUND outside", BR, 0, 6b+USER, 4b+USER, UCODE32
    jmp 5f
    .code32
4:  movb $0x7f, %al
    incb %al
6:  into
    .code64
5:  USER_RUN "INTO with OF is #OF behind the instruction", 4, 0, 6b+USER+1, 4b+USER, UCODE32
    PROGRAM32
    xorl %eax, %eax
    into
    END32 "INTO without OF"
    ret

/* Addresses of 16 and 32 bits. */
addresses:
    movl $0x12345678, words+4
    PROGRAM32
    movl $words+USER, %ebx
    movl $1, %esi
    movl (%ebx, %esi, 4), %eax
    movl words+USER+4, %ecx
    movl $words+USER, %edi
    subl $0x80000000, %edi
    movl -0x7ffffffc(%edi), %edx
    END32 "32-bit addresses"
    CHECK32 "base and index", F_RAX, 0x12345678
    CHECK32 "displacement alone", F_RCX, 0x12345678
    CHECK32 "a sum that wraps at 32 bits", F_RDX, 0x12345678
    movl $0x55aa, 0x1004
    MAP WINDOW+0x1000, $0x1000, 7
    movq $0x0040f30000000000|0xffff|(WINDOW/0x1000000<<56), %rax
    movq %rax, gdt+SPARE_SEL
    PROGRAM32
    movl $SPARE_SEL+3, %eax
    movl %eax, %es
    movl $0xffff1000, %ebx
    movl $0xabcd0004, %esi
    addr16 movl %es:(%bx, %si), %ecx
    addr16 movl %es:0x1004, %edx
    addr16 leal 0x7ffe(%bx, %si), %edi
    END32 "16-bit addresses"
    CHECK32 "BX + SI", F_RCX, 0x55aa
    CHECK32 "16-bit displacement", F_RDX, 0x55aa
    CHECK32 "LEA with 16 bits", F_RDI, 0x9002
    ret

/* Data and code segments with bases. */
segments:
    movq $0x00cff3000000ffff, %rax
    movl $words+USER, %ecx
    call set_base
    movq %rax, gdt+SPARE_SEL
    movl $0x9abcdef0, words+8
    PROGRAM32
    movl $SPARE_SEL+3, %eax
    movl %eax, %fs
    movl %eax, %gs
    movl %fs:8, %ecx
    movl $4, %ebx
    movl %gs:4(%ebx), %edx
    addl $1, %fs:8
    movl %fs:8, %esi
    .byte 0x65 /* GS */
    leal 8, %edi
    END32 "FS and GS with a base"
    CHECK32 "through FS", F_RCX, 0x9abcdef0
    CHECK32 "through GS", F_RDX, 0x9abcdef0
    CHECK32 "ADD through FS", F_RSI, 0x9abcdef1
    CHECK32 "LEA does not add the base", F_RDI, 8
    PROGRAM32
    movl $SPARE_SEL+3, %eax
    movl %eax, %ds
    movl $8, %esi
    movl %ss:words+USER+8, %edx
    movl (%esi), %ecx
    lodsl
    END32 "DS with a base"
    CHECK32 "through DS", F_RCX, 0x9abcdef1
    CHECK32 "LODS through DS", F_RAX, 0x9abcdef1
    CHECK32 "through SS", F_RDX, 0x9abcdef1
    PROGRAM32
    movl $SPARE_SEL+3, %eax
    movl %eax, %es
    movl $16, %edi
    movl $0x77, %eax
    movl $3, %ecx
    rep stosl
    END32 "REP STOS through ES with a base"
    movl words+24, %eax
    CHECK_EQ "its last word", %rax, 0x77
    CHECK32 "EDI", F_RDI, 28
    /* a code segment with a base */
    movq $0x00cffb000000ffff, %rax
    movl $based+USER, %ecx
    call set_base
    movq %rax, gdt+SPARE_SEL+8
    jmp 5f
    .code32
based:
    call 7f
7:  popl %eax
    movl %cs:8f-based, %ecx
    jmp 9f
8:  .long 0x13579
9:  int $0x80
    .code64
5:  movq $SPARE_SEL+11, user_cs
    movq $0, user_rip
    call run_user
    call check_fault
    .quad 1f, 9b-based+2
    .long 0x80, 0
    .pushsection .rodata
1:  .asciz "a code segment with a base: EIP counts from it"
    .popsection
    CHECK32 "CALL pushes EIP", F_RAX, 5
    CHECK32 "through CS", F_RCX, 0x13579
    /* a stack segment with a base */
    PROGRAM32
    movl %esp, %ebp
    movl $SPARE_SEL+3, %eax
    movl $64, %ecx
    movl %eax, %ss
    movl %ecx, %esp
    pushl $0x2468
    popl %edx
    pushl $0x1357
    movl (%esp), %esi
    movl $UDATA, %eax
    movl %eax, %ss
    movl %ebp, %esp
    END32 "SS with a base"
    movl words+60, %eax
    CHECK_EQ "the word pushed lies there", %rax, 0x1357
    CHECK32 "read back by ESP", F_RSI, 0x1357
    ret

/* The base in ECX into the descriptor in RAX. */
set_base:
    movl %ecx, %edx
    andl $0xffffff, %edx
    shlq $16, %rdx
    orq %rdx, %rax
    shrl $24, %ecx
    shlq $56, %rcx
    orq %rcx, %rax
    ret

.macro FAULT32 name, vector, error
    .code64
5:  USER_RUN "\name", \vector, \error, 6b+USER, 4b+USER, UCODE32
.endm

limits:
    movq $0x0040f30000000fff, %rax /* 4 KB */
    movl $words+USER, %ecx
    call set_base
    movq %rax, gdt+SPARE_SEL
    movq $0x0040f70000000fff, %rax /* expand down: 0x1000 - 0xffffffff */
    movl $words+USER-0x1000, %ecx
    call set_base
    movq %rax, gdt+SPARE_SEL+8
    movq $0x0040f10000000fff, %rax /* read-only */
    movl $words+USER, %ecx
    call set_base
    movq %rax, gdt+SPARE_SEL+16
    movq $0x0040f90000000fff, %rax /* execute-only */
    movq %rax, gdt+SPARE_SEL+24
    PROGRAM32
    movl $SPARE_SEL+3, %eax
    movl %eax, %fs
    movl %fs:0xffc, %ecx
    movb %fs:0xfff, %cl
    END32 "the last bytes below a limit"
    jmp 5f
    .code32
4:  movl $SPARE_SEL+3, %eax
    movl %eax, %fs
6:  movl %fs:0xffd, %ecx
    FAULT32 "a word over the limit is #GP", GP, 0
    jmp 5f
    .code32
4:  movl $SPARE_SEL+3, %eax
    movl %eax, %fs
    movl $0xfffffffe, %ebx
6:  movl %ecx, %fs:(%ebx)
    FAULT32 "a write far over the limit", GP, 0
    jmp 5f
    .code32
4:  movl $SPARE_SEL+3, %eax
    movl $0x800, %ecx
    movl %eax, %ss
    movl %ecx, %esp
    movl $0x1000, %ebp
6:  movl (%ebp), %ecx
    FAULT32 "over the limit of SS is #SS", SS_VEC, 0
    jmp 5f
    .code32
4:  movl $SPARE_SEL+3, %eax
    xorl %ecx, %ecx
    movl %eax, %ss
    movl %ecx, %esp
6:  pushl %eax
    FAULT32 "PUSH below 0 is #SS", SS_VEC, 0
    jmp 5f
    .code32
4:  movl $SPARE_SEL+11, %eax
    movl %eax, %fs
    movl %fs:0x1000, %ecx
6:  movl %fs:0xffc, %ecx
    FAULT32 "below the limit of an expand-down segment", GP, 0
    jmp 5f
    .code32
4:  movl $SPARE_SEL+19, %eax
    movl %eax, %fs
    movl %fs:0, %ecx
6:  movl %ecx, %fs:0
    FAULT32 "a write to a read-only segment", GP, 0
    jmp 5f
    .code32
4:  xorl %eax, %eax
    movl %eax, %fs
6:  movl %fs:0, %ecx
    FAULT32 "through a null segment", GP, 0
    jmp 5f
    .code32
4:
6:  movl %eax, %cs:words+USER
    FAULT32 "a write through CS", GP, 0
    jmp 5f
    .code32
4:  movl $SPARE_SEL+3, %eax
    movl %eax, %es
    movl $0xff8, %edi
    movl $4, %ecx
    cld
6:  rep stosl
    FAULT32 "REP STOS up to the limit", GP, 0
    CHECK32 "two words were stored: ECX", F_RCX, 2
    CHECK32 "and EDI", F_RDI, 0x1000
    ret

segment_loads:
    movq $0x00cf73000000ffff, %rax /* not present */
    movq %rax, gdt+SPARE_SEL
    jmp 5f
    .code32
4:  movl $SPARE_SEL+3, %eax
6:  movl %eax, %ds
    FAULT32 "an absent data segment", NP, SPARE_SEL
    jmp 5f
    .code32
4:  movl $SPARE_SEL+3, %eax
6:  movl %eax, %ss
    FAULT32 "an absent stack segment", SS_VEC, SPARE_SEL
    jmp 5f
    .code32
4:  movl $SPARE_SEL+24+3, %eax
6:  movl %eax, %ds
    FAULT32 "an execute-only segment as data", GP, SPARE_SEL+24
    jmp 5f
    .code32
4:  movl $SPARE_SEL+16+3, %eax
6:  movl %eax, %ss
    FAULT32 "a read-only segment as stack", GP, SPARE_SEL+16
    jmp 5f
    .code32
4:  movl $UDATA-3, %eax
6:  movl %eax, %ss
    FAULT32 "SS with RPL 0", GP, UDATA&~3
    movl $words+USER, words+32
    movw $UDATA, words+36
    PROGRAM32
    lesl words+USER+32, %ebx
    ldsl words+USER+32, %esi
    lfsl words+USER+32, %edi
    movl %fs, %edx
    movl %es, %ecx
    END32 "LES, LDS, LFS"
    CHECK32 "the offset", F_RBX, words+USER
    CHECK32 "the selector", F_RCX, UDATA
    CHECK32 "of LFS", F_RDX, UDATA
    movw $SPARE_SEL+3, words+36
    jmp 5f
    .code32
4:  movl $77, %ebx
6:  lesl words+USER+32, %ebx
    FAULT32 "LES of an absent segment", NP, SPARE_SEL
    CHECK32 "keeps the register", F_RBX, 77
    PROGRAM32
    movl $UDATA, %eax
    larl %eax, %ecx
    lsll %eax, %edx
    verr %ax
    setz %bl
    movl $KDATA, %eax
    verr %ax
    setnz %bh
    movl $UCODE32, %eax
    verw %ax
    movl $0, %esi
    setnz %al
    END32 "LAR, LSL, VERR, VERW"
    andl $0xf0ff00, exc_regs+F_RCX
    CHECK32 "LAR", F_RCX, 0x00c0f300
    CHECK32 "LSL", F_RDX, 0xffffffff
    movzwl exc_regs+F_RBX, %eax
    CHECK_EQ "VERR of one's own and a supervisor's segment", %rax, 0x101
    ret

/* Far jumps, calls and returns between compatibility and 64-bit mode at CPL 3. */
far_transfers:
    PROGRAM32
    movl %esp, %ebp
    ljmp $UCODE, $7f+USER
    .code64
7:  movq $-1, %rax
    shrq $4, %rax
    movl %cs, %ecx
    pushq $UCODE32
    leaq 8f(%rip), %rdx
    pushq %rdx
    lretq
    .code32
8:  movl %cs, %edx
    END32 "far JMP to 64-bit code, far RET back"
    CHECK_EQ "64-bit code ran", exc_regs+F_RCX, UCODE
    CHECK_EQ "then 32-bit code", exc_regs+F_RDX, UCODE32
    PROGRAM32
    lcall $UCODE32, $7f+USER
    movl %esp, %edx
    jmp 8f
7:  movl 4(%esp), %ecx
    movl %esp, %ebx
    lretl
8:
    END32 "far CALL and RET in 32-bit code"
    CHECK32 "CS on the stack", F_RCX, UCODE32
    CHECK_SAME "ESP is balanced", exc_regs+F_RDX, user_rsp
    PROGRAM32
    lcall $UCODE, $7f+USER
    jmp 8f
    .code64
7:  movl $5, %ebx
    lretl
    .code32
8:
    END32 "far CALL to 64-bit code, 32-bit far RET back"
    CHECK32 "64-bit code ran in between", F_RBX, 5
    jmp 5f
    .code32
4:
6:  ljmp $KCODE, $4b+USER
    FAULT32 "far JMP to a supervisor's code", GP, KCODE
    jmp 5f
    .code32
4:
6:  ljmp $UDATA, $4b+USER
    FAULT32 "far JMP to data", GP, UDATA&~3
    jmp 5f
    .code32
4:
6:  ljmp $0, $4b+USER
    FAULT32 "far JMP to null", GP, 0
    jmp 5f
4:  movq $words+USER, %rbx
    leaq 7f(%rip), %rax
    movl %eax, (%rbx)
    movl $UCODE32, 4(%rbx)
    ljmpl *(%rbx)
    .code32
7:  movl %cs, %ecx
    movl $words+USER, %ebx
    movl $8f+USER, (%ebx)
    movl $UCODE, 4(%ebx)
    ljmpl *(%ebx)
    .code64
8:  movl %cs, %edx
6:  int $0x80
5:  USER_RUN "indirect far JMP both ways", 0x80, 0, 6b+USER+2, 4b+USER
    CHECK_EQ "32-bit code ran", exc_regs+F_RCX, UCODE32
    CHECK_EQ "then 64-bit code", exc_regs+F_RDX, UCODE
    ret

/* A 32-bit stack pointer wraps from 0 to the top of 4 GB; so do sums in addresses. (A single word
 * across 4 GB may do as it likes: SDM vol. 3, 5.3.) The low page of a program is
 * at 0, which needs the identity map out of the way: an address space of its own. */
wrap:
    call alloc_page
    movq %rax, %r12
    movq %rax, %rdi
    movq $pdpt, %rsi
    movl $512, %ecx
    rep movsq
    call alloc_page
    movq %rax, low_page
    call alloc_page
    movq %rax, high_page
    call alloc_page
    movq %rax, %r13
    movq low_page, %rcx
    orq $7, %rcx
    movq %rcx, (%r13)
    call alloc_page
    movq %rax, %r14
    movq %rax, %rdi
    movq $pd_kernel, %rsi
    movl $512, %ecx
    rep movsq
    /* 0 - 2 MB: page 0 is the program's, the rest as before */
    movl $0x1007, %ecx
    movl $1, %edx
1:  movq %rcx, (%r13, %rdx, 8)
    addl $0x1000, %ecx
    incl %edx
    cmpl $512, %edx
    jb 1b
    orq $7, %r13
    movq %r13, (%r14)
    orq $7, %r14
    movq %r14, (%r12)
    movq $0, 24(%r12)
    movq pml4, %r15
    orq $7, %r12
    movq %r12, pml4
    movq %cr3, %rax
    movq %rax, %cr3
    movabsq $0xfffff000, %rdi
    movq high_page, %rsi
    movl $7, %edx
    call map_page
    PROGRAM32
    movl $0x40, %ebx
    movl $0x11223344, -0x44(%ebx)
    movl $-4, %edi
    movl 4(%edi), %ecx
    movl (%edi), %ecx
    movl %esp, %ebp
    movl $4, %esp
    pushl $0x55667788
    pushl $0x99aabbcc
    movl %esp, %edx
    popl %eax
    popl %esi
    movl %ebp, %esp
    END32 "addresses around 4 GB"
    movq %r15, pml4
    movq %cr3, %rax
    movq %rax, %cr3
    CHECK32 "read back", F_RCX, 0x11223344
    CHECK32 "ESP wraps", F_RDX, 0xfffffffc
    CHECK32 "POP over 4 GB", F_RAX, 0x99aabbcc
    CHECK32 "and the next", F_RSI, 0x55667788
    movq low_page, %rax
    movl (%rax), %eax
    CHECK_EQ "the first word lies at 0", %rax, 0x55667788
    movq high_page, %rax
    movl 4092(%rax), %eax
    CHECK_EQ "the second at the end", %rax, 0x99aabbcc
    ret

/* 64-bit code after 32-bit code sees R8 - R15 as they were. */
upper_halves:
    movabsq $0x1122334455667788, %r8
    movq %r8, %r13
    PROGRAM32
    movl $1, %eax
    END32 "R8 and R13 over compatibility mode"
    CHECK_SAME "R8", exc_regs+F_R8, %r8
    CHECK_SAME "R13", exc_regs+F_R8+40, %r13
    ret

/* Without 3DNow its instructions are #UD as a whole: the last byte, their opcode, is not code. */
absent_extensions:
    movl $0x80000001, %eax
    cpuid
    testl %edx, %edx
    js 9f
    movq $words+USER, %rdi
    movq $0x5555, words
    movl $0, %eax
    USER32_FAULTS "PFSUBR without 3DNow", UD, 0, .byte 0x0f, 0x0f, 0xc1, 0xaa
    USER32_FAULTS "PFMAX without 3DNow", UD, 0, .byte 0x0f, 0x0f, 0xe7, 0xa4
    USER32_FAULTS "PFACC of memory without 3DNow", UD, 0, .byte 0x0f, 0x0f, 0x07, 0xae
    USER32_FAULTS "FEMMS without 3DNow", UD, 0, .byte 0x0f, 0x0e
    USER_FAULTS "PFSUBR without 3DNow in 64-bit mode", UD, 0, .byte 0x0f, 0x0f, 0xc1, 0xaa
    CHECK_EQ "none of them wrote", words, 0x5555
9:  ret

    .data
bounds: .long -5, 10
    .bss
    .balign 4096
words: .skip 8192
low_page: .skip 8
high_page: .skip 8
