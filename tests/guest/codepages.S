/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Code and its addresses: instructions across page borders, one physical page at several linear
 * addresses (code does not know where it was translated), pages exchanged under running code.
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
    call alloc_page
    movq %rax, page3
    movq $WINDOW, %rbx
    call straddle
    call position
    call exchange
    call chained
    call permissions
    call modes
    popq %rbp
    ret

/* MOV EAX, imm32; RET with the opcode in the first page, the immediate in the second. */
straddle:
    movq page1, %rax
    movb $0xb8, 4095(%rax)
    movq page2, %rax
    movl $0x11111111, (%rax)
    movb $0xc3, 4(%rax)
    movq page3, %rax
    movl $0x22222222, (%rax)
    movb $0xc3, 4(%rax)
    MAP WINDOW, page1, 7
    MAP WINDOW+4096, page2, 7
    leaq 4095(%rbx), %r12
    call *%r12
    CHECK_EQ "an instruction across two pages", %rax, 0x11111111
    MAP WINDOW+4096, page3, 7
    call *%r12
    CHECK_EQ "its second page exchanged", %rax, 0x22222222
    MAP WINDOW+4096, page2, 7
    call *%r12
    CHECK_EQ "and back", %rax, 0x11111111
    movq page2, %rax
    movl $0x33333333, (%rax)
    call *%r12
    CHECK_EQ "its second page written to", %rax, 0x33333333
    MAP WINDOW+4096, page2, 0
    movq $3f, exc_resume
    movq %rsp, exc_resume_rsp
    call *%r12
3:  call check_fault
    .quad 1f, WINDOW+4095
    .long PF, 16
    .pushsection .rodata
1:  .asciz "its second page missing: #PF at the instruction"
    .popsection
    CHECK_EQ "CR2 is the second page", exc_cr2, WINDOW+4096
    MAP WINDOW+4096, page2, 7|PTE_NX
    movq $3f, exc_resume
    movq %rsp, exc_resume_rsp
    call *%r12
3:  call check_fault
    .quad 1f, WINDOW+4095
    .long PF, 17
    .pushsection .rodata
1:  .asciz "its second page not executable"
    .popsection
    /* the same page twice in a row: it is its own second page */
    movq page2, %rax
    movl $0x44444444, (%rax)
    movb $0xc3, 4(%rax)
    movb $0xb8, 4095(%rax)
    MAP WINDOW, page2, 7
    MAP WINDOW+4096, page2, 7
    MAP WINDOW+8192, page3, 7
    movl $100, %r13d
    xorl %r14d, %r14d
1:  movq $WINDOW+4095, %r12
    xorl %eax, %eax
    call *%r12
    cmpl $0x44444444, %eax
    sete %al
    movzbl %al, %eax
    addl %eax, %r14d
    movq $WINDOW+8191, %r12
    xorl %eax, %eax
    call *%r12
    cmpl $0x22222222, %eax
    sete %al
    movzbl %al, %eax
    addl %eax, %r14d
    decl %r13d
    jnz 1b
    CHECK_EQ "a page that follows itself, two hundred times", %r14, 200
    movq page2, %rax
    movl $0x55555555, (%rax)
    movq $WINDOW+4095, %r12
    call *%r12
    CHECK_EQ "it is written to", %rax, 0x55555555
    MAP WINDOW, page1, 7
    MAP WINDOW+4096, page2, 7|PTE_NX
    MAP WINDOW+8192, page3, 0
    movq $WINDOW+4095, %r12
    /* an instruction that ends at the border does not need the next page */
    movq page1, %rax
    movb $0xc3, 4095(%rax)
    FAULTS "a RET at the end of the last page", NOTHING, 0, call *%r12
    movb $0x90, 4095(%rax)
    movq $3f, exc_resume
    movq %rsp, exc_resume_rsp
    call *%r12
3:  call check_fault
    .quad 1f, WINDOW+4096
    .long PF, 17
    .pushsection .rodata
1:  .asciz "a NOP at the end: the fault is at the next address"
    .popsection
    ret

/* The same code at three addresses: RIP-relative data, CALL pushing, its own address. */
position:
    movq page1, %rdi
    movq $blob, %rsi
    movl $blob_end-blob, %ecx
    rep movsb
    movq page2, %rax
    movq $1000, (%rax)
    movq page3, %rax
    movq $2000, (%rax)
    MAP WINDOW, page1, 7
    MAP WINDOW+0x1000, page2, 7
    MAP WINDOW+0x10000, page1, 7
    MAP WINDOW+0x11000, page3, 7
    movabsq $0x600000000000, %rdi
    movq page1, %rsi
    movl $7, %edx
    call map_page
    movabsq $0x600000001000, %rdi
    movq page2, %rsi
    movl $7, %edx
    call map_page
    movl $100, %r13d
1:  movq $WINDOW, %r12
    call *%r12
    cmpq $1000, %rax
    jne 2f
    subq %r12, %rdx
    cmpq $blob_self-blob, %rdx
    jne 2f
    movq $WINDOW+0x10000, %r12
    call *%r12
    cmpq $2000, %rax
    jne 2f
    subq %r12, %rdx
    cmpq $blob_self-blob, %rdx
    jne 2f
    movabsq $0x600000000000, %r12
    call *%r12
    cmpq $1000, %rax
    jne 2f
    subq %r12, %rdx
    cmpq $blob_self-blob, %rdx
    jne 2f
    cmpq %r12, %rcx
    jne 2f
    decl %r13d
    jnz 1b
2:  CHECK_EQ "one page of code at three addresses, a hundred times", %r13, 0
    /* a fault in it has the right address */
    movl $3, %ebp
    movabsq $WINDOW+0x10000+blob_ud-blob, %r12
    movq $3f, exc_resume
    movq %rsp, exc_resume_rsp
    call *%r12
