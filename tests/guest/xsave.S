/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The XSAVE family (SDM vol. 1, chapter 13), FXSAVE, XCR0, and that vector state survives
 * everything that is not an instruction on it.
 */
#include "guest.inc"

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    call fxsave_area
    NEED_CPUID 1, ecx, 26, "no XSAVE"
    call xcr0
    call save_restore
    call init_optimization
    call bad_images
    call compacted
    call task_switched
    call survival
    popq %rbp
    ret

fxsave_area:
    fninit
    movl $0x1f80, scratch
    ldmxcsr scratch
    fldpi
    movups pattern, %xmm7
    fxsave area
    movzwl area, %eax
    CHECK_EQ "FXSAVE: FCW", %rax, 0x37f
    movzbl area+4, %eax
    CHECK_EQ "FXSAVE: tags, one valid", %rax, 0x80
    movzwl area+2, %eax
    CHECK_EQ "FXSAVE: FSW, TOP 7", %rax, 0x3800
    CHECK_EQ "FXSAVE: ST0", area+32, 0xc90fdaa22168c235
    CHECK_EQ "FXSAVE: XMM7", area+160+112, 0x0123456789abcdef
    movl area+24, %eax
    CHECK_EQ "FXSAVE: MXCSR", %rax, 0x1f80
    fninit
    xorps %xmm7, %xmm7
    fxrstor area
    movq %xmm7, %rax
    CHECK_SAME "FXRSTOR: XMM7", %rax, pattern
    fstpl scratch
    CHECK_EQ "FXRSTOR: ST0", scratch, 0x400921fb54442d18
    FAULTS "FXSAVE of a misaligned area is #GP", GP, 0, fxsave area+8
    movl $0x10000, area+24
    FAULTS "FXRSTOR of reserved MXCSR bits is #GP", GP, 0, fxrstor area
    movl $0x1f80, area+24
    FAULTS "FXSAVE64", NOTHING, 0, fxsave64 area
    fninit
    ret

xcr0:
    xorl %ecx, %ecx
    FAULTS "XGETBV without OSXSAVE is #UD", UD, 0, xgetbv
    FAULTS "XSAVE without OSXSAVE is #UD", UD, 0, xsave area
    FAULTS "AVX without OSXSAVE is #UD", UD, 0, vaddps %ymm0, %ymm0, %ymm0
    SET_CR cr4, CR4_OSXSAVE
    xorl %ecx, %ecx
    movq $-1, %rdx
    xgetbv
    CHECK_EQ "XCR0 after reset", %rax, 1
    CHECK_EQ "its upper half", %rdx, 0
    FAULTS "AVX without its bit in XCR0 is #UD", UD, 0, vaddps %ymm0, %ymm0, %ymm0
    xorl %ecx, %ecx
    xorl %edx, %edx
    movl $2, %eax
    FAULTS "XCR0 without x87 is #GP", GP, 0, xsetbv
    movl $5, %eax
    FAULTS "AVX without SSE in XCR0 is #GP", GP, 0, xsetbv
    movl $3, %eax
    btsl $31, %eax
    FAULTS "an unknown bit of XCR0 is #GP", GP, 0, xsetbv
    movl $3, %eax
    movl $1, %ecx
    FAULTS "XSETBV of another register is #GP", GP, 0, xsetbv
    movl $5, %ecx
    FAULTS "XGETBV of another register is #GP", GP, 0, xgetbv
    xorl %ecx, %ecx
    movl $3, %eax
    USER_FAULTS "XSETBV is privileged", GP, 0, xsetbv
    movl $0xd, %eax
    xorl %ecx, %ecx
    cpuid
    andl $0xe7, %eax
    movl %eax, components
    btl $2, %eax
    jc 1f
    movq $2f, %rdi
    call skip_all
    .pushsection .rodata
2:  .asciz "no AVX"
    .popsection
1:  xorl %ecx, %ecx
    xorl %edx, %edx
    movl components, %eax
    xsetbv
    xgetbv
    movl components, %ebx
    CHECK_SAME "XCR0 reads back", %rax, %rbx
    FAULTS "AVX now", NOTHING, 0, vaddps %ymm0, %ymm0, %ymm0
    testl $0x20, %ebx
    jz 1f
    FAULTS "AVX-512 now", NOTHING, 0, vpxorq %zmm17, %zmm17, %zmm17
    movl $0x27, %eax
    FAULTS "a third of AVX-512 in XCR0 is #GP", GP, 0, xsetbv
    movl $7, %eax
    xsetbv
    FAULTS "AVX-512 without its bits is #UD", UD, 0, vpxorq %zmm17, %zmm17, %zmm17
    FAULTS "AVX still", NOTHING, 0, vaddps %ymm0, %ymm0, %ymm0
    movl components, %eax
    xsetbv
