/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * INT n and IRET: gates and their privilege, trap and interrupt gates, returns to every mode this
 * CPU has in long mode, and the faults of bad frames (SDM vol. 2, IRET; vol. 3, 6.12 - 6.14).
 */
#include "guest.inc"

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    call software_interrupts
    call gates
    call returns
    call flags
    call segments_on_return
    call bad_frames
    call middle_rings
    call many
    popq %rbp
    ret

software_interrupts:
    TRAPS "INT 0x80 in the supervisor", 0x80, int $0x80
    TRAPS "INT 0x81 in the supervisor", 0x81, int $0x81
    USER_FAULTS "INT 0x81 in a program is #GP", GP, 0x81*8+2, int $0x81
    USER_FAULTS "INT 13 in a program is #GP", GP, 13*8+2, int $13
    TRAPS "INT 1 in the supervisor", 1, .byte 0xcd, 1
    jmp 5f
4:  int $4
5:  USER_RUN "INT 4 in a program", 4, 0, 4b+USER+2, 4b+USER
    jmp 5f
    .code32
4:  int $0x80
    .code64
5:  USER_RUN "INT 0x80 in compatibility mode", 0x80, 0, 4b+USER+2, 4b+USER, UCODE32
    CHECK_EQ "CS in its frame", exc_regs+F_CS, UCODE32
    ret

/* An interrupt gate turns interrupts off, a trap gate leaves them. */
gates:
    movq $note_flags, exc_hook+8*0x90
    movb $0x8e, idt+0x90*16+5
    pushq $0x4ad7 /* with NT, which a gate clears */
    popfq
    int $0x90
    pushfq
    popq %rax
    pushq $2
    popfq
    CHECK_EQ "flags come back by IRET", %rax, 0x4ad7
    CHECK_EQ "flags in an interrupt gate's handler: IF, NT, TF", noted_flags, 0
    movb $0x8f, idt+0x90*16+5
    pushq $0x202
    popfq
    int $0x90
    pushq $2
    popfq
    CHECK_EQ "flags in a trap gate's handler", noted_flags, IF
    movb $0x8e, idt+0x90*16+5
    movq $0, exc_hook+8*0x90
    ret
note_flags:
    pushfq
    popq %rax
    andq $IF|NT|TF|RF, %rax
    movq %rax, noted_flags
    movl $1, %eax
    ret

/* A frame by hand: SS, RSP, RFLAGS, CS, RIP. */
.macro IRET_TO cs, rip, ss, rsp, flags=2
    pushq \ss
    pushq \rsp
    pushq $\flags
    pushq \cs
    pushq \rip
.endm

returns:
    movq %rsp, %rbp
    IRET_TO $KCODE, $1f, $KDATA, %rbp
    iretq
1:  movq %rsp, %rax
    CHECK_SAME "IRETQ to the same place: RSP", %rax, %rbp
    leaq -64(%rsp), %rcx
    IRET_TO $KCODE, $1f, $KDATA, %rcx
    iretq
1:  movq %rsp, %rax
    movq %rbp, %rsp
    CHECK_SAME "IRETQ loads RSP at the same level", %rax, %rcx
    IRET_TO $KCODE, $1f, $0, %rbp
    iretq
1:  movl %ss, %eax
    movl $KDATA, %ecx
    movl %ecx, %ss
    CHECK_EQ "IRETQ to CPL 0 with a null SS", %rax, 0
    /* IRETD: a frame of 32-bit words */
    movl %ss, %eax
    subq $20, %rsp
    movl $1f, (%rsp)
    movl $KCODE, 4(%rsp)
    movl $2, 8(%rsp)
    movl %ebp, 12(%rsp)
    movl $KDATA, 16(%rsp)
    iretl
1:  movq %rsp, %rax
    CHECK_SAME "IRETD in 64-bit mode", %rax, %rbp
    /* compatibility mode at CPL 0 and back by a far return */
    IRET_TO $KCODE32, $1f, $KDATA, %rbp
    iretq
    .code32
1:  movl %cs, %edx
    decl %ecx /* 49 is a prefix in 64-bit mode */
    pushl $KCODE
    pushl $2f
    lretl
    .code64