3:  call check_fault
    .quad 1f, WINDOW+0x10000+blob_ud-blob
    .long UD, 0
    .pushsection .rodata
1:  .asciz "a fault at the second address"
    .popsection
    movabsq $WINDOW+blob_ud-blob, %r12
    movq $3f, exc_resume
    movq %rsp, exc_resume_rsp
    call *%r12
3:  call check_fault
    .quad 1f, WINDOW+blob_ud-blob
    .long UD, 0
    .pushsection .rodata
1:  .asciz "a fault at the first address"
    .popsection
    ret

blob:
    movq blob+0x1000(%rip), %rax
    call 1f
1:  popq %rdx
blob_self = 1b
    leaq blob(%rip), %rcx
    jmp 2f
    ud2
2:  ret
blob_ud:
    ud2
blob_end:

/* Two versions of a page exchanged while a loop calls it. */
exchange:
    movq page2, %rax
    movl $0xc301b0, (%rax)
    movq page3, %rax
    movl $0xc302b0, (%rax)
    movl $500, %r13d
    MAP WINDOW+0x3000, page2, 7
1:  xorl %r14d, %r14d
    xorl %eax, %eax
    movq $WINDOW+0x3000, %r12
    call *%r12
    addl %eax, %r14d
    MAP WINDOW+0x3000, page3, 7
    xorl %eax, %eax
    call *%r12
    addl %eax, %r14d
    MAP WINDOW+0x3000, page2, 7
    cmpl $3, %r14d
    jne 2f
    decl %r13d
    jnz 1b
2:  CHECK_EQ "a page of code exchanged a thousand times", %r13, 0
    ret

/* Direct jumps between two pages, one of which is exchanged: links must not outlive the mapping.
 */
chained:
    movq page1, %rax
    movl $0x00000ffb, %ecx
    movb $0xe9, (%rax) /* JMP to the next page */
    movl %ecx, 1(%rax)
    MAP WINDOW+0x5000, page1, 7
    MAP WINDOW+0x6000, page2, 7
    movq $WINDOW+0x5000, %r12
    movl $200, %r13d
1:  xorl %eax, %eax
    call *%r12
    cmpl $1, %eax
    jne 2f
    MAP WINDOW+0x6000, page3, 7
    xorl %eax, %eax
    call *%r12
    cmpl $2, %eax
    jne 2f
    MAP WINDOW+0x6000, page2, 7
    decl %r13d
    jnz 1b
2:  CHECK_EQ "a direct jump into a page that is exchanged", %r13, 0
    MAP WINDOW+0x6000, page2, 0
    movq $3f, exc_resume
    movq %rsp, exc_resume_rsp
    call *%r12
3:  call check_fault
    .quad 1f, WINDOW+0x6000
    .long PF, 16
    .pushsection .rodata
1:  .asciz "a direct jump into a page that went away"
    .popsection
    /* by a new CR3 instead of INVLPG */
    MAP WINDOW+0x6000, page2, 7
    xorl %eax, %eax
    call *%r12
    CHECK_EQ "the page is back", %rax, 1
    movq $WINDOW+0x6000, %rdi
    call pte_of
    movq page3, %rcx
    orq $7, %rcx
    movq %rcx, (%rax)
    movq %cr3, %rcx
    movq %rcx, %cr3
    xorl %eax, %eax
    call *%r12
    CHECK_EQ "exchanged and CR3 loaded", %rax, 2
    ret

/* The supervisor and a program run the same code; the program must not inherit its rights. */
permissions:
    movq page2, %rax
    movl $0xc3c3c3c3, (%rax)
    MAP WINDOW+0x8000, page2, 3
    movq $WINDOW+0x8000, %r12
    call *%r12
    jmp 5f
4:  jmp *%r12
5:  USER_RUN "a program jumps to a supervisor's code that is hot", PF, 21, WINDOW+0x8000, 4b+USER
    movl $50, %r13d
1:  call *%r12
    decl %r13d
    jnz 1b
    movq page1, %rax
    movl $0x0ffb, %ecx
    movb $0xe9, (%rax)
    movl %ecx, 1(%rax)
    MAP WINDOW+0x7000, page1, 7
    movq $WINDOW+0x7000, %r12
    call *%r12
    call *%r12
    jmp 5f
4:  jmp *%r12
5:  USER_RUN "the same through a direct jump", PF, 21, WINDOW+0x8000, 4b+USER
    ret

/* The same bytes mean different things in 64-bit and compatibility mode: 48 is DEC EAX or REX.W.
 */
modes:
    movq page3, %rax
    movl $0x80cd4840, (%rax) /* INC EAX; DEC EAX | REX; INT 0x80 */
    movb $0x05, 2(%rax)
    movl $0x01, 3(%rax) /* 40 48 05 imm32: ADD RAX, imm32 or INC EAX, DEC EAX, ADD EAX, imm32 */
    movw $0x80cd, 7(%rax)
    MAP WINDOW+0x9000, page3, 7
    movl $20, %r13d
1:  movq $-1, %rax
    movl $WINDOW+0x9000, user_rip
    movq $UCODE, user_cs
    call run_user
    movq exc_regs+F_RAX, %r14
    movq $UCODE32, user_cs
    movl $5, %eax
    call run_user
    movl exc_regs+F_RAX, %r15d
    testq %r14, %r14
    jnz 2f
    cmpq $6, %r15
    jne 2f
    decl %r13d
    jnz 1b
2:  CHECK_EQ "the same code in two modes in turn", %r13, 0
    ret

    .bss
page1: .skip 8
page2: .skip 8
page3: .skip 8
