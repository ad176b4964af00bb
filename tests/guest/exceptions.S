/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every exception that one CPU can raise in 64-bit mode: vector, error code, saved RIP, and the
 * frame the CPU pushes (SDM vol. 3, 6.14).
 */
#include "guest.inc"

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    call divide
    call frames
    call breakpoints
    call invalid_opcodes
    call device_not_available
    call segments
    call double_fault
    call invalid_tss
    call alignment
    call x87_error
    call simd_error
    call nested
    xorl %eax, %eax
    FAULTS "LTR of null is #GP", GP, 0, ltr %ax
    popq %rbp
    ret

divide:
    xorl %ecx, %ecx
    movl $5, %eax
    xorl %edx, %edx
    FAULTS "DIV by zero is #DE", DE, 0, divl %ecx
    FAULTS "IDIV by zero is #DE", DE, 0, idivl %ecx
    FAULTS "8-bit DIV by zero is #DE", DE, 0, divb %cl
    FAULTS "64-bit DIV by zero is #DE", DE, 0, divq %rcx
    CHECK_EQ "a faulting DIV keeps RAX", %rax, 5
    movl $1, %edx
    movl $1, %ecx
    FAULTS "quotient overflow is #DE", DE, 0, divl %ecx
    movq $0x8000000000000000, %rax
    cqo
    movq $-1, %rcx
    FAULTS "most negative by -1 is #DE", DE, 0, idivq %rcx
    USER_FAULTS "#DE in a program", DE, 0, idivq %rcx
    CHECK_EQ "the program's RCX in the handler", exc_regs+F_RCX, -1
    ret

frames:
    movq %rsp, %rbp
    FAULTS "UD2 is #UD", UD, 0, ud2
    CHECK_EQ "frame of a supervisor fault: CS", exc_regs+F_CS, KCODE
    CHECK_EQ "frame of a supervisor fault: SS", exc_regs+F_SS, KDATA
    CHECK_SAME "frame of a supervisor fault: RSP", exc_regs+F_RSP, %rbp
    movq exc_frame, %rax
    addq $176, %rax
    movq %rbp, %rbx
    andq $-16, %rbx
    CHECK_SAME "the frame is aligned to 16 bytes (first)", %rax, %rbx
    pushq $0
    movq %rsp, %rbp
    FAULTS "UD2 with a stack misaligned by 8", UD, 0, ud2
    CHECK_SAME "saved RSP is the misaligned one", exc_regs+F_RSP, %rbp
    movq exc_frame, %rax
    addq $176, %rax
    movq %rbp, %rbx
    andq $-16, %rbx
    CHECK_SAME "the frame is aligned to 16 bytes (second)", %rax, %rbx
    addq $8, %rsp
    movq $0xcd7, %rax
    pushq %rax
    popfq
    FAULTS "UD2 with all arithmetic flags set", UD, 0, ud2
    cld
    movq exc_regs + F_RFLAGS, %rax
    andq $~RF, %rax
    CHECK_EQ "saved RFLAGS", %rax, 0xcd7
    movq exc_regs + F_RFLAGS, %rax
    andq $RF, %rax
    CHECK_EQ "a fault saves RF set", %rax, RF
    USER_FAULTS "#UD in a program", UD, 0, ud2
    CHECK_EQ "frame of a program's fault: CS", exc_regs+F_CS, UCODE
    CHECK_EQ "frame of a program's fault: SS", exc_regs+F_SS, UDATA
    CHECK_SAME "frame of a program's fault: RSP", exc_regs+F_RSP, user_rsp
    CHECK_EQ "RSP0 of the TSS is used", exc_frame, exc_stack_top-176
    decq user_rsp
    USER_FAULTS "#UD with an odd user stack", UD, 0, ud2
    CHECK_SAME "an odd user RSP is saved as it is", exc_regs+F_RSP, user_rsp
    incq user_rsp
    movb $2, idt + UD * 16 + 4
    FAULTS "#UD on an interrupt stack (IST)", UD, 0, ud2
    CHECK_EQ "IST2 of the TSS is used from CPL 0", exc_frame, ist2_top-176
    USER_FAULTS "#UD of a program on an interrupt stack", UD, 0, ud2
    CHECK_EQ "IST2 of the TSS is used from CPL 3", exc_frame, ist2_top-176
    movb $0, idt + UD * 16 + 4
    ret