2:  movq %rbp, %rsp
    movzwl %dx, %edx
    CHECK_EQ "IRETQ to compatibility mode at CPL 0", %rdx, KCODE32
    ret

/* What the program may change by IRET: not IF, not IOPL. */
flags:
    jmp 5f
4:  movl %ss, %eax
    movq %rsp, %rcx
    pushq %rax
    pushq %rcx
    pushq $0x3ed7
    movl %cs, %eax
    pushq %rax
    leaq 6f(%rip), %rax
    pushq %rax
    iretq
6:  int $0x80
5:  USER_RUN "IRETQ in a program", 0x80, 0, 6b+USER+2, 4b+USER
    movq exc_regs+F_RFLAGS, %rax
    CHECK_EQ "it changes neither IF nor IOPL", %rax, 0xcd7
    movq $0x3202, user_rflags
    jmp 5f
4:  movl %ss, %eax
    movq %rsp, %rcx
    pushq %rax
    pushq %rcx
    pushq $0x1002
    movl %cs, %eax
    pushq %rax
    leaq 6f(%rip), %rax
    pushq %rax
    iretq
6:  int $0x80
5:  USER_RUN "IRETQ in a program with IOPL 3", 0x80, 0, 6b+USER+2, 4b+USER
    movq $2, user_rflags
    movq exc_regs+F_RFLAGS, %rax
    CHECK_EQ "it changes IF, not IOPL", %rax, 0x3002
    ret

/* A return to CPL 3 empties data segments that the program must not have. */
segments_on_return:
    movq $UDATA, user_ds
    jmp 5f
4:  movl %ds, %eax
    movl %es, %ecx
    movl %fs, %edx
    movl %gs, %r8d
6:  int $0x80
5:  movl $KDATA, %eax
    movl %eax, %fs
    movl $UDATA, %eax
    movl %eax, %gs
    USER_RUN "segment registers over IRETQ to CPL 3", 0x80, 0, 6b+USER+2, 4b+USER
    CHECK_EQ "a supervisor's FS became null", exc_regs+F_RDX, 0
    CHECK_EQ "a program's GS stayed", exc_regs+F_R8, UDATA
    CHECK_EQ "DS stayed", exc_regs+F_RAX, UDATA
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    ret

.macro BAD_IRET name, vector, error, cs, rip, ss, rsp, flags=2
    movq %rsp, %rbp
    IRET_TO \cs, \rip, \ss, \rsp, \flags
    FAULTS "\name", \vector, \error, iretq
    movq %rbp, %rsp
.endm

bad_frames:
    movq $finish, %r12
    movabsq $0x800000000000, %r13
    BAD_IRET "IRET to a null CS", GP, 0, $0, %r12, $KDATA, %rbp
    BAD_IRET "IRET to CS beyond the GDT", GP, 0x2000, $0x2000, %r12, $KDATA, %rbp
    BAD_IRET "IRET to a data segment as CS", GP, KDATA, $KDATA, %r12, $KDATA, %rbp
    BAD_IRET "IRET to a TSS as CS", GP, TSS_SEL, $TSS_SEL, %r12, $KDATA, %rbp
    BAD_IRET "IRET to CPL 3 in a supervisor's CS", GP, KCODE, $KCODE+3, %r12, $UDATA, %rbp
    BAD_IRET "IRET to CPL 0 in a program's CS", GP, UCODE&~3, $UCODE&~3, %r12, $KDATA, %rbp
    BAD_IRET "IRET to CPL 3 with a null SS", GP, 0, $UCODE32, %r12, $0, %rbp
    BAD_IRET "IRET to CPL 3 with a supervisor's SS", GP, KDATA, $UCODE, %r12, $KDATA, %rbp
    BAD_IRET "IRET to CPL 3 with code as SS", GP, UCODE&~3, $UCODE, %r12, $UCODE, %rbp
    BAD_IRET "IRET to a non-canonical RIP", GP, 0, $KCODE, %r13, $KDATA, %rbp
    movq $0x00af7b000000ffff, %rax
    movq %rax, gdt+SPARE_SEL
    movq $0x00cf73000000ffff, %rax
    movq %rax, gdt+SPARE_SEL+8
    BAD_IRET "IRET to an absent CS", NP, SPARE_SEL, $SPARE_SEL+3, %r12, $UDATA, %rbp
    BAD_IRET "IRET to an absent SS", SS_VEC, SPARE_SEL+8, $UCODE, %r12, $SPARE_SEL+11, %rbp
    movq $0x00effb000000ffff, %rax /* L and D both set */
    movq %rax, gdt+SPARE_SEL
    BAD_IRET "IRET to CS with L and D", GP, SPARE_SEL, $SPARE_SEL+3, %r12, $UDATA, %rbp
    pushq $NT+2
    popfq
    BAD_IRET "IRET with NT set", GP, 0, $KCODE, %r12, $KDATA, %rbp
    pushq $2
    popfq
    movq %rsp, %rbp
    movb $2, idt+PF*16+4 /* the fault needs a stack of its own */
    movq $WINDOW, %rsp
    movq $1f, exc_resume
    movq %rbp, exc_resume_rsp
    movq $-1, exc_vector