1:  ret

/* Loads the upper part of YMM3, and of ZMM20 where there is one. */
load_pattern:
    vbroadcastf128 pattern, %ymm3
    testl $0x20, components
    jz 1f
    vbroadcasti32x4 pattern, %zmm20
    movl $0x5a5a, %eax
    kmovw %eax, %k5
1:  ret

clear_area:
    movq $area, %rdi
    movl $4096/8, %ecx
    xorl %eax, %eax
    rep stosq
    ret

save_restore:
    call clear_area
    vzeroall
    call load_pattern
    movl components, %eax
    xorl %edx, %edx
    xsave area
    movq area+512, %rax
    andl $6, %eax
    CHECK_EQ "XSAVE: XSTATE_BV has SSE and AVX", %rax, 6
    CHECK_EQ "XSAVE: standard format", area+520, 0
    CHECK_SAME "XSAVE: XMM3", area+160+48, pattern
    CHECK_SAME "XSAVE: upper half of YMM3", area+576+48, pattern
    vzeroall
    movl components, %eax
    xorl %edx, %edx
    xrstor area
    vextractf128 $1, %ymm3, %xmm0
    movq %xmm0, %rax
    CHECK_SAME "XRSTOR: upper half of YMM3", %rax, pattern
    testl $0x20, components
    jz 1f
    movl components, %eax
    xorl %edx, %edx
    xsave area
    vpxorq %zmm20, %zmm20, %zmm20
    kxorw %k5, %k5, %k5
    movl components, %eax
    xrstor area
    vextracti32x4 $3, %zmm20, %xmm0
    movq %xmm0, %rax
    CHECK_SAME "XRSTOR: top of ZMM20", %rax, pattern
    kmovw %k5, %eax
    CHECK_EQ "XRSTOR: K5", %rax, 0x5a5a
1:  /* only what is asked for */
    movl $4, %eax
    xorl %edx, %edx
    vxorps %xmm4, %xmm4, %xmm4
    movups pattern, %xmm5
    vxorps %xmm3, %xmm3, %xmm3
    xrstor area
    vextractf128 $1, %ymm3, %xmm0
    movq %xmm0, %rax
    CHECK_SAME "XRSTOR of AVX alone: upper half", %rax, pattern
    movq %xmm3, %rax
    CHECK_EQ "and not the lower", %rax, 0
    FAULTS "XSAVE of a misaligned area is #GP", GP, 0, xsave area+16
    FAULTS "XRSTOR of a misaligned area is #GP", GP, 0, xrstor area+16
    movq $WINDOW, %rbx
    FAULTS "XSAVE to a missing page", PF, ANY, xsave (%rbx)
    FAULTS "XRSTOR from a missing page", PF, 0, xrstor (%rbx)
    ret

/* A component that the image leaves out is initialized. */
init_optimization:
    call load_pattern
    call clear_area
    movl $0x1f80, area+24
    movl $6, %eax
    xorl %edx, %edx
    xrstor area
    vextractf128 $1, %ymm3, %xmm0
    movq %xmm0, %rax
    CHECK_EQ "XRSTOR without AVX in XSTATE_BV clears it", %rax, 0
    movq %xmm3, %rax
    CHECK_EQ "and SSE", %rax, 0
    movl $1, %ecx
    movl $0xd, %eax
    cpuid
    testl $4, %eax
    jz 1f
    call load_pattern
    movl $1, %ecx
    xgetbv
    andl $4, %eax
    CHECK_EQ "XGETBV 1: AVX is in use", %rax, 4
1:  ret

bad_images:
    call clear_area
    movl components, %eax
    xorl %edx, %edx
    movl $0x1f80, area+24
    btsq $20, area+512
    FAULTS "XSTATE_BV beyond XCR0 is #GP", GP, 0, xrstor area
    movq $0, area+512
    movq $1, area+520
    FAULTS "XCOMP_BV without its bit 63 is #GP", GP, 0, xrstor area
    movq $0, area+520
    movq $1, area+528
    FAULTS "reserved bytes of the header are #GP", GP, 0, xrstor area
    movq $0, area+528
    movl $0x10000, area+24
    FAULTS "reserved MXCSR bits are #GP", GP, 0, xrstor area
    movl $0x1f80, area+24
    movq $3, area+512
    FAULTS "a good image", NOTHING, 0, xrstor area
    fninit
    ret

