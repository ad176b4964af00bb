/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The fabric between the local APICs: who gets a message. Intel SDM vol. 3, 11.6, 11.11. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "dev/apic_internal.h"

struct lapic *apic_bus_lapic(struct apic_bus *b, unsigned vcpu)
{
    return &b->lapics[vcpu];
}

void apic_bus_set_pic(struct apic_bus *b, void *pic)
{
    b->cfg.pic = pic;
}

int apic_bus_on_eoi(struct apic_bus *b, apic_eoi_fn *fn, void *opaque)
{
    if (b->eoi_count == APIC_EOI_SINKS)
        return -ENOSPC;
    b->eoi[b->eoi_count].fn = fn;
    b->eoi[b->eoi_count].opaque = opaque;
    b->eoi_count++;
    return 0;
}

void apic_bus_end_of_interrupt(struct apic_bus *b, uint8_t vector)
{
    for (unsigned i = 0; i < b->eoi_count; i++)
        b->eoi[i].fn(b->eoi[i].opaque, vector);
}

static bool matches(const struct lapic *l, const struct apic_message *m)
{
    return atomic_load_explicit(&l->enabled, memory_order_relaxed) &&
           lapic_chip_match(atomic_load_explicit(&l->x2, memory_order_relaxed),
                            atomic_load_explicit(&l->id, memory_order_relaxed),
                            atomic_load_explicit(&l->ldr, memory_order_relaxed),
                            atomic_load_explicit(&l->dfr, memory_order_relaxed), m->dest,
                            m->logical);
}

/* Among those addressed the one with the lowest processor priority; equals take turns. */
static void deliver_lowest(struct apic_bus *b, const struct apic_message *m)
{
    unsigned start = atomic_fetch_add_explicit(&b->next_lowest, 1, memory_order_relaxed);
    struct lapic *best = NULL;
    unsigned best_class = 16;

    for (unsigned i = 0; i < b->cfg.cpus; i++) {
        struct lapic *l = &b->lapics[(start + i) % b->cfg.cpus];
        unsigned class = atomic_load_explicit(&l->ppr, memory_order_relaxed) >> 4;

        if (class < best_class && matches(l, m) &&
            atomic_load_explicit(&l->accepts, memory_order_relaxed)) {
            best = l;
            best_class = class;
        }
    }
    if (best != NULL)
        lapic_deliver(best, m);
}

static bool addressed(const struct lapic *l, const struct apic_message *m, unsigned from)
{
    switch ((enum apic_shorthand)m->shorthand) {
    case APIC_TO_SELF:
        return l->vcpu == from;
    case APIC_TO_ALL:
        return true;
    case APIC_TO_OTHERS:
        return l->vcpu != from;
    case APIC_TO_DEST:
        break;
    }
    return matches(l, m);
}

/* As long as no guest has written an id, the destination is the vCPU's number. One that it has
 * written can be that of several APICs: all of them get the message. */
static void deliver_physical(struct apic_bus *b, const struct apic_message *m)
{
    if (!atomic_load_explicit(&b->renamed, memory_order_relaxed)) {
        if (m->dest < b->cfg.cpus)
            lapic_deliver(&b->lapics[m->dest], m);
        return;
    }
    for (unsigned i = 0; i < b->cfg.cpus; i++)
        if (atomic_load_explicit(&b->lapics[i].id, memory_order_relaxed) == m->dest)
            lapic_deliver(&b->lapics[i], m);
}

void apic_bus_deliver(struct apic_bus *b, const struct apic_message *m, unsigned from)
{
    if (m->mode == APIC_LOWEST && m->shorthand == APIC_TO_DEST && m->logical) {
        deliver_lowest(b, m);
        return;
    }
    if (m->shorthand == APIC_TO_DEST && !m->logical && m->dest != APIC_BROADCAST) {
        deliver_physical(b, m);
        return;
    }
    for (unsigned i = 0; i < b->cfg.cpus; i++)
        if (addressed(&b->lapics[i], m, from))
            lapic_deliver(&b->lapics[i], m);
}

/* SDM 11.11.1 and 11.11.2. The redirection hint with a logical destination means one processor. */
static void msi_write(void *opaque, uint64_t addr, uint32_t data)
{
    struct apic_bus *b = opaque;
    struct apic_message m = {
        .dest = (uint32_t)(addr >> 12 & 0xff),
        .logical = (addr >> 2 & 1) != 0,
        .vector = (uint8_t)data,
        .mode = data >> 8 & 7,
        .level = (data >> 15 & 1) != 0,
        .deassert = (data >> 14 & 3) == 2,
        .shorthand = APIC_TO_DEST,
    };

    if (addr >> 20 != APIC_MMIO_BASE >> 20) {
        log_guest("interrupt message to %#llx, which is no local APIC", (unsigned long long)addr);
        return;
    }
    if (m.dest == 0xff && !m.logical)
        m.dest = APIC_BROADCAST;
    if ((addr >> 3 & 1) != 0 && m.mode == APIC_FIXED)
        m.mode = APIC_LOWEST;
    apic_bus_deliver(b, &m, UINT32_MAX);
}

struct msi_sink apic_bus_msi(struct apic_bus *b)
{
    return (struct msi_sink){.send = msi_write, .opaque = b};
}

static void set_wire(struct apic_bus *b, unsigned lint, bool level)
{
    for (unsigned i = 0; i < b->cfg.cpus; i++)
        lapic_set_wire(&b->lapics[i], lint, level);
}

void apic_bus_set_intr(void *opaque, unsigned line, bool level)
{
    (void)line;
    set_wire(opaque, 0, level);
}

void apic_bus_set_nmi(void *opaque, unsigned line, bool level)
{
    (void)line;
    set_wire(opaque, 1, level);
}

void apic_bus_nmi(struct apic_bus *b, unsigned vcpu)
{
    struct apic_message m = {.mode = APIC_NMI};

    lapic_deliver(&b->lapics[vcpu], &m);
}

void apic_bus_destroy(struct apic_bus *b)
{
    if (b == NULL)
        return;
    for (unsigned i = 0; i < b->cfg.cpus; i++)
        lapic_finish(&b->lapics[i]);
    free(b->lapics);
    free(b);
}

int apic_bus_create(const struct apic_bus_config *cfg, struct apic_bus **out)
{
    struct apic_bus *b;
    int rc = -ENOMEM;

    if (cfg->cpus == 0 || cfg->cpus > 255)
        return -EINVAL;
    b = calloc(1, sizeof(*b));
    if (b == NULL)
        return -ENOMEM;
    b->cfg = *cfg;
    b->cfg.cpus = 0; /* counts those that are set up, for the clean-up */
    b->lapics = aligned_alloc(APIC_CACHE_LINE, cfg->cpus * sizeof(*b->lapics));
    if (b->lapics == NULL)
        goto fail;
    memset(b->lapics, 0, cfg->cpus * sizeof(*b->lapics));
    for (; b->cfg.cpus < cfg->cpus; b->cfg.cpus++) {
        rc = lapic_setup(&b->lapics[b->cfg.cpus], b, b->cfg.cpus);
        if (rc != 0)
            goto fail;
    }
    *out = b;
    return 0;
fail:
    apic_bus_destroy(b);
    return rc;
}
