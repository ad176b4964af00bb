/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Real mode, second part (real.S): limits, strings, segments larger than 64 KB ("unreal mode"),
 * 16-bit protected mode, code that changes itself (SDM vol. 3, chapter 21).
 */
#include "guest.inc"
#include "real.inc"

    .text
    .globl guest_main
guest_main:
    pushq %rbp
    call set_up_real
    call limits
    call strings
    call unreal
    call protected
    call changed
    popq %rbp
    ret

/* ---- limits: 64 KB */
limits:
    movb $0x90, 0x2fffe /* nop; nop; and then nothing */
    movb $0x90, 0x2ffff
    movb $0xb8, 0x3ffff /* an instruction over the end */
    movq $OFF(rm_limits), %rdi
    call run_real
    CHECK16 "a word at FFFF is #GP", li1, 13
    CHECK16 "a byte is none", li2, 0xffff
    CHECK16 "a word at FFFF of SS is #SS", li3, 12
    CHECK16 "a dword at FFFE", li4, 13
    CHECK16 "an offset above 64 KB", li5, 13
    CHECK16 "above 64 KB of SS", li6, 12
    CHECK16 "LODSW at FFFF", li7, 13
    CHECK16 "a jump above 64 KB", li8, 13
    CHECK16 "a far jump above 64 KB", li9, 13
    CHECK16 "a return above 64 KB", li10, 13
    CHECK16 "code that runs over the end", li11, 13
    CHECK16 "at FFFF + 1", li11+2, 0
    CHECK16 "an instruction over the end", li12, 13
    CHECK16 "at FFFF", li12+2, 0xffff
    CHECK16 "LES at FFFE", li13, 13
    CHECK16 "a word written at FFFF", li14, 13
    CHECK16 "ADD to memory at FFFF", li15, 13
    CHECK16 "FXSAVE up to the end", li16, 0xffff
    CHECK16 "FXSAVE over the end", li17, 13
    ret

    REAL
rm_limits:
    movw $0xffff, %bx
    RM_FAULTS li1, movw (%bx), %ax
    RM_FAULTS li2, movb (%bx), %al
    movw $0xffff, %bp
    RM_FAULTS li3, movw (%bp), %ax
    RM_FAULTS li4, movl 0xfffe, %eax
    movl $0x10000, %ecx
    RM_FAULTS li5, addr32 movb (%ecx), %al
    movl $0x10000, %ebp
    RM_FAULTS li6, addr32 movb (%ebp), %al
    movw $0xffff, %si
    RM_FAULTS li7, lodsw
    RM_FAULTS li8, .byte 0x66, 0xe9, 0, 0, 1, 0
    RM_FAULTS li9, .byte 0x66, 0xea, 0, 0, 1, 0, 0, 0x10
    pushl $0x10000
    RM_FAULTS li10, retl
    addw $4, %sp
    movw $OFF(1f), OFF(rm_resume)
    movw $-1, OFF(rm_vector)
    ljmpw $0x2000, $0xfffe
1:  movw OFF(rm_vector), %ax
    movw %ax, OFF(li11)
    movw OFF(rm_ip), %ax
    movw %ax, OFF(li11)+2
    movw $OFF(1f), OFF(rm_resume)
    movw $-1, OFF(rm_vector)
    ljmpw $0x3000, $0xffff
1:  movw OFF(rm_vector), %ax
    movw %ax, OFF(li12)
    movw OFF(rm_ip), %ax
    movw %ax, OFF(li12)+2
    RM_FAULTS li13, lesw 0xfffe, %bx
    RM_FAULTS li14, movw %ax, (%bx)
    RM_FAULTS li15, addw %ax, (%bx)
    movw $0x3000, %ax
    movw %ax, %es
    RM_FAULTS li16, fxsave %es:0xfe00
    movw $0x3000, %ax
    movw %ax, %es
    RM_FAULTS li17, fxsave %es:0xfe10
    ret
    .balign 4
li1: .word 0, 0
li2: .word 0, 0
li3: .word 0, 0
li4: .word 0, 0
li5: .word 0, 0
li6: .word 0, 0
li7: .word 0, 0
li8: .word 0, 0
li9: .word 0, 0
li10: .word 0, 0
li11: .word 0, 0
li12: .word 0, 0
li13: .word 0, 0
li14: .word 0, 0
li15: .word 0, 0
li16: .word 0, 0
li17: .word 0, 0
    END_REAL

