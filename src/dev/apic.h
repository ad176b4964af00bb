/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The local APICs of a machine and the fabric between them: delivery of interrupt messages by
 * destination (inter-processor interrupts, MSI, I/O APIC), the wires LINT0 (8259 INTR) and LINT1
 * (NMI). Intel SDM vol. 3, chapter 11.
 *
 * vCPU n has APIC id n (until the guest writes another, which it can in xAPIC mode); vCPU 0 is the
 * boot processor. Messages and wires may come from any thread; functions with a struct lapic are
 * for that vCPU's own thread unless noted. Each local APIC has its own lock; nothing is called with
 * it held but `tsc_now` and `tsc_khz`, which must not call back.
 *
 * How a vCPU learns of an interrupt: `kick` is called (from any thread, also the vCPU's own) when
 * something became deliverable that was not before: an interrupt (lapic_interrupt_pending turned
 * true) or an NMI, the first or a second (lapic_nmi_take). There is no second kick for what is
 * still pending, so the vCPU also looks whenever it becomes able to take interrupts.
 */
#ifndef DOPPEL_DEV_APIC_H
#define DOPPEL_DEV_APIC_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/pin.h"
#include "dev/device.h"
#include "loop/loop.h"
#include "mem/ram.h"

#define APIC_MMIO_BASE 0xfee00000u
#define APIC_MMIO_SIZE 0x1000u
/* What the APIC timer counts before its divider (one tick per ns), for CPUID leaves 0x15 (ECX) and
 * 0x40000010 (EBX, in kHz) and the kernel's calibration. */
#define APIC_TIMER_HZ 1000000000u

struct apic_cpu_ops {
    /* vCPU must look at interrupts; any thread. */
    void (*kick)(void *opaque, unsigned vcpu);
    /* An INIT arrived (the local APIC is reset already): lapic_init_take. Any thread. */
    void (*init)(void *opaque, unsigned vcpu);
    /* A start-up message arrived: lapic_sipi_take. Any thread. */
    void (*sipi)(void *opaque, unsigned vcpu, uint8_t vector);
    uint64_t (*tsc_now)(void *opaque, unsigned vcpu); /* the guest's TSC; any thread */
    uint64_t (*tsc_khz)(void *opaque);                /* its frequency; asked when needed */
    /* The CPU takes an ExtINT: INTA cycle of the 8259 (pic_acknowledge). NULL: no 8259. */
    int (*extint_ack)(void *pic);
};

struct apic_bus_config {
    unsigned cpus; /* 1 - 255 */
    struct loop *loop;
    struct vclock *clock;
    struct ram *ram; /* for what guests share with their local APIC; NULL: nothing */
    struct apic_cpu_ops ops;
    void *opaque; /* of ops */
    void *pic;    /* of ops.extint_ack */
};

struct apic_bus;
struct lapic;

int apic_bus_create(const struct apic_bus_config *cfg, struct apic_bus **out) MUST_CHECK;
/* After all devices that send messages; no vCPU and no loop runs. Destroys the local APICs too
 * (a device_ops.destroy of a single local APIC does nothing). */
void apic_bus_destroy(struct apic_bus *b);
struct lapic *apic_bus_lapic(struct apic_bus *b, unsigned vcpu); /* lives as long as the bus */
struct device lapic_device(struct lapic *l);

/* The 8259 can be created only after the bus, its pin being apic_bus_set_intr. Before the machine
 * runs. */
void apic_bus_set_pic(struct apic_bus *b, void *pic);

/* Where end-of-interrupt broadcasts for level-triggered vectors go (ioapic_eoi). At most 4; before
 * the machine runs. */
typedef void apic_eoi_fn(void *opaque, uint8_t vector);
int apic_bus_on_eoi(struct apic_bus *b, apic_eoi_fn *fn, void *opaque) MUST_CHECK;

/* The sink of MSIs: PCI devices, HPET and I/O APIC. Any thread. */
struct msi_sink apic_bus_msi(struct apic_bus *b);
/* LINT0 and LINT1 of all local APICs; fit struct pin, opaque is the struct apic_bus. Any thread. */
void apic_bus_set_intr(void *opaque, unsigned line, bool level);
void apic_bus_set_nmi(void *opaque, unsigned line, bool level);
/* An NMI to one vCPU, whatever LINT1 says (debugger, watchdog). Any thread. */
void apic_bus_nmi(struct apic_bus *b, unsigned vcpu);

/* What struct engine_host asks for. */
bool lapic_interrupt_pending(const struct lapic *l); /* any thread; one load */
int lapic_interrupt_take(struct lapic *l);           /* vector, or -1 */
bool lapic_nmi_pending(const struct lapic *l);       /* any thread; one load */
bool lapic_nmi_take(struct lapic *l);
/* true once per INIT: the vCPU goes to its INIT state and waits for a start-up message. */
bool lapic_init_take(struct lapic *l);
/* The vector of a start-up message that came since the last INIT, once, or -1. For a vCPU that
 * waits for it: others do not ask. */
int lapic_sipi_take(struct lapic *l);
/* A performance counter overflowed. */
void lapic_perf_interrupt(struct lapic *l);
unsigned lapic_cr8_read(const struct lapic *l);
void lapic_cr8_write(struct lapic *l, unsigned value);

/* lapic_interrupt_pending on the vCPU's thread, where it takes into account what the guest has
 * ended in its memory (lapic_pv.c); elsewhere something may count as pending that then is not. */
bool lapic_interrupt_asked(struct lapic *l);

/* The end of the HLT that the vCPU is in, or else of its next one: KVM's KICK_CPU. Any thread. */
void lapic_unhalt(struct lapic *l);
bool lapic_unhalt_take(struct lapic *l); /* true once for one or more of them */

/* MSRs: IA32_APIC_BASE (0x1b), IA32_TSC_DEADLINE (0x6e0), x2APIC (0x800 - 0x8ff), KVM's for ends of
 * interrupts. false: #GP(0). */
#define APIC_PV_EOI_MSR 0x4b564d04u
static inline bool lapic_msr_owned(uint32_t index)
{
    return (index >= 0x800 && index <= 0x8ff) || index == 0x6e0 || index == 0x1b ||
           index == APIC_PV_EOI_MSR;
}
bool lapic_msr_read(struct lapic *l, uint32_t index, uint64_t *value);
bool lapic_msr_write(struct lapic *l, uint32_t index, uint64_t value);
bool lapic_enabled(const struct lapic *l); /* APIC_BASE bit 11, for CPUID; any thread */

/* The register page in xAPIC mode. A vCPU's access to [lapic_mmio_page, +4096) never reaches the
 * bus: the machine sends it here, since the page shows each vCPU its own APIC. UINT64_MAX when
 * there is no page (x2APIC mode or disabled). */
uint64_t lapic_mmio_page(const struct lapic *l);
uint64_t lapic_mmio_read(struct lapic *l, uint32_t offset, unsigned size);
void lapic_mmio_write(struct lapic *l, uint32_t offset, uint64_t value, unsigned size);

/* The guest's TSC jumped (write to IA32_TSC, restore): deadlines are computed anew. vCPU's thread
 * or vCPU stopped. */
void lapic_tsc_changed(struct lapic *l);

#endif