breakpoints:
    TRAPS "INT3 is #BP behind the instruction", BP, int3
    TRAPS "INT 3 in two bytes is #BP too", BP, .byte 0xcd, 3
    TRAPS "INT1 is #DB", DB, .byte 0xf1
    jmp 5f
4:  .byte 0xf1
5:  USER_RUN "INT1 in a program does not ask for the gate's DPL", DB, 0, 4b+USER+1, 4b+USER
    jmp 5f
4:  int3
5:  USER_RUN "INT3 in a program", BP, 0, 4b+USER+1, 4b+USER
    ret

/* A NOP behind `n` operand size prefixes. */
.macro LONG_NOP n
    .fill \n, 1, 0x66
    nop
.endm

invalid_opcodes:
    FAULTS "UD1 is #UD", UD, 0, .byte 0x0f, 0xb9, 0xc0
    FAULTS "UD0 is #UD", UD, 0, .byte 0x0f, 0xff, 0xc0
    FAULTS "LOCK NOP is #UD", UD, 0, .byte 0xf0, 0x90
    FAULTS "LOCK ADD to a register is #UD", UD, 0, .byte 0xf0, 0x01, 0xc0
    FAULTS "PUSH ES is #UD in 64-bit mode", UD, 0, .byte 0x06
    FAULTS "PUSHA is #UD in 64-bit mode", UD, 0, .byte 0x60
    FAULTS "INTO is #UD in 64-bit mode", UD, 0, .byte 0xce
    FAULTS "AAM is #UD in 64-bit mode", UD, 0, .byte 0xd4, 0x0a
    FAULTS "DAA is #UD in 64-bit mode", UD, 0, .byte 0x27
    FAULTS "far JMP with a pointer is #UD in 64-bit mode", UD, 0, .byte 0xea, 0, 0, 0, 0, 8, 0
    FAULTS "MOV to CS is #UD", UD, 0, .byte 0x8e, 0xc8
    FAULTS "MOV from a seventh segment register is #UD", UD, 0, .byte 0x8c, 0xf0
    FAULTS "MOV from CR1 is #UD", UD, 0, .byte 0x0f, 0x20, 0xc8
    FAULTS "MOV to CR5 is #UD", UD, 0, .byte 0x0f, 0x22, 0xe8
    FAULTS "LEA of a register is #UD", UD, 0, .byte 0x8d, 0xc0
    FAULTS "CMPXCHG8B of a register is #UD", UD, 0, .byte 0x0f, 0xc7, 0xc8
    FAULTS "RSM outside SMM is #UD", UD, 0, rsm
    FAULTS "sixteen bytes are too long: #GP", GP, 0, LONG_NOP 15
    FAULTS "fifteen bytes are an instruction", NOTHING, 0, LONG_NOP 14
    ret

