/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CPUID is consistent in itself and with what executes; the time stamp counter runs forward.
 */
#include "guest.inc"

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    call leaves
    call dynamic
    call state_sizes
    call claims
    call clock
    popq %rbp
    ret

leaves:
    xorl %eax, %eax
    movq $-1, %rbx
    movq $-1, %rcx
    movq $-1, %rdx
    cpuid
    cmpl $0xd, %eax
    CHECK_IF "there is a leaf 13", ae
    movq %rbx, %rax
    shrq $32, %rax
    CHECK_EQ "CPUID clears upper halves", %rax, 0
    movabsq $0x1234567800000001, %rax
    cpuid
    shrq $32, %rax
    CHECK_EQ "and looks at EAX only", %rax, 0
    movl $1, %eax
    cpuid
    andl $0x0789a179, %edx
    CHECK_EQ "what every 64-bit system needs", %rdx, 0x0789a179
    movl $0x80000000, %eax
    cpuid
    cmpl $0x80000008, %eax
    CHECK_IF "there is a leaf 80000008", ae
    movl $0x80000001, %eax
    cpuid
    andl $0x20100800, %edx
    CHECK_EQ "long mode, NX, SYSCALL", %rdx, 0x20100800
    movl $0x80000008, %eax
    cpuid
    cmpb $48, %ah
    je 1f
    cmpb $57, %ah
1:  CHECK_IF "48 or 57 bits of linear address", e
    movzbl %al, %ecx
    cmpl $36, %ecx
    CHECK_IF "36 bits of physical address or more", ae
    cmpl $52, %ecx
    CHECK_IF "52 or less", be
    USER_OK "CPUID in a program", cpuid
    USER32_OK "and in compatibility mode", cpuid
    ret

/* OSXSAVE and the APIC bit follow the CPU's state. */
dynamic:
    movl $1, %eax
    cpuid
    shrl $9, %edx
    andl $1, %edx
    CHECK_EQ "APIC bit while the APIC is on", %rdx, 1
    movl $1, %eax
    cpuid
    btl $26, %ecx
    jnc 9f
    shrl $27, %ecx
    andl $1, %ecx
    CHECK_EQ "OSXSAVE is clear", %rcx, 0
    SET_CR cr4, CR4_OSXSAVE
    movl $1, %eax
    cpuid
    shrl $27, %ecx
    andl $1, %ecx
    CHECK_EQ "OSXSAVE follows CR4", %rcx, 1
    ret
9:  movl $0, have_xsave
    ret

state_sizes:
    cmpl $0, have_xsave
    je 9f
    movl $0xd, %eax
    xorl %ecx, %ecx
    cpuid
    movl %eax, components
    movl %ecx, largest
    CHECK_EQ "XSAVE area with x87 alone", %rbx, 576
    xorl %ecx, %ecx
    xorl %edx, %edx
    movl components, %eax
    FAULTS "all components of leaf 13 can be turned on", NOTHING, 0, xsetbv
    movl $0xd, %eax
    xorl %ecx, %ecx
    cpuid
    movl largest, %eax
    CHECK_SAME "then the area is as large as it gets", %rbx, %rax
    /* every component lies within */
    movl $2, %r12d
1:  btl %r12d, components
    jnc 2f
    movl $0xd, %eax
    movl %r12d, %ecx
    cpuid
    testl %eax, %eax
    jz 3f
    addl %ebx, %eax
    cmpl largest, %eax
    ja 3f
2:  incl %r12d
    cmpl $20, %r12d
    jb 1b
3:  CHECK_EQ "every component has a place in it", %r12, 20
9:  ret

/* One instruction of each claimed extension; an unclaimed one is not tried. */
.macro CLAIM name, leaf, reg, bit, insn:vararg
    movl $\leaf, %eax
    xorl %ecx, %ecx
    cpuid
    btl $\bit, %\reg
    jnc 8f
    xorl %eax, %eax
    FAULTS "\name executes as claimed", NOTHING, 0, \insn