/* ---- strings */
strings:
    movq $0x20000, %rdi
    movl $0x10000, %ecx
    movb $0x11, %al
    rep stosb
    movq $OFF(rm_strings), %rdi
    call run_real
    CHECK16 "REP STOSB over the end wraps", str1, 8
    CHECK16 "before it", str2, 0x2222
    CHECK16 "and behind", str3, 0x2222
    CHECK16 "but no further", str4, 0x1111
    CHECK16 "REP MOVSW", str5, 0x5678
    CHECK16 "SI", str6, 4
    CHECK16 "the upper half of ESI stays", str7, 0x4444
    CHECK16 "REP with CX = 0 and a larger ECX", str8, 0x1111
    CHECK16 "REPNE SCASB", str9, 3
    CHECK16 "REPE CMPSB backwards", str10, 2
    CHECK16 "LODSL with 32-bit addresses", str11, 0x5678
    CHECK16 "MOVSB through ES", str12, 0x22
    CHECK16 "INSB and OUTSB", str13, 0xffff
    ret

    REAL
rm_strings:
    movw $0x2000, %ax
    movw %ax, %es
    movw $0xfff8, %di
    movw $16, %cx
    movb $0x22, %al
    rep stosb
    movw %di, OFF(str1)
    movw %es:0xfffe, %ax
    movw %ax, OFF(str2)
    movw %es:6, %ax
    movw %ax, OFF(str3)
    movw %es:8, %ax
    movw %ax, OFF(str4)
    movl $0x44440000+OFF(str_words), %esi
    movw $0x100, %di
    movw $2, %cx
    rep movsw
    movw %es:0x102, %ax
    movw %ax, OFF(str5)
    movw %si, %ax
    subw $OFF(str_words), %ax
    movw %ax, OFF(str6)
    shrl $16, %esi
    movw %si, OFF(str7)
    movl $0x10000, %ecx
    movw $0x200, %di
    rep stosw
    movw %es:0x200, %ax
    movw %ax, OFF(str8)
    movw $0, %di
    movw $20, %cx
    movb $0x22, %al
    std
    repe scasb /* 0, then FFFF down to FFF8: found no other after 9 */
    cld
    movw %ds, %ax
    movw %ax, %es
    movw $OFF(str_text), %di
    movw $20, %cx
    movb $'d', %al
    repne scasb
    subw $OFF(str_text)+1, %di
    movw %di, OFF(str9)
    movw $OFF(str_text)+5, %si
    movw $OFF(str_other)+5, %di
    movw $6, %cx
    std
    repe cmpsb
    cld
    movw %cx, OFF(str10)
    movl $OFF(str_words), %esi
    addr32 lodsl
    shrl $16, %eax
    movw %ax, OFF(str11)
    movw $0x2000, %ax
    movw %ax, %fs
    movw $0xfff9, %si
    movw $OFF(str12), %di
    movsb %fs:(%si), %es:(%di)
    movw $0x80, %dx
    movw $OFF(str_text), %si
    outsb
    movw $1, %cx
    movw $OFF(str13), %di
    movw $0x5555, OFF(str13)
    movw $0xfff0, %dx
    rep insw
    ret
    .balign 4
str_words: .word 0x1234, 0x5678
str_text: .ascii "abcdef"
str_other: .ascii "abxdef"
    .balign 2
str1: .word 0
str2: .word 0
str3: .word 0
str4: .word 0
str5: .word 0
str6: .word 0
str7: .word 0
str8: .word 0
str9: .word 0
str10: .word 0
str11: .word 0
str12: .word 0
str13: .word 0
    END_REAL

/* ---- a segment that keeps a limit of 4 GB in real mode */
unreal:
    movl $0x77665544, 0x400000
    movq $OFF(rm_unreal), %rdi
    call run_real
    CHECK16 "4 MB through DS", un1, 0x5544
    CHECK16 "after DS was loaded again", un2, 0x7766
    CHECK16 "a write", un3, 0xffff
    CHECK16 "ES has its 64 KB", un4, 13
    CHECK16 "a word at FFFF with 16-bit addresses", un5, 0xffff
    CHECK16 "REP STOSL above 1 MB", un6, 0xffff
    movl 0x400010, %eax
    CHECK_EQ "it is there", %rax, 0x12345678
    movl 0x400020, %eax
    CHECK_EQ "and the strings", %rax, 0x12345678
    movl 0x40003c, %eax
    CHECK_EQ "to the end", %rax, 0x12345678
    ret

    REAL
    .macro TO_UNREAL seg
    lgdtl OFF(un_gdt)
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    jmp 1f
1:  movw $FLAT16, %bx
    movw %bx, %\seg
    andb $0xfe, %al
    movl %eax, %cr0
    jmp 1f