device_not_available:
    SET_CR cr0, CR0_TS
    FAULTS "x87 with CR0.TS is #NM", NM, 0, fld1
    FAULTS "SSE with CR0.TS is #NM", NM, 0, movaps %xmm0, %xmm1
    FAULTS "MMX with CR0.TS is #NM", NM, 0, movq %mm0, %mm1
    FAULTS "EMMS with CR0.TS is #NM", NM, 0, emms
    FAULTS "FWAIT with CR0.TS and MP is #NM", NM, 0, fwait
    FAULTS "FXSAVE with CR0.TS is #NM", NM, 0, fxsave scratch
    FAULTS "LDMXCSR with CR0.TS is #NM", NM, 0, ldmxcsr scratch
    FAULTS "SFENCE does not mind CR0.TS", NOTHING, 0, sfence
    FAULTS "CRC32 does not mind CR0.TS", NOTHING, 0, crc32l %eax, %eax
    FAULTS "PREFETCH does not mind CR0.TS", NOTHING, 0, prefetcht0 scratch
    USER_FAULTS "x87 of a program with CR0.TS", NM, 0, fld1
    USER_FAULTS "SSE of a program with CR0.TS", NM, 0, addps %xmm0, %xmm0
    CLEAR_CR cr0, CR0_MP
    FAULTS "FWAIT with CR0.TS without MP", NOTHING, 0, fwait
    clts
    movq %cr0, %rax
    andq $CR0_TS, %rax
    CHECK_EQ "CLTS clears TS", %rax, 0
    FAULTS "x87 after CLTS", NOTHING, 0, fninit
    USER_OK "SSE of a program after CLTS", addps %xmm0, %xmm0
    SET_CR cr0, CR0_EM
    FAULTS "x87 with CR0.EM is #NM", NM, 0, fld1
    FAULTS "SSE with CR0.EM is #UD", UD, 0, movaps %xmm0, %xmm1
    FAULTS "MMX with CR0.EM is #UD", UD, 0, movq %mm0, %mm1
    FAULTS "EMMS with CR0.EM is #UD", UD, 0, emms
    CLEAR_CR cr0, CR0_EM
    SET_CR cr0, CR0_MP
    CLEAR_CR cr4, CR4_OSFXSR
    FAULTS "SSE without CR4.OSFXSR is #UD", UD, 0, movaps %xmm0, %xmm1
    FAULTS "MMX without CR4.OSFXSR", NOTHING, 0, emms
    SET_CR cr4, CR4_OSFXSR
    ret

segments:
    movq $0x00cf13000000ffff, %rax /* data, not present */
    movq %rax, gdt + SPARE_SEL
    movl $SPARE_SEL, %ebx
    FAULTS "loading a segment that is not present is #NP", NP, SPARE_SEL, movl %ebx, %ds
    FAULTS "into FS too", NP, SPARE_SEL, movl %ebx, %fs
    FAULTS "into SS it is #SS", SS_VEC, SPARE_SEL, movl %ebx, %ss
    movl $SPARE_SEL + 3, %ecx
    FAULTS "SS with another RPL is #GP", GP, SPARE_SEL, movl %ecx, %ss
    movl $0x1000, %ecx
    FAULTS "a selector beyond the GDT is #GP", GP, 0x1000, movl %ecx, %ds
    movl $0x1007, %ecx
    FAULTS "a selector in the absent LDT is #GP", GP, 0x1004, movl %ecx, %ds
    movl $TSS_SEL, %ecx
    FAULTS "a TSS as data segment is #GP", GP, TSS_SEL, movl %ecx, %ds
    movl $KCODE, %ecx
    FAULTS "readable code as data segment", NOTHING, 0, movl %ecx, %ds
    FAULTS "code as stack segment is #GP", GP, KCODE, movl %ecx, %ss
    xorl %ecx, %ecx
    FAULTS "a null data segment", NOTHING, 0, movl %ecx, %ds
    FAULTS "a null stack segment at CPL 0 in 64-bit mode", NOTHING, 0, movl %ecx, %ss
    movl $3, %ecx
    FAULTS "a null stack segment with RPL 3 at CPL 0 is #GP", GP, 0, movl %ecx, %ss
    movl $KDATA, %ecx
    movl %ecx, %ss
    jmp 5f
4:  movl $KDATA, %ecx
6:  movl %ecx, %ds
    int $0x80
5:  USER_RUN "a program loads a supervisor's segment: #GP", GP, KDATA, 6b+USER, 4b+USER
    jmp 5f
4:  xorl %ecx, %ecx
6:  movl %ecx, %ss
    int $0x80
5:  USER_RUN "a program loads a null SS: #GP", GP, 0, 6b+USER, 4b+USER
    ret

