/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ends of interrupts without an access to the local APIC, as KVM has them
 * (Documentation/virt/kvm/x86/msr.rst, MSR_KVM_PV_EOI_EN). The guest names a word of its memory. If
 * nothing else waits when an interrupt is taken, and no I/O APIC has to hear of its end, bit 0 of
 * that word is set: the end is *deferred*. The guest clears the bit instead of writing to EOI.
 *
 *   take a vector --> bit set, pv_deferred
 *      something arrives, or the vCPU looks at its local APIC: settle
 *         bit clear: the interrupt has ended, now here, too
 *         bit set:   it is cleared, and the guest will write to EOI
 *
 * While an end is deferred the in-service register may show too much. So whatever arrives then
 * counts as pending, and the vCPU's thread settles before it asks what really is.
 */
#include "base/log.h"
#include "dev/apic_internal.h"

#define ENABLED 1u
#define ALIGNED 3u

static gpa_t word_of(uint64_t msr)
{
    return msr & ~(uint64_t)ALIGNED;
}

/* Has the guest cleared the bit? If not, it is cleared here. */
static bool ended_in(struct lapic *l, gpa_t word)
{
    struct ram *ram = l->bus->cfg.ram; /* NULL: a loaded state is of a machine that had some */
    uint8_t flags = 0;
    bool there = ram != NULL && ram_read(ram, word, &flags, 1) == 0;

    if (there && !(flags & 1))
        return true;
    flags &= (uint8_t)~1u;
    if (!there || ram_write(ram, word, &flags, 1) < 0)
        log_guest("vCPU %u: no memory at %#llx for ends of interrupts", l->vcpu,
                  (unsigned long long)word);
    return false;
}

/* Only this thread touches the word and begins or ends the deferment, but for an INIT, which drops
 * all: then nothing is in service any more, and nobody's word is looked at. */
void lapic_pv_settle_now(struct lapic *l)
{
    struct lapic_effect fx = {.eoi = -1};
    bool ended;
    gpa_t word;

    lapic_lock(l);
    ended = l->chip.pv_deferred;
    word = word_of(l->chip.pv_eoi);
    lock_drop(&l->lock);
    if (ended)
        ended = ended_in(l, word);
    lapic_lock(l);
    if (ended && l->chip.pv_deferred)
        (void)lapic_chip_write(&l->chip, LAPIC_EOI, 0, 0, &fx);
    l->chip.pv_deferred = false;
    lapic_unlock(l);
}

bool lapic_interrupt_asked(struct lapic *l)
{
    if (!lapic_interrupt_pending(l))
        return false;
    lapic_pv_settle(l);
    return lapic_interrupt_pending(l);
}

void lapic_pv_defer(struct lapic *l, uint64_t msr)
{
    const uint8_t flags = 1;

    if (l->bus->cfg.ram == NULL || ram_write(l->bus->cfg.ram, word_of(msr), &flags, 1) < 0)
        return;
    lapic_lock(l);
    l->chip.pv_deferred = l->chip.pv_eoi == msr;
    lapic_unlock(l);
}

bool lapic_pv_write(struct lapic *l, uint64_t value)
{
    const struct ram *ram = l->bus->cfg.ram;

    if (ram == NULL || (value & ALIGNED & ~ENABLED) ||
        ((value & ENABLED) && ram_ptr(ram, word_of(value), 4, true) == NULL))
        return false;
    lapic_pv_settle(l);
    lapic_lock(l);
    l->chip.pv_eoi = value;
    lapic_unlock(l);
    return true;
}
