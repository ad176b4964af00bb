/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory slots: one for each region that shows memory; ROM is read-only for the guest, and its
 * writes come back as accesses to devices. A slot cannot change what it shows or how, so it is
 * deleted and made anew; a vCPU that looks meanwhile finds a device there, which is what a chipset
 * that switches under a running processor promises, too. The log of dirty pages goes with the slot:
 * one that is made anew while there is a log counts as written all over.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/log.h"
#include "kvm_internal.h"

enum { PAGE_SHIFT = 12 };

static int set_slot(struct engine *en, uint32_t slot, const struct ram_region *r, bool there)
{
    uint32_t flags = (r->readonly ? KVM_MEM_READONLY : 0) |
                     (en->dirty_log && !r->readonly ? KVM_MEM_LOG_DIRTY_PAGES : 0);
    struct kvm_userspace_memory_region region = {.slot = slot,
                                                 .flags = flags,
                                                 .guest_phys_addr = r->base,
                                                 .memory_size = there ? r->size : 0,
                                                 .userspace_addr = (uint64_t)(uintptr_t)r->host};

    return ioctl(en->vm, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? -errno : 0;
}

/* Makes slot i show what region `now` does. */
static int update(struct engine *en, uint32_t i, const struct ram_region *now)
{
    struct ram_region *old = &en->slot[i];
    bool was = old->size != 0 && !old->absent;
    int rc = 0;

    if (was && (now->absent || now->base != old->base || now->host != old->host ||
                now->readonly != old->readonly)) {
        rc = set_slot(en, i, old, false);
        was = false;
    }
    if (en->dirty_log && !was)
        en->changed[i] = true;
    *old = *now;
    if (rc == 0 && !now->absent && !was)
        rc = set_slot(en, i, now, true);
    return rc;
}

static int update_all(struct engine *en)
{
    struct ram_region now[RAM_MAX_REGIONS];
    int rc = 0;

    lock_take(&en->lock);
    en->slots = ram_regions(en->ram, now);
    for (unsigned i = 0; i < en->slots && rc == 0; i++)
        rc = update(en, i, &now[i]);
    lock_drop(&en->lock);
    return rc;
}

int kvm_memory_setup(struct engine *en, struct err *e)
{
    int rc = update_all(en);

    return rc < 0 ? err_set(e, -rc, "KVM does not take the guest's memory: %s", strerror(-rc)) : 0;
}

void kvm_remap(struct engine *en)
{
    int rc = update_all(en);

    if (rc < 0)
        log_error("KVM does not change the guest's memory: %s", strerror(-rc));
}

/* --- dirty pages --- */

int kvm_dirty_log(struct engine *en, bool on)
{
    int rc = 0;

    lock_take(&en->lock);
    en->dirty_log = on;
    memset(en->changed, 0, sizeof(en->changed));
    for (unsigned i = 0; i < en->slots && rc == 0; i++)
        if (!en->slot[i].absent && !en->slot[i].readonly)
            rc = set_slot(en, i, &en->slot[i], true);
    lock_drop(&en->lock);
    return rc;
}

static void ignore(void *opaque, gpa_t gpa, uint64_t len)
{
    (void)opaque, (void)gpa, (void)len;
}

/* Neighbouring pages are told together. */
static void tell(const struct ram_region *r, const uint64_t *map, ram_write_fn *fn, void *opaque)
{
    uint64_t pages = r->size >> PAGE_SHIFT, first = 0, n = 0;

    for (uint64_t i = 0; i <= pages; i++) {
        bool dirty = i < pages && (map[i / 64] >> (i % 64) & 1);

        if (dirty && n++ == 0)
            first = i;
        if (dirty || n == 0)
            continue;
        fn(opaque, r->base + (first << PAGE_SHIFT), n << PAGE_SHIFT);
        n = 0;
    }
}

static int take_slot(struct engine *en, uint32_t slot, ram_write_fn *fn, void *opaque)
{
    const struct ram_region *r = &en->slot[slot];
    struct kvm_dirty_log log = {.slot = slot};
    uint64_t *map = calloc((r->size >> PAGE_SHIFT) / 64 + 1, sizeof(*map));
    int rc = map == NULL ? -ENOMEM : 0;

    log.dirty_bitmap = map;
    if (rc == 0 && ioctl(en->vm, KVM_GET_DIRTY_LOG, &log) < 0)
        rc = -errno;
    if (rc == 0)
        tell(r, map, fn, opaque);
    free(map);
    return rc;
}

int kvm_dirty_take(struct engine *en, ram_write_fn *fn, void *opaque)
{
    int rc = 0;

    lock_take(&en->lock);
    if (!en->dirty_log)
        rc = -EINVAL;
    for (unsigned i = 0; i < en->slots && rc == 0; i++) {
        const struct ram_region *r = &en->slot[i];
        bool all = en->changed[i];

        if (r->absent)
            continue;
        en->changed[i] = false;
        if (!r->readonly)
            rc = take_slot(en, i, all ? ignore : fn, opaque);
        if (rc == 0 && all)
            fn(opaque, r->base, r->size);
    }
    lock_drop(&en->lock);
    return rc;
}