compacted:
    movl $0xd, %eax
    movl $1, %ecx
    cpuid
    movl %eax, %r12d
    testl $2, %eax
    jz 1f
    call clear_area
    vzeroall
    call load_pattern
    movl $6, %eax
    xorl %edx, %edx
    xsavec area
    movq area+520, %rax
    movabsq $0x8000000000000006, %rbx
    CHECK_SAME "XSAVEC: XCOMP_BV", %rax, %rbx
    CHECK_SAME "XSAVEC: AVX right behind the header", area+576+48, pattern
    vzeroall
    movl $6, %eax
    xrstor area
    vextractf128 $1, %ymm3, %xmm0
    movq %xmm0, %rax
    CHECK_SAME "XRSTOR of the compacted image", %rax, pattern
    vzeroall
    call clear_area
    movl $6, %eax
    xorl %edx, %edx
    xsavec area
    movq area+512, %rax
    CHECK_EQ "XSAVEC leaves out what is in its initial state", %rax, 0
1:  testl $1, %r12d
    jz 1f
    call clear_area
    call load_pattern
    movl components, %eax
    xorl %edx, %edx
    FAULTS "XSAVEOPT", NOTHING, 0, xsaveopt area
    CHECK_SAME "XSAVEOPT: XMM3", area+160+48, pattern
1:  testl $8, %r12d
    jz 1f
    xorl %eax, %eax
    xorl %edx, %edx
    movl $0xda0, %ecx
    wrmsr
    call clear_area
    call load_pattern
    movl components, %eax
    xorl %edx, %edx
    FAULTS "XSAVES in the supervisor", NOTHING, 0, xsaves area
    vzeroall
    FAULTS "XRSTORS in the supervisor", NOTHING, 0, xrstors area
    vextractf128 $1, %ymm3, %xmm0
    movq %xmm0, %rax
    CHECK_SAME "XRSTORS: upper half of YMM3", %rax, pattern
    USER_FAULTS "XSAVES in a program", GP, 0, xsaves (%rsp)
    USER_FAULTS "XRSTORS in a program", GP, 0, xrstors (%rsp)
1:  ret

task_switched:
    SET_CR cr0, CR0_TS
    FAULTS "XSAVE with CR0.TS is #NM", NM, 0, xsave area
    FAULTS "XRSTOR with CR0.TS is #NM", NM, 0, xrstor area
    FAULTS "AVX with CR0.TS is #NM", NM, 0, vaddps %ymm0, %ymm0, %ymm0
    xorl %ecx, %ecx
    FAULTS "XGETBV does not mind CR0.TS", NOTHING, 0, xgetbv
    testl $0x20, components
    jz 1f
    FAULTS "AVX-512 with CR0.TS is #NM", NM, 0, vpxorq %zmm17, %zmm17, %zmm17
    FAULTS "KMOV with CR0.TS is #NM", NM, 0, kmovw %eax, %k1
1:  clts
    ret

/* Exceptions, system registers and programs leave vector registers alone. */
survival:
    vzeroall
    fninit
    fldpi
    call load_pattern
    movl $100, %ebx
1:
    movq $2f, exc_resume
    movq %rsp, exc_resume_rsp
    ud2
2:  movq %cr3, %rax
    movq %rax, %cr3
    xorl %eax, %eax
    pushq %rbx
    cpuid
    popq %rbx
    rdtsc
    movl $0x3fd, %edx
    inb %dx, %al
    movl $MSR_LSTAR, %ecx
    rdmsr
    movq $WINDOW, %rcx
    invlpg (%rcx)
    movl $0xfee00020, %eax
    movl (%rax), %eax
    decl %ebx
    jnz 1b
    USER_OK "a program in between", nop
    vextractf128 $1, %ymm3, %xmm0
    movq %xmm0, %rax
    CHECK_SAME "upper half of YMM3 after a hundred rounds", %rax, pattern
    fstpl scratch
    CHECK_EQ "ST0 too", scratch, 0x400921fb54442d18
    testl $0x20, components
    jz 1f
    vextracti32x4 $3, %zmm20, %xmm0
    movq %xmm0, %rax
    CHECK_SAME "top of ZMM20 too", %rax, pattern
    kmovw %k5, %eax
    CHECK_EQ "K5 too", %rax, 0x5a5a
1:  ret

    .data
    .balign 16
pattern: .quad 0x0123456789abcdef, 0xfedcba9876543210
components: .long 0
    .bss
    .balign 64
area: .skip 4096
scratch: .skip 64
