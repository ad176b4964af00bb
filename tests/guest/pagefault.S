/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page faults: the error code for every reason (SDM vol. 3, 4.7), CR2, and rights combined over
 * the levels of the tables; SMEP, SMAP, CR0.WP, NX, reserved bits.
 */
#include "guest.inc"

#define E_P 1
#define E_W 2
#define E_U 4
#define E_RSVD 8
#define E_I 16

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    call alloc_page
    movq %rax, page
    movw $0xc3c3, (%rax) /* RET */
    movq $WINDOW, %rbx
    call not_present
    call write_protect
    call user_supervisor
    call no_execute
    call reserved_bits
    call levels
    call smep
    call smap
    call crossing
    call stack_faults
    popq %rbp
    ret

not_present:
    FAULTS "supervisor read, not present", PF, 0, movl (%rbx), %eax
    CHECK_EQ "CR2", exc_cr2, WINDOW
    FAULTS "supervisor write, not present", PF, E_W, movl %eax, 8(%rbx)
    CHECK_EQ "CR2 of a write", exc_cr2, WINDOW+8
    FAULTS "read-modify-write, not present", PF, E_W, addl %eax, 4(%rbx)
    FAULTS "locked exchange, not present", PF, E_W, xchgl %eax, 4(%rbx)
    FAULTS "comparison, not present", PF, 0, cmpl %eax, 4(%rbx)
    USER_FAULTS "program reads, not present", PF, E_U, movl 12(%rbx), %eax
    CHECK_EQ "CR2 of a program's read", exc_cr2, WINDOW+12
    USER_FAULTS "program writes, not present", PF, E_U|E_W, movl %eax, (%rbx)
    jmp 5f
4:  jmp *%rbx
5:  USER_RUN "program executes, not present", PF, E_U|E_I, WINDOW, 4b+USER
    CHECK_EQ "CR2 of a fetch", exc_cr2, WINDOW
    movq $2f, exc_resume
    movq %rsp, exc_resume_rsp
    call *%rbx
2:  call check_fault
    .quad 1f, WINDOW
    .long PF, E_I
    .pushsection .rodata
1:  .asciz "supervisor executes, not present"
    .popsection
    FAULTS "FPU load, not present", PF, 0, fldl (%rbx)
    FAULTS "SSE store, not present", PF, E_W, movups %xmm0, 1(%rbx)
    FAULTS "PUSH of a memory operand, not present", PF, 0, pushq (%rbx)
    FAULTS "FXRSTOR, not present", PF, 0, fxrstor (%rbx)
    FAULTS "PREFETCH never faults", NOTHING, 0, prefetcht0 (%rbx)
    FAULTS "INVLPG never faults", NOTHING, 0, invlpg (%rbx)
    FAULTS "CLFLUSH faults like a read", PF, 0, clflush (%rbx)
    FAULTS "a long NOP never faults", NOTHING, 0, nopl (%rbx)
    FAULTS "LEA never faults", NOTHING, 0, leaq (%rbx), %rax
    ret

write_protect:
    MAP WINDOW, page, PTE_P|PTE_U
    USER_FAULTS "program writes a read-only page", PF, E_P|E_W|E_U, movl %eax, (%rbx)
    USER_OK "program reads a read-only page", movl (%rbx), %eax
    FAULTS "supervisor writes a read-only page with WP", PF, E_P|E_W, movb %al, (%rbx)
    FAULTS "LOCK CMPXCHG that would not write faults too", PF, E_P|E_W, lock cmpxchgl %eax, 8(%rbx)
    CLEAR_CR cr0, CR0_WP
    FAULTS "supervisor writes a read-only page without WP", NOTHING, 0, movb %al, 64(%rbx)
    USER_FAULTS "WP does not matter to a program", PF, E_P|E_W|E_U, movl %eax, (%rbx)
    SET_CR cr0, CR0_WP
    FAULTS "and with WP again", PF, E_P|E_W, movb %al, 64(%rbx)
    MAP WINDOW, page, PTE_P|PTE_W|PTE_U
    USER_OK "program writes a writable page", movl %eax, 128(%rbx)
    ret