/* A gate that is not present: #NP, and while a contributory exception is delivered, #DF. */
double_fault:
    movb $0x6e, idt + 3 * 16 + 5
    FAULTS "INT3 through an absent gate is #NP", NP, 3*8+2, int3
    movb $0xee, idt + 3 * 16 + 5
    movb $0x0e, idt + UD * 16 + 5
    FAULTS "#UD through an absent gate is #NP with EXT", NP, UD*8+3, ud2
    movb $0x8e, idt + UD * 16 + 5
    movb $0x0e, idt + GP * 16 + 5
    movl $0x1000, %ecx
    FAULTS "#GP through an absent gate is #DF", DF_VEC, 0, movl %ecx, %ds
    CHECK_EQ "#DF has its own stack", exc_frame, ist1_top-176
    movb $0x8e, idt + GP * 16 + 5
    movb $0x0e, idt + PF * 16 + 5
    movq $WINDOW, %rcx
    FAULTS "#PF through an absent gate is #DF", DF_VEC, 0, movl (%rcx), %eax
    movb $0x8e, idt + PF * 16 + 5
    movb $0x86, idt + UD * 16 + 5
    FAULTS "a gate of 16-bit type is #GP", GP, UD*8+3, ud2
    movb $0x8e, idt + UD * 16 + 5
    movw $KDATA, idt + UD * 16 + 2
    FAULTS "a gate to a data segment is #GP", GP, KDATA+1, ud2
    movw $KCODE32, idt + UD * 16 + 2
    FAULTS "a gate to 32-bit code is #GP", GP, KCODE32+1, ud2
    movw $0, idt + UD * 16 + 2
    FAULTS "a gate to the null selector is #GP", GP, 1, ud2
    movw $KCODE, idt + UD * 16 + 2
    movw $0x1f * 16 + 15, idt_pointer
    lidt idt_pointer
    movw $4095, idt_pointer
    FAULTS "a vector beyond the IDT's limit is #GP", GP, 0x20*8+2, int $0x20
    lidt idt_pointer
    ret

/* The stack a gate asks for lies beyond the TSS's limit. */
invalid_tss:
    movw $0x2b, gdt + TSS_SEL
    movb $0x89, gdt + TSS_SEL + 5
    movl $TSS_SEL, %eax
    ltr %ax
    movb $2, idt + 3 * 16 + 4
    FAULTS "IST beyond the TSS's limit is #TS", TS, TSS_SEL, int3
    movb $0, idt + 3 * 16 + 4
    movw $0x67, gdt + TSS_SEL
    movb $0x89, gdt + TSS_SEL + 5
    ltr %ax
    movb gdt + TSS_SEL + 5, %al
    movzbl %al, %eax
    CHECK_EQ "LTR makes the TSS busy", %rax, 0x8b
    movl $TSS_SEL, %eax
    FAULTS "LTR of a busy TSS is #GP", GP, TSS_SEL, ltr %ax
    movl $KDATA, %eax
    FAULTS "LTR of a data segment is #GP", GP, KDATA, ltr %ax
    FAULTS "LLDT of a data segment is #GP", GP, KDATA, lldt %ax
    xorl %eax, %eax
    FAULTS "LLDT of null", NOTHING, 0, lldt %ax
    ret