8:
.endm
claims:
    CLAIM "SSE3", 1, ecx, 0, haddps %xmm0, %xmm0
    CLAIM "PCLMULQDQ", 1, ecx, 1, pclmulqdq $0, %xmm0, %xmm0
    CLAIM "SSSE3", 1, ecx, 9, pshufb %xmm0, %xmm0
    CLAIM "FMA", 1, ecx, 12, vfmadd132ps %xmm0, %xmm0, %xmm0
    CLAIM "CMPXCHG16B", 1, ecx, 13, cmpxchg16b scratch
    CLAIM "SSE4.1", 1, ecx, 19, ptest %xmm0, %xmm0
    CLAIM "SSE4.2", 1, ecx, 20, pcmpgtq %xmm0, %xmm0
    CLAIM "MOVBE", 1, ecx, 22, movbe scratch, %eax
    CLAIM "POPCNT", 1, ecx, 23, popcntl %eax, %eax
    CLAIM "AES", 1, ecx, 25, aesenc %xmm0, %xmm0
    CLAIM "AVX", 1, ecx, 28, vaddps %ymm0, %ymm0, %ymm0
    CLAIM "F16C", 1, ecx, 29, vcvtph2ps %xmm0, %xmm0
    CLAIM "RDRAND", 1, ecx, 30, rdrand %eax
    CLAIM "BMI1", 7, ebx, 3, andn %eax, %eax, %eax
    CLAIM "AVX2", 7, ebx, 5, vpaddd %ymm0, %ymm0, %ymm0
    CLAIM "BMI2", 7, ebx, 8, pdep %eax, %eax, %eax
    CLAIM "AVX512F", 7, ebx, 16, vaddps %zmm0, %zmm0, %zmm0
    CLAIM "AVX512DQ", 7, ebx, 17, vandps %zmm0, %zmm0, %zmm0
    CLAIM "RDSEED", 7, ebx, 18, rdseed %eax
    CLAIM "ADX", 7, ebx, 19, adcx %eax, %eax
    CLAIM "CLFLUSHOPT", 7, ebx, 23, clflushopt scratch
    CLAIM "CLWB", 7, ebx, 24, clwb scratch
    CLAIM "AVX512BW", 7, ebx, 30, vpaddb %zmm0, %zmm0, %zmm0
    CLAIM "SHA", 7, ebx, 29, sha1msg1 %xmm0, %xmm0
    CLAIM "AVX512VL", 7, ebx, 31, vpaddd %ymm16, %ymm16, %ymm16
    CLAIM "GFNI", 7, ecx, 8, gf2p8mulb %xmm0, %xmm0
    CLAIM "VAES", 7, ecx, 9, vaesenc %ymm0, %ymm0, %ymm0
    CLAIM "RDPID", 7, ecx, 22, rdpid %rax
    CLAIM "LAHF", 0x80000001, ecx, 0, lahf
    CLAIM "LZCNT", 0x80000001, ecx, 5, lzcntl %eax, %eax
    CLAIM "SSE4A", 0x80000001, ecx, 6, extrq $1, $1, %xmm0
    CLAIM "RDTSCP", 0x80000001, edx, 27, rdtscp
    CLAIM "PREFETCHW", 0x80000001, ecx, 8, prefetchw scratch
    CLAIM "CLFLUSH", 1, edx, 19, clflush scratch
    ret

.macro READ_TSC reg
    rdtsc
    shlq $32, %rdx
    leaq (%rax, %rdx), \reg
.endm
clock:
    movl $1000, %ecx
    READ_TSC %rbx
1:  READ_TSC %rsi
    cmpq %rbx, %rsi
    jbe 2f
    movq %rsi, %rbx
    decl %ecx
    jnz 1b
2:  CHECK_EQ "a thousand times later than before", %rcx, 0
    movl $0x80000001, %eax
    cpuid
    btl $27, %edx
    jnc 3f
    MSR_WRITE 0xc0000103, 0x1234
    rdtscp
    CHECK_EQ "RDTSCP reads TSC_AUX", %rcx, 0x1234
    movl $7, %eax
    xorl %ecx, %ecx
    cpuid
    btl $22, %ecx
    jnc 3f
    rdpid %rax
    CHECK_EQ "and RDPID", %rax, 0x1234
3:  USER_OK "RDTSC in a program", rdtsc
    SET_CR cr4, CR4_TSD
    USER_FAULTS "RDTSC in a program with CR4.TSD", GP, 0, rdtsc
    FAULTS "RDTSC in the supervisor with CR4.TSD", NOTHING, 0, rdtsc
    CLEAR_CR cr4, CR4_TSD
    READ_TSC %rbx
    movl $0x10, %ecx
    rdmsr
    shlq $32, %rdx
    orq %rdx, %rax
    cmpq %rbx, %rax
    CHECK_IF "the MSR shows the same counter", ae
    USER_FAULTS "RDPMC in a program", GP, 0, rdpmc
    ret

    .data
have_xsave: .long 1
components: .long 0
largest: .long 0
    .bss
    .balign 64
scratch: .skip 64