user_supervisor:
    MAP WINDOW, page, PTE_P|PTE_W
    USER_FAULTS "program reads a supervisor page", PF, E_P|E_U, movl (%rbx), %eax
    USER_FAULTS "program writes a supervisor page", PF, E_P|E_W|E_U, movl %eax, (%rbx)
    jmp 5f
4:  jmp *%rbx
5:  USER_RUN "program executes a supervisor page", PF, E_P|E_U|E_I, WINDOW, 4b+USER
    FAULTS "supervisor reads a supervisor page", NOTHING, 0, movl (%rbx), %eax
    MAP WINDOW, page, PTE_P
    USER_FAULTS "program writes a read-only supervisor page", PF, E_P|E_W|E_U, movl %eax, (%rbx)
    ret

no_execute:
    MAP WINDOW, page, PTE_P|PTE_W|PTE_U|PTE_NX
    jmp 5f
4:  jmp *%rbx
5:  USER_RUN "program executes an NX page", PF, E_P|E_U|E_I, WINDOW, 4b+USER
    USER_OK "program reads an NX page", movl (%rbx), %eax
    movq $2f, exc_resume
    movq %rsp, exc_resume_rsp
    call *%rbx
2:  call check_fault
    .quad 1f, WINDOW
    .long PF, E_P|E_I
    .pushsection .rodata
1:  .asciz "supervisor executes an NX page"
    .popsection
    MAP WINDOW, page, PTE_P|PTE_W|PTE_U
    FAULTS "supervisor executes the page without NX", NOTHING, 0, call *%rbx
    movq $1f+USER, %r12
    jmp 2f
1:  pushq $0
    call *%rbx
    popq %rax
    int $0x80
2:  MSR_READ MSR_EFER
    pushq %rax
    pushq %rdx
    andl $~0x800, %eax
    wrmsr
    MAP WINDOW, page, PTE_P|PTE_W|PTE_U|PTE_NX
    FAULTS "without EFER.NXE bit 63 is reserved", PF, E_P|E_RSVD, movl (%rbx), %eax
    USER_FAULTS "without EFER.NXE, program", PF, E_P|E_U|E_RSVD, movl (%rbx), %eax
    popq %rdx
    popq %rax
    movl $MSR_EFER, %ecx
    wrmsr
    FAULTS "with EFER.NXE it is not", NOTHING, 0, movl (%rbx), %eax
    ret

/* Address bits from MAXPHYADDR on, and in the upper levels bit 7. */
reserved_bits:
    movl $0x80000008, %eax
    cpuid
    movzbl %al, %ecx
    movq $WINDOW, %rbx
    cmpl $52, %ecx
    jae 2f
    movl $1, %r13d
    shlq %cl, %r13 /* the first bit that no address has */
    movq page, %rax
    orq %r13, %rax
    movq %rax, scratch
    MAP WINDOW, scratch, PTE_P|PTE_W|PTE_U
    FAULTS "address beyond MAXPHYADDR in a PTE", PF, E_P|E_RSVD, movl (%rbx), %eax
    FAULTS "address beyond MAXPHYADDR, write", PF, E_P|E_W|E_RSVD, movl %eax, (%rbx)
    USER_FAULTS "address beyond MAXPHYADDR, program", PF, E_P|E_U|E_RSVD, movl (%rbx), %eax
    MAP WINDOW, page, PTE_P|PTE_W|PTE_U
    orq %r13, pdpt+16
    invlpg (%rbx)
    FAULTS "address beyond MAXPHYADDR in a PDPTE", PF, E_P|E_RSVD, movl (%rbx), %eax
    notq %r13
    andq %r13, pdpt+16
    invlpg (%rbx)
    FAULTS "without it the page is there again", NOTHING, 0, movl (%rbx), %eax
2:  movq $pdpt+7+PTE_PS, %rax
    movq %rax, pml4+8
    movabsq $0x8000000000, %rcx
    FAULTS "bit 7 in a PML4E is reserved", PF, E_P|E_RSVD, movl (%rcx), %eax
    CHECK_EQ "CR2 beyond 4 GB", exc_cr2, 0x8000000000
    movq $0, pml4+8
    FAULTS "no PML4E", PF, 0, movl (%rcx), %eax
    ret