1:
    .endm
rm_unreal:
    cli
    TO_UNREAL fs
    xorw %ax, %ax
    movw %ax, %fs
    movl $0x400000, %ebx
    addr32 movw %fs:(%ebx), %ax
    movw %ax, OFF(un1)
    movw $0x10, %ax
    movw %ax, %fs
    addr32 movw %fs:-0x100+2(%ebx), %ax
    movw %ax, OFF(un2)
    movl $0x12345678, %eax
    RM_FAULTS un3, addr32 movl %eax, %fs:-0xf0(%ebx)
    RM_FAULTS un4, addr32 movw %es:(%ebx), %ax
    movw $0xffff, %bx
    RM_FAULTS un5, movw %fs:(%bx), %ax
    TO_UNREAL es
    xorw %ax, %ax
    movw %ax, %es
    movl $0x400020, %edi
    movl $8, %ecx
    movl $0x12345678, %eax
    RM_FAULTS un6, addr32 rep stosl
    ret
    .balign 4
un_gdt: .word 0xcf
    .long gdt
un1: .word 0
un2: .word 0
un3: .word 0, 0
un4: .word 0, 0
un5: .word 0, 0
un6: .word 0, 0
    END_REAL

/* ---- 16-bit protected mode and back */
#define CODE32_BASED (SPARE_SEL + 11 * 8)
#define SMALL16 (SPARE_SEL + 12 * 8)
protected:
    movabsq $0x00409b010000ffff, %rax
    movq %rax, gdt+CODE32_BASED
    movabsq $0x000093010000000f, %rax
    movq %rax, gdt+SMALL16
    movw $OFF(pr_words), gdt+SMALL16+2
    movq $OFF(rm_protected), %rdi
    call run_real
    CHECK16 "CS in 16-bit protected mode", pr1, CODE16
    CHECK16 "a far call there and back", pr2, 2
    CHECK16 "32-bit code with a base", pr3, 4
    CHECK16 "its EIP", pr4, 0
    CHECK16 "a segment of 16 bytes", pr5, 0x5678
    CHECK16 "LSL", pr6, 15
    CHECK16 "a 16-bit stack in 32-bit code", pr7, 0x8888
    ret

    REAL
rm_protected:
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpw $CODE16, $OFF(1f)
1:  movw $DATA16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw %cs, OFF(pr1)
    movw $1, %ax
    lcallw $CODE16, $OFF(2f)
    movw %ax, OFF(pr2)
    lcallw $CODE32_BASED, $OFF(3f)
    movw $SMALL16, %ax
    movw %ax, %fs
    movw %fs:14, %ax
    movw %ax, OFF(pr5)
    movw $SMALL16, %ax
    lslw %ax, %bx
    movw %bx, OFF(pr6)
    movl %cr0, %eax
    andb $0xfe, %al
    movl %eax, %cr0
    ljmpw $REAL_SEG, $OFF(1f)
1:  movw %cs, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw %ax, %fs
    ret
2:  incw %ax
    lretw
    .code32
3:  movl $4, OFF(pr3)
    call 4f
4:  popl %eax
    subl $OFF(4b), %eax
    movl %eax, OFF(pr4)
    movl %esp, %edx
    orl $0x88880000, %esp
    pushl $5
    popl %eax
    shrl $16, %esp
    movw %sp, OFF(pr7)
    movl %edx, %esp
    .byte 0x66
    lret
    .code16
    .balign 4
pr_words: .word 0, 0, 0, 0, 0, 0, 0, 0x5678
pr1: .word 0
pr2: .word 0
pr3: .word 0, 0
pr4: .word 1, 1
pr5: .word 0
pr6: .word 0
pr7: .word 0
    END_REAL

/* ---- code in real mode that changes itself */
changed:
    movq $OFF(rm_changed), %rdi
    call run_real
    CHECK16 "an immediate that is written", ch1, 300
    CHECK16 "the next instruction", ch2, 0x4242
    ret

    REAL
rm_changed:
    xorw %bx, %bx
    xorw %dx, %dx
1:  movb %bl, OFF(2f)+1
    jmp 2f
2:  movw $0, %ax
    subw %bx, %ax
    orw %ax, %dx
    incw %bx
    cmpw $200, %bx
    jb 1b
    movw $300, %ax
    subw %dx, %ax
    movw %ax, OFF(ch1)
    movw $0x4242, OFF(3f)+1
3:  movw $0, %ax
    movw %ax, OFF(ch2)
    ret
    .balign 2
ch1: .word 0
ch2: .word 0
real_end:
    END_REAL
