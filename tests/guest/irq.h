/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupt sources for the flat guests: the local APIC (memory mapped), the 8259 and the 8254.
 */
#ifndef TESTS_GUEST_IRQ_H
#define TESTS_GUEST_IRQ_H

#define APIC 0xfee00000 /* identity mapped, uncached */
#define APIC_TPR 0x80
#define APIC_EOI 0xb0
#define APIC_SVR 0xf0
#define APIC_IRR 0x200
#define APIC_ICR 0x300
#define APIC_LVT_TIMER 0x320
#define APIC_LINT0 0x350
#define APIC_TIMER_INIT 0x380
#define APIC_TIMER_NOW 0x390
#define APIC_TIMER_DIV 0x3e0

.macro APIC_WRITE reg, value
    movl $APIC+\reg, %eax
    movl $\value, (%rax)
.endm

/* Interrupts through the local APIC, its LINT0 as ExtINT for the 8259. */
.macro APIC_ON
    APIC_WRITE APIC_SVR, 0x1ff
    APIC_WRITE APIC_LINT0, 0x700
    APIC_WRITE APIC_TPR, 0
.endm

/* The CPU interrupts itself; the write is complete when the read returns. */
.macro SELF_IPI vector
    movl $APIC+APIC_ICR, %eax
    movl $0x44000+\vector, (%rax)
    movl (%rax), %eax
.endm

.macro OUT port, value
    movb $\value, %al
    outb %al, $\port
.endm

/* Both 8259s: vectors 0x20 and 0x28, everything masked but `mask0`'s zero bits on the first. */
.macro PIC_ON mask0
    OUT 0x20, 0x11
    OUT 0xa0, 0x11
    OUT 0x21, 0x20
    OUT 0xa1, 0x28
    OUT 0x21, 4
    OUT 0xa1, 2
    OUT 0x21, 1
    OUT 0xa1, 1
    OUT 0x21, \mask0
    OUT 0xa1, 0xff
.endm

/* Channel 0 of the 8254 as rate generator, 1193182 / `count` times a second. */
.macro PIT_ON count
    OUT 0x43, 0x34
    OUT 0x40, (\count)&0xff
    OUT 0x40, (\count)/256
.endm

#endif