2:  iretq
1:  call check_fault
    .quad 3f, 2b
    .long PF, 0
    .pushsection .rodata
3:  .asciz "IRET from a stack that is not there"
    .popsection
    movb $0, idt+PF*16+4
    CHECK_EQ "RSP is untouched", exc_regs+F_RSP, WINDOW
    /* no canonical RIP check in compatibility mode, but the limit: 32 bits always fit */
    jmp 5f
4:  pushq $UDATA
    pushq %rsp
    pushq $2
    pushq $KCODE
    leaq 4b(%rip), %rax
    pushq %rax
6:  iretq
5:  USER_RUN "a program cannot IRET to CPL 0", GP, KCODE, 6b+USER, 4b+USER
    ret

/* CPL 1 and 2: a supervisor for the pages, a program for everything else. */
.macro RING level, code_descriptor, data_descriptor
    movabsq $\code_descriptor, %rax
    movq %rax, gdt+SPARE_SEL
    movabsq $\data_descriptor, %rax
    movq %rax, gdt+SPARE_SEL+8
    movq $92f, exc_resume
    movq %rsp, exc_resume_rsp
    movq $-1, exc_vector
    pushq $SPARE_SEL+8+\level
    pushq $ring_stack_top
    pushq $2
    pushq $SPARE_SEL+\level
    pushq $91f
    iretq
91: movl %cs, %ecx
    movl ring_word, %edx
90: hlt
92: call check_fault
    .quad 91f, 90b
    .long GP, 0
    .pushsection .rodata
91: .asciz "IRETQ to CPL \level, where HLT is #GP"
    .popsection
    CHECK_EQ "its CS", exc_regs+F_RCX, SPARE_SEL+\level
    CHECK_EQ "it reads a supervisor's page", exc_regs+F_RDX, 0x2468
    CHECK_EQ "its RSP in the frame", exc_regs+F_RSP, ring_stack_top
    CHECK_EQ "its SS in the frame", exc_regs+F_SS, SPARE_SEL+8+\level
    CHECK_EQ "the handler is on RSP0", exc_frame, exc_stack_top-176
.endm
middle_rings:
    RING 1, 0x00afbb000000ffff, 0x00cfb3000000ffff
    RING 2, 0x00afdb000000ffff, 0x00cfd3000000ffff
    ret

/* The same return a thousand times, to modes in turn. */
many:
    movl $1000, %ebx
    xorl %r14d, %r14d
1:  PROGRAM
    addl $1, %eax
6:  int $0x80
5:  movq $4b+USER, user_rip
    movq $UCODE, user_cs
    call run_user
    addq exc_regs+F_RIP, %r14
    movq $7f+USER, user_rip
    movq $UCODE32, user_cs
    call run_user
    subq exc_regs+F_RIP, %r14
    jmp 8f
    .code32
7:  addl $1, %eax
    int $0x80
    .code64
8:  decl %ebx
    jnz 1b
    movq $(6b-7b-3)*1000, %rax
    CHECK_SAME "a thousand programs in two modes", %r14, %rax
    ret

    .data
ring_word: .long 0x2468
    .bss
    .balign 16
    .skip 256
ring_stack_top:
noted_flags: .skip 8
