/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest RAM: the guest-physical memory that is backed by host memory, and the one interface through
 * which everything but a vCPU reads and writes it (device DMA, the loader, restore, debugger).
 *
 * The RAM of a machine is one memfd (or anonymous memory where memfds are refused), cut into at
 * most RAM_MAX_REGIONS guest-physical regions. Regions are laid out before the first vCPU runs and
 * never change afterwards, so lookups take no lock. ROM images are regions with `readonly` set:
 * vCPU writes to them are dropped.
 *
 * Every write announces itself to the listeners (translated code is invalidated, pages become
 * dirty). A device never keeps a host pointer beyond the request that it belongs to.
 */
#ifndef DOPPEL_MEM_RAM_H
#define DOPPEL_MEM_RAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"

typedef uint64_t gpa_t; /* guest-physical address */

#define RAM_MAX_REGIONS 16
#define RAM_PAGE_SIZE 4096u

struct ram_region {
    gpa_t base;      /* page aligned */
    uint64_t size;   /* page aligned, not 0 */
    uint8_t *host;   /* first byte in this process */
    uint64_t offset; /* offset of the first byte in the memfd */
    bool readonly;
};

/* Called after a write to [gpa, gpa+len), on the writer's thread, with no lock held. Page
 * granularity is enough. */
typedef void ram_write_fn(void *opaque, gpa_t gpa, uint64_t len);

struct ram;

/* Reserves `total` bytes of backing (page aligned; the sum of all regions to come, ROMs included).
 * 0 or -errno. */
int ram_create(struct ram **out, uint64_t total, struct err *e) MUST_CHECK;
void ram_destroy(struct ram *r);

/* Takes the next `size` bytes of the backing as region [base, base+size). -EEXIST: overlaps,
 * -ENOSPC: backing or regions exhausted. Only before the machine runs. */
int ram_add(struct ram *r, gpa_t base, uint64_t size, bool readonly, struct err *e) MUST_CHECK;

/* The regions, sorted by base; the array lives as long as `r`. */
const struct ram_region *ram_regions(const struct ram *r, unsigned *count);
int ram_fd(const struct ram *r); /* the memfd, or -1 for anonymous memory */

/* The region that holds gpa, or NULL. No lock. */
const struct ram_region *ram_find(const struct ram *r, gpa_t gpa);

/* Copies; the whole range must be RAM (reads: RAM or ROM), else nothing is copied and -EFAULT
 * returned. */
int ram_read(const struct ram *r, gpa_t gpa, void *buf, uint64_t len) MUST_CHECK;
int ram_write(struct ram *r, gpa_t gpa, const void *buf, uint64_t len) MUST_CHECK;
/* Like ram_write, but also into readonly regions: for the loader before the machine runs. */
int ram_load(struct ram *r, gpa_t gpa, const void *buf, uint64_t len) MUST_CHECK;

/* The host pointer of [gpa, gpa+len) if it lies in one region, else NULL. For `write` the caller
 * announces what it wrote with ram_written afterwards (readonly regions give NULL). */
void *ram_ptr(const struct ram *r, gpa_t gpa, uint64_t len, bool write);
void ram_written(struct ram *r, gpa_t gpa, uint64_t len);

/* At most 8 listeners; registered before the machine runs. */
int ram_listen(struct ram *r, ram_write_fn *fn, void *opaque) MUST_CHECK;

#endif