/* A right must be there on every level. */
levels:
    MAP WINDOW, page, PTE_P|PTE_W|PTE_U
    andq $~PTE_U, pdpt+16
    invlpg (%rbx)
    USER_FAULTS "U/S clear in the PDPTE", PF, E_P|E_U, movl (%rbx), %eax
    orq $PTE_U, pdpt+16
    andq $~PTE_W, pdpt+16
    invlpg (%rbx)
    USER_FAULTS "R/W clear in the PDPTE", PF, E_P|E_W|E_U, movl %eax, (%rbx)
    USER_OK "reading goes on", movl (%rbx), %eax
    orq $PTE_W, pdpt+16
    btsq $63, pdpt+16
    invlpg (%rbx)
    jmp 5f
4:  jmp *%rbx
5:  USER_RUN "NX in the PDPTE", PF, E_P|E_U|E_I, WINDOW, 4b+USER
    btrq $63, pdpt+16
    invlpg (%rbx)
    movq pdpt+16, %rcx
    andq $~1, pdpt+16
    invlpg (%rbx)
    FAULTS "P clear in the PDPTE", PF, 0, movl (%rbx), %eax
    movq %rcx, pdpt+16
    invlpg (%rbx)
    FAULTS "and set again", NOTHING, 0, movl (%rbx), %eax
    ret

smep:
    movl $7, %eax
    xorl %ecx, %ecx
    pushq %rbx
    cpuid
    btl $7, %ebx
    popq %rbx
    jnc 9f
    MAP WINDOW, page, PTE_P|PTE_W|PTE_U
    SET_CR cr4, CR4_SMEP
    movq $2f, exc_resume
    movq %rsp, exc_resume_rsp
    call *%rbx
2:  call check_fault
    .quad 1f, WINDOW
    .long PF, E_P|E_I
    .pushsection .rodata
1:  .asciz "SMEP: supervisor executes a program's page"
    .popsection
    FAULTS "SMEP: supervisor reads it", NOTHING, 0, movl (%rbx), %eax
    CLEAR_CR cr4, CR4_SMEP
    FAULTS "without SMEP supervisor executes it", NOTHING, 0, call *%rbx
9:  ret

smap:
    movl $7, %eax
    xorl %ecx, %ecx
    pushq %rbx
    cpuid
    btl $20, %ebx
    popq %rbx
    jnc 9f
    FAULTS "STAC without CR4.SMAP", NOTHING, 0, stac
    clac
    SET_CR cr4, CR4_SMAP
    FAULTS "SMAP: supervisor reads a program's page", PF, E_P, movl (%rbx), %eax
    FAULTS "SMAP: supervisor writes it", PF, E_P|E_W, movl %eax, 256(%rbx)
    stac
    FAULTS "SMAP with AC: read", NOTHING, 0, movl (%rbx), %eax
    stac
    FAULTS "SMAP with AC: write", NOTHING, 0, movl %eax, 256(%rbx)
    stac
    pushfq
    popq %rax
    andq $AC, %rax
    CHECK_EQ "STAC sets AC", %rax, AC
    clac
    FAULTS "SMAP after CLAC", PF, E_P, movl (%rbx), %eax
    FAULTS "SMAP does not forbid the fetch", NOTHING, 0, call *%rbx
    USER_OK "SMAP: the program itself", movl (%rbx), %eax
    USER_FAULTS "STAC in a program is #UD", UD, 0, stac
    stac
    call implicit
    clac
    MAP WINDOW, page, PTE_P|PTE_W
    FAULTS "SMAP: a supervisor page", NOTHING, 0, movl (%rbx), %eax
    CLEAR_CR cr4, CR4_SMAP
    MAP WINDOW, page, PTE_P|PTE_W|PTE_U
    FAULTS "without SMAP", NOTHING, 0, movl (%rbx), %eax
9:  ret

/* Descriptor table accesses are the supervisor's even with AC set: SMAP forbids an LDT in a
 * program's page. */
