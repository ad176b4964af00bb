/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The CPUID instruction (Intel SDM vol. 2, CPUID). A file of its own because it is compiled with
 * general registers only and must not call a library: the bt engine calls it while the guest's
 * vector state is in the host's registers.
 */
#include "x86/cpuid.h"

#define CR4_OSXSAVE (1u << 18)
#define CR4_PKE (1u << 22)

static const struct cpuid_leaf *find(const struct cpuid_table *t, uint32_t leaf, uint32_t subleaf)
{
    for (unsigned i = 0; i < t->count; i++) {
        const struct cpuid_leaf *l = &t->leaf[i];

        if (l->leaf == leaf && (!l->indexed || l->subleaf == subleaf))
            return l;
    }
    return (const struct cpuid_leaf *)0;
}

/* The area that XSAVE needs for the components of `mask` (Intel SDM vol. 1, 13.4.2 and 13.4.3). */
static uint32_t xsave_size(const struct cpuid_table *t, uint64_t mask, bool compacted)
{
    uint32_t size = 576;

    for (uint32_t i = 2; i < 63; i++) {
        const struct cpuid_leaf *l;

        if (!(mask >> i & 1))
            continue;
        l = find(t, 0xd, i);
        if (l == (const struct cpuid_leaf *)0)
            continue;
        if (compacted)
            size = ((l->ecx & 2) ? (size + 63) & ~63u : size) + l->eax;
        else if (l->ebx + l->eax > size)
            size = l->ebx + l->eax;
    }
    return size;
}

static void apic_bit(const struct cpuid_dynamic *dyn, uint32_t *edx)
{
    if (!dyn->apic_enabled)
        *edx &= ~(1u << 9);
}

static void xsave_leaf(const struct cpuid_table *t, const struct cpuid_dynamic *dyn,
                       uint32_t subleaf, uint32_t out[4])
{
    if (subleaf == 0)
        out[1] = xsave_size(t, dyn->xcr0, false);
    else if (subleaf == 1 && (out[0] & 2)) /* XSAVEC */
        out[1] = xsave_size(t, dyn->xcr0 | dyn->xss, true);
}

static void dynamic(const struct cpuid_table *t, const struct cpuid_dynamic *dyn, uint32_t leaf,
                    uint32_t subleaf, uint32_t out[4])
{
    switch (leaf) {
    case 1:
        out[1] |= dyn->apic_id << 24;
        if (dyn->cr4 & CR4_OSXSAVE)
            out[2] |= 1u << 27;
        apic_bit(dyn, &out[3]);
        break;
    case 7:
        if (subleaf == 0 && (dyn->cr4 & CR4_PKE))
            out[2] |= 1u << 4;
        break;
    case 0xb:
        out[2] = (out[2] & ~0xffu) | (subleaf & 0xff);
        out[3] = dyn->apic_id;
        break;
    case 0xd:
        xsave_leaf(t, dyn, subleaf, out);
        break;
    case 0x80000001u:
        apic_bit(dyn, &out[3]);
        break;
    case 0x8000001eu:
        out[0] = dyn->apic_id;
        out[1] |= dyn->apic_id >> t->thread_bits & 0xff; /* the core */
        out[2] |= dyn->apic_id >> t->socket_shift & 0xff;
        break;
    }
}

/* A leaf above the range: AMD gives zeros; Intel gives the highest basic leaf. `t->leaf[0]` is leaf
 * 0: EAX its maximum, EBX the first letters of the vendor. */
static uint32_t effective_leaf(const struct cpuid_table *t, uint32_t leaf)
{
    bool intel = t->leaf[0].ebx == 0x756e6547u;

    if (!intel || t->count == 0 || (leaf >= 0x40000000u && leaf <= 0x400000ffu))
        return leaf;
    if (leaf <= t->leaf[0].eax || (leaf >= 0x80000000u && leaf <= 0x80000008u))
        return leaf;
    return t->leaf[0].eax;
}

void cpuid_execute(const struct cpuid_table *t, const struct cpuid_dynamic *dyn, uint32_t leaf,
                   uint32_t subleaf, uint32_t out[4])
{
    const struct cpuid_leaf *l;

    leaf = effective_leaf(t, leaf);
    l = find(t, leaf, subleaf);
    if (l == (const struct cpuid_leaf *)0) {
        out[0] = out[1] = out[2] = out[3] = 0;
        if (leaf == 0xb) /* a level too high: type 0, but the ids are there */
            dynamic(t, dyn, leaf, subleaf, out);
        return;
    }
    out[0] = l->eax;
    out[1] = l->ebx;
    out[2] = l->ecx;
    out[3] = l->edx;
    dynamic(t, dyn, leaf, subleaf, out);
}
