/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Accesses to devices by place: see iostat.h. */
#include "machine/iostat.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define PORTS 0x10000u
#define PAGES 256u /* slots for pages; what finds none is counted together */
#define TOP 10u

struct iostat {
    struct {
        _Atomic uint64_t page; /* number of the page + 1; 0: free. Never changes again. */
        _Atomic uint64_t count;
    } mmio[PAGES];
    _Atomic uint64_t others;
    _Atomic uint64_t port[PORTS];
};

int iostat_create(struct iostat **out)
{
    *out = calloc(1, sizeof(**out));
    return *out == NULL ? -ENOMEM : 0;
}

void iostat_destroy(struct iostat *s)
{
    free(s);
}

static void add(_Atomic uint64_t *count)
{
    atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

void iostat_port(struct iostat *s, uint16_t port)
{
    add(&s->port[port]);
}

void iostat_mmio(struct iostat *s, gpa_t gpa)
{
    uint64_t key = (gpa >> 12) + 1;
    unsigned at = (unsigned)(key * 0x9e3779b97f4a7c15u >> 32);

    for (unsigned i = 0; i < PAGES; i++) {
        unsigned k = (at + i) % PAGES;
        uint64_t found = 0;

        if (atomic_compare_exchange_strong(&s->mmio[k].page, &found, key) || found == key) {
            add(&s->mmio[k].count);
            return;
        }
    }
    add(&s->others);
}

struct place {
    uint64_t addr, count;
};

/* Keeps the TOP largest, largest first. */
static void rank(struct place *top, struct place p)
{
    for (unsigned i = 0; i < TOP && p.count != 0; i++) {
        if (top[i].count < p.count) {
            struct place less = top[i];

            top[i] = p;
            p = less;
        }
    }
}

void iostat_counters(struct iostat *s, const char *(*name)(void *opaque, bool mmio, uint64_t addr),
                     void *name_opaque, counter_fn *fn, void *opaque)
{
    struct place top[2][TOP] = {0};
    char text[80];

    for (unsigned i = 0; i < PORTS; i++)
        rank(top[0], (struct place){i, atomic_load(&s->port[i])});
    for (unsigned i = 0; i < PAGES; i++)
        rank(top[1], (struct place){(atomic_load(&s->mmio[i].page) - 1) << 12,
                                    atomic_load(&s->mmio[i].count)});
    for (unsigned kind = 0; kind < 2; kind++) {
        for (unsigned i = 0; i < TOP && top[kind][i].count != 0; i++) {
            const struct place *p = &top[kind][i];
            const char *device = name(name_opaque, kind, p->addr);

            snprintf(text, sizeof(text), "%#llx %s", (unsigned long long)p->addr,
                     device != NULL ? device : "(nothing)");
            fn(opaque, &(struct counter){kind == 0 ? "ports" : "memory-mapped registers", text, "",
                                         p->count});
        }
    }
    if (atomic_load(&s->others) != 0)
        fn(opaque, &(struct counter){"memory-mapped registers", "other pages", "",
                                     atomic_load(&s->others)});
}