implicit:
    movq $ldt+USER, %rcx
    movl $0x17, %eax
    movw %ax, gdt+SPARE_SEL
    movw %cx, gdt+SPARE_SEL+2
    shrq $16, %rcx
    movb %cl, gdt+SPARE_SEL+4
    movw $0x82, gdt+SPARE_SEL+5
    movb %ch, gdt+SPARE_SEL+7
    movq $0, gdt+SPARE_SEL+8
    movl $SPARE_SEL, %ecx
    lldt %cx
    movl $8+4, %ecx
    stac
    FAULTS "SMAP: an LDT in a program's page, AC set", PF, E_P, movl %ecx, %fs
    xorl %ecx, %ecx
    lldt %cx
    ret

/* Accesses across the border to a page that is not there: CR2 is the first byte that is missing,
 * and nothing is written. */
crossing:
    MAP WINDOW, page, PTE_P|PTE_W|PTE_U
    movq page, %rax
    movq $0x1111, 4088(%rax)
    movq $-1, %rax
    FAULTS "read across the end of the last page", PF, 0, movq 4092(%rbx), %rcx
    CHECK_EQ "CR2 is the second page", exc_cr2, WINDOW+4096
    FAULTS "write across the end", PF, E_W, movq %rax, 4092(%rbx)
    CHECK_EQ "CR2 of the write", exc_cr2, WINDOW+4096
    FAULTS "vector store across the end", PF, E_W, movups %xmm0, 4090(%rbx)
    FAULTS "locked add across the end", PF, E_W, lock addl %eax, 4094(%rbx)
    FAULTS "x87 store across the end", PF, E_W, fnsave 4080(%rbx)
    movq page, %rcx
    CHECK_EQ "nothing was written", 4088(%rcx), 0x1111
    call alloc_page
    movq %rax, page2
    MAP WINDOW+4096, page2, PTE_P|PTE_U
    movq $-1, %rax
    USER_FAULTS "write from a writable into a read-only page", PF, E_P|E_W|E_U, movq %rax, 4092(%rbx)
    CHECK_EQ "CR2 is the read-only page", exc_cr2, WINDOW+4096
    movq page, %rcx
    CHECK_EQ "nothing was written to the first page", 4088(%rcx), 0x1111
    USER_OK "read across two pages", movq 4092(%rbx), %rcx
    MAP WINDOW+4096, page2, PTE_P|PTE_U|PTE_W
    movabsq $0x1122334455667788, %rax
    USER_OK "write across two pages", movq %rax, 4092(%rbx)
    movq page2, %rcx
    movl (%rcx), %ecx
    CHECK_EQ "the second page's part", %rcx, 0x11223344
    movq 4092(%rbx), %rcx
    CHECK_SAME "read back", %rcx, %rax
    ret

/* PUSH and CALL into a page that is not there leave RSP and RIP alone. */
stack_faults:
    movq $WINDOW+0x10000, %rax
    movq user_rsp, %r14
    movq %rax, user_rsp
    USER_FAULTS "PUSH without a page", PF, E_W|E_U, pushq %rax
    CHECK_EQ "RSP is as before", exc_regs+F_RSP, WINDOW+0x10000
    CHECK_EQ "CR2 is the slot", exc_cr2, WINDOW+0xfff8
    jmp 5f
4:  call 4b
5:  USER_RUN "CALL without a page", PF, E_W|E_U, 4b+USER, 4b+USER
    CHECK_EQ "RSP is as before the CALL", exc_regs+F_RSP, WINDOW+0x10000
    USER_FAULTS "PUSH of 16 bits", PF, E_W|E_U, pushw %ax
    CHECK_EQ "CR2 of the 16-bit slot", exc_cr2, WINDOW+0xfffe
    USER_FAULTS "ENTER", PF, E_W|E_U, enter $16, $0
    USER_FAULTS "POP without a page", PF, E_U, popq %rcx
    USER_FAULTS "RET without a page", PF, E_U, ret
    CHECK_EQ "RSP is as before the RET", exc_regs+F_RSP, WINDOW+0x10000
    USER_FAULTS "POPF without a page", PF, E_U, popfq
    movq $WINDOW+0x10000, %rbp
    USER_FAULTS "LEAVE with a wild RBP", PF, E_U, leave
    movq %r14, user_rsp
    ret

    .data
    .balign 8
ldt: .quad 0, 0x00cf93000000ffff, 0
    .bss
    .balign 64
scratch: .skip 64
page: .skip 8
page2: .skip 8