/* QEMU's TCG does not know #AC. */
alignment:
    SET_CR cr0, CR0_AM
    movq $scratch + 1 + USER, %rbx
    movq $2 | AC, user_rflags
    USER_FAULTS "misaligned access with AC and AM is #AC", AC_VEC, 0, movl (%rbx), %eax
    USER_FAULTS "misaligned 16-bit store", AC_VEC, 0, movw %ax, (%rbx)
    USER_OK "a byte is never misaligned", movb (%rbx), %al
    USER_FAULTS "MOVUPS of a misaligned operand", AC_VEC, 0, movups 3(%rbx), %xmm0
    USER_OK "MOVUPS of an aligned operand", movups -1(%rbx), %xmm0
    USER_FAULTS "a misaligned quadword", AC_VEC, 0, movq 3(%rbx), %rax
    USER_FAULTS "a misaligned x87 operand of ten bytes", AC_VEC, 0, fldt 3(%rbx)
    USER_FAULTS "a misaligned environment", AC_VEC, 0, fnstenv 1(%rbx)
    USER_FAULTS "a misaligned environment to load", AC_VEC, 0, fldenv 1(%rbx)
    movq %rbx, %rdi
    movq %rbx, %rsi
    USER_FAULTS "a misaligned string", AC_VEC, 0, stosl
    movl $2, %ecx
    USER_FAULTS "a repeated one", AC_VEC, 0, rep movsw
    USER_OK "a string of bytes", movsb
    USER_FAULTS "a locked instruction", AC_VEC, 0, lock incl (%rbx)
    USER_OK "aligned access with AC", movl -1(%rbx), %eax
    movq $2, user_rflags
    USER_OK "misaligned access without AC", movl (%rbx), %eax
    CLEAR_CR cr0, CR0_AM
    movq $2 | AC, user_rflags
    USER_OK "misaligned access without CR0.AM", movl (%rbx), %eax
    movq $2, user_rflags
    SET_CR cr0, CR0_AM
    pushq $2 | AC
    popfq
    movq $scratch + 1, %rbx
    FAULTS "the supervisor may misalign", NOTHING, 0, movl (%rbx), %eax
    pushq $2
    popfq
    CLEAR_CR cr0, CR0_AM
    ret

x87_error:
    fninit
    movw $0x37b, scratch /* zero divide unmasked */
    fldcw scratch
    fld1
    fldz
    FAULTS "the x87 instruction that divides by zero does not fault", NOTHING, 0, fdivr %st(1), %st
    FAULTS "the next waiting one is #MF", MF, 0, fld1
    FAULTS "so is FWAIT", MF, 0, fwait
    FAULTS "not FNSTSW", NOTHING, 0, fnstsw %ax
    andl $0x80ff, %eax
    CHECK_EQ "status: ES, B and ZE", %rax, 0x8084
    FAULTS "FNCLEX clears it", NOTHING, 0, fnclex
    FAULTS "then nothing is pending", NOTHING, 0, fwait
    fninit
    ret

simd_error:
    movl $0x1d80, scratch /* zero divide unmasked */
    ldmxcsr scratch
    xorps %xmm0, %xmm0
    movl $0x3f800000, scratch + 16
    movss scratch + 16, %xmm1
    FAULTS "unmasked SIMD zero divide is #XM", XM, 0, divss %xmm0, %xmm1
    USER_FAULTS "#XM in a program", XM, 0, divss %xmm0, %xmm1
    movd %xmm1, %eax
    CHECK_EQ "#XM keeps the destination", %rax, 0x3f800000
    stmxcsr scratch
    movl scratch, %eax
    CHECK_EQ "#XM sets the sticky flag", %rax, 0x1d84
    CLEAR_CR cr4, CR4_OSXMMEXCPT
    FAULTS "without CR4.OSXMMEXCPT it is #UD", UD, 0, divss %xmm0, %xmm1
    SET_CR cr4, CR4_OSXMMEXCPT
    movl $0x1f80, scratch
    ldmxcsr scratch
    movl $0x10000, scratch
    FAULTS "LDMXCSR of reserved bits is #GP", GP, 0, ldmxcsr scratch
    ret

/* An exception in a handler, and back to the first one's place. */
nested:
    movq $nested_hook, exc_hook + 8 * BP
    movl $7, %ebx
    int3
    addl $1, %ebx
    movq $0, exc_hook + 8 * BP
    CHECK_EQ "a handler that faults itself returns", %rbx, 8
    CHECK_EQ "both handlers ran", nested_count, 2
    ret
nested_hook:
    incq nested_count
    movq $nested_hook2, exc_hook + 8 * UD
    ud2
    movq $0, exc_hook + 8 * UD
    movl $1, %eax
    ret
nested_hook2:
    incq nested_count
    addq $2, F_RIP(%rdi)
    movl $1, %eax
    ret

    .bss
    .balign 64
scratch: .skip 1024
nested_count: .skip 8
