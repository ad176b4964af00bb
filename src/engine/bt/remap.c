/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory that shows something else from now on: ROM or RAM, memory or devices.
 *
 * All that was derived from the regions is forgotten on the vCPU's own thread, in two steps. Data
 * follows at once, inside the access of the vCPU that caused the change: the TLB and the views are
 * emptied, while the regions by which the views were filled are still known. Where code is executed
 * from follows at the end of the running block. Translations stay: they belong to the backing.
 */
#include <stdlib.h>

#include "bt_internal.h"

static int larger_first(const void *a, const void *b)
{
    const struct ram_region *x = a, *y = b;

    return x->size != y->size ? (x->size < y->size ? 1 : -1) : x->base < y->base ? -1 : 1;
}

void bt_regions_load(struct translator *en)
{
    struct ram_region now[RAM_MAX_REGIONS];
    unsigned n = ram_regions(en->ram, now);

    qsort(now, n, sizeof(now[0]), larger_first);
    for (unsigned i = 0; i < n; i++) /* devices' writes are looked up meanwhile */
        en->region[i] = now[i];
    en->n_region = n;
    en->a20_mask = atomic_load(&en->machine->a20_off) ? ~(1ull << 20) : ~0ull;
}

void bt_remap(struct engine *en)
{
    for (unsigned i = 0; i < en->vcpus; i++) {
        if (en->vcpu[i] == NULL || en->vcpu[i]->ctx == NULL)
            continue;
        atomic_store(&en->vcpu[i]->ctx->remapped, REMAP_ALL);
        bt_kick_now(en->vcpu[i]->ctx);
    }
}

/* The gate is one more thing that decides what an address shows. Where it masks there are no views:
 * a large page may not be in one piece. */
void bt_a20(struct engine *en, bool on)
{
    if (atomic_exchange(&en->a20_off, !on) == on)
        bt_remap(en);
}

void bt_remap_data(struct bt_ctx *c)
{
    uint8_t all = REMAP_ALL;

    if (!atomic_compare_exchange_strong(&c->remapped, &all, REMAP_CODE))
        return;
    bt_view_forget(c);
    bt_regions_load(c->v->en);
    bt_tlb_flush(c, true);
}

bool bt_remap_code(struct bt_ctx *c)
{
    if (atomic_load(&c->remapped) == REMAP_NONE)
        return false;
    bt_remap_data(c);
    atomic_store(&c->remapped, REMAP_NONE);
    bt_exec_flush(c, true);
    c->exit_site = 0;
    return true;
}
