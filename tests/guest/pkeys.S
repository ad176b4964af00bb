/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Protection keys (SDM vol. 3, 4.6.2): PKRU for pages of programs, whoever looks at them; PKRS for
 * pages of the supervisor; neither for fetches; and PKRU in XSAVE.
 */
#include "guest.inc"
#include "irq.inc"
#include "promote.inc"

#define CR4_PKE 0x400000
#define CR4_PKS 0x1000000
#define MSR_PKRS 0x6e1
#define KEY(k) ((k) << 59)
#define VALUE 0x1122334455667788
    .set KEYED, WINDOW        /* a program's page with key 5 */
    .set PLAIN, WINDOW+0x1000 /* and with key 0 */
    .set SUPER, WINDOW+0x2000 /* the supervisor's with key 6 */

.macro PKRU value
    xorl %ecx, %ecx
    xorl %edx, %edx
    movl $\value, %eax
    wrpkru
.endm

    .text
    .globl guest_main
guest_main:
    NEED_CPUID 7, ecx, 3, "no protection keys"
    pushq %rbp
    FAULTS "RDPKRU without CR4.PKE", UD, 0, rdpkru
    call map
    PROMOTE_SET_UP
    PROMOTE
    SET_CR cr4, CR4_PKE
    call instructions
    call program
    call kernel
    call supervisor
    call saved
    PKRU 0
    CLEAR_CR cr4, CR4_PKE
    popq %rbp
    ret

map:
    movabsq $VALUE, %rax
    movq %rax, page
    MAP KEYED, $page, PTE_P|PTE_W|PTE_U|KEY(5)
    movl $KEYED, %esi
    MAP PLAIN, $page, PTE_P|PTE_W|PTE_U
    movl $KEYED, %esi
    MAP SUPER, $page, PTE_P|PTE_W|KEY(6)
    movl $KEYED, %esi
    ret

instructions:
    movl $7, %eax
    xorl %ecx, %ecx
    cpuid
    shrl $4, %ecx
    andl $1, %ecx
    CHECK_EQ "OSPKE", %rcx, 1
    PKRU 0x55555554
    movq $-1, %rdx
    movq $-1, %rax
    rdpkru
    CHECK_EQ "RDPKRU", %rax, 0x55555554
    CHECK_EQ "clears RDX", %rdx, 0
    movl $1, %ecx
    FAULTS "RDPKRU with ECX", GP, 0, rdpkru
    FAULTS "WRPKRU with ECX", GP, 0, wrpkru
    xorl %ecx, %ecx
    movl $1, %edx
    FAULTS "WRPKRU with EDX", GP, 0, wrpkru
    PKRU 0
    USER_OK "a program reads PKRU", rdpkru
    ret

/* The same instructions over and over, so that what is translated sees other rights. */
program:
    movl $KEYED, %esi
    PKRU 0
    USER_OK "no restriction: a write", incq (%rsi)
    PKRU 0x800 /* WD of key 5 */
    USER_FAULTS "write disabled: a write", PF, 0x27, incq (%rsi)
    CHECK_EQ "CR2", exc_cr2, KEYED
    USER_OK "write disabled: a read", movq (%rsi), %rax
    PKRU 0x400 /* AD */
    USER_FAULTS "access disabled: a read", PF, 0x25, movq (%rsi), %rax
    USER_FAULTS "access disabled: a write", PF, 0x27, movq %rax, (%rsi)
    USER_OK "another key", incq 0x1000(%rsi)
    PKRU 0x1 /* of key 0, which code and stack have, too: only fetches and no stack */
    USER_FAULTS "key 0", PF, 0x25, movq 0x1000(%rsi), %rax
    PKRU 0
    USER_OK "none again", incq (%rsi)
    movabsq $VALUE+3, %rax
    CHECK_SAME "three writes", page, %rax
    ret

kernel:
    movl $KEYED, %esi
    PKRU 0x400
    FAULTS "the supervisor's read", PF, 0x21, movq (%rsi), %rax
    PKRU 0x800
    FAULTS "its write", PF, 0x23, incq (%rsi)
    CLEAR_CR cr0, CR0_WP
    FAULTS "its write without CR0.WP", NOTHING, 0, incq (%rsi)
    SET_CR cr0, CR0_WP
    FAULTS "and with it again", PF, 0x23, incq (%rsi)
    PKRU 0xfffffff0
    FAULTS "PKRU says nothing of the supervisor's pages", NOTHING, 0, incq 0x2000(%rsi)
    PKRU 0
    /* A key that comes into an entry counts after INVLPG. */
    PKRU 0x10
    FAULTS "before the key changes", NOTHING, 0, movq (%rsi), %rax
    MAP KEYED, $page, PTE_P|PTE_W|PTE_U|KEY(2)
    movl $KEYED, %esi
    FAULTS "and after", PF, 0x21, movq (%rsi), %rax
    MAP KEYED, $page, PTE_P|PTE_W|PTE_U|KEY(5)
    movl $KEYED, %esi
    PKRU 0
    ret

supervisor:
    movl $KEYED, %esi
    movl $7, %eax
    xorl %ecx, %ecx
    cpuid
    btl $31, %ecx
    jnc 1f
    SET_CR cr4, CR4_PKS
    MSR_WRITE MSR_PKRS, 0x1000 /* AD of key 6 */
    FAULTS "PKRS: a read", PF, 0x21, movq 0x2000(%rsi), %rax
    FAULTS "a program's page", NOTHING, 0, movq (%rsi), %rax
    MSR_WRITE MSR_PKRS, 0x2000 /* WD */
    FAULTS "PKRS: a write", PF, 0x23, incq 0x2000(%rsi)
    FAULTS "PKRS: a read, writes disabled", NOTHING, 0, movq 0x2000(%rsi), %rax
    movl $MSR_PKRS, %ecx
    movl $1, %edx
    FAULTS "PKRS has 32 bits", GP, 0, wrmsr
    CLEAR_CR cr4, CR4_PKS
    FAULTS "without CR4.PKS", NOTHING, 0, incq 0x2000(%rsi)
    MSR_WRITE MSR_PKRS, 0
1:  ret

saved:
    SET_CR cr4, CR4_OSXSAVE
    xorl %ecx, %ecx
    movl $0x203, %eax
    xorl %edx, %edx
    xsetbv
    movl $0xd, %eax
    movl $9, %ecx
    cpuid
    movl %ebx, %r12d
    CHECK_EQ "the size of PKRU", %rax, 8
    PKRU 0x1234
    movl $0x200, %eax
    xsave area
    movl area(%r12), %eax
    CHECK_EQ "XSAVE of PKRU", %rax, 0x1234
    CHECK_EQ "XSTATE_BV", area+512, 0x200
    PKRU 0x400
    movl $0x200, %eax
    xrstor area
    rdpkru
    CHECK_EQ "XRSTOR", %rax, 0x1234
    movq $0, area+512
    movl $0x200, %eax
    xorl %edx, %edx
    xrstor area
    rdpkru
    CHECK_EQ "XRSTOR of what is not in use", %rax, 0
    movl $0x200, %eax
    xsave area
    CHECK_EQ "XSAVE of 0", area+512, 0
    CLEAR_CR cr4, CR4_OSXSAVE
    ret

    .bss
    .balign 4096
page: .skip 4096
    .balign 64
area: .skip 4096
