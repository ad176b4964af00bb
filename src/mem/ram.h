/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest RAM: the guest-physical memory that is backed by host memory, and the one interface through
 * which everything but a vCPU reads and writes it (device DMA, the loader, restore, debugger).
 *
 * The RAM of a machine is one memfd (or anonymous memory: enum ram_pages, and where memfds are
 * refused), the backing. At
 * most RAM_MAX_REGIONS guest-physical regions show parts of it. Regions are laid out before the
 * first vCPU runs; how many there are and how large never changes, so lookups take no lock. What a
 * region shows and how may change at any time (ram_remap), as chipsets switch ROM and RAM: two
 * regions may show the same part. Those that were made for it may move, as PCI BARs do
 * (ram_move). ROM images are regions with `readonly` set: vCPU writes to them go to the devices,
 * which usually drop them.
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

#define RAM_MAX_REGIONS 32
#define RAM_PAGE_SIZE 4096u

enum ram_mode {
    RAM_WRITABLE,
    RAM_READONLY, /* reads see memory, writes are for the devices */
    RAM_ABSENT,   /* all accesses are for the devices */
};

/* A region at one moment. */
struct ram_region {
    gpa_t base;      /* page aligned */
    uint64_t size;   /* page aligned, not 0 */
    uint8_t *host;   /* first byte in this process */
    uint64_t offset; /* offset of the first byte in the memfd */
    bool readonly;
    bool absent; /* as if there were no region */
};

/* Called after a write to [gpa, gpa+len), on the writer's thread, with no lock held. Page
 * granularity is enough. */
typedef void ram_write_fn(void *opaque, gpa_t gpa, uint64_t len);

struct ram;

/* What the host makes the backing of. */
enum ram_pages {
    RAM_PAGES_SMALL, /* a memfd, with large pages if the host makes them of shared memory */
    RAM_PAGES_LARGE, /* anonymous memory, of which hosts make large pages by default; no memfd */
    RAM_PAGES_2M,    /* a memfd of huge pages, from the host's pools; -ENOMEM: too few are free */
    RAM_PAGES_1G,
};

/* Reserves `total` bytes of backing (page aligned; all that is taken from it, ROMs included).
 * 0 or -errno. ram_create: small pages. */
int ram_create(struct ram **out, uint64_t total, struct err *e) MUST_CHECK;
int ram_create_of(struct ram **out, uint64_t total, enum ram_pages pages, struct err *e) MUST_CHECK;
void ram_destroy(struct ram *r);

/* Takes the next `size` bytes of the backing as region [base, base+size). -EEXIST: overlaps,
 * -ENOSPC: backing or regions exhausted. Only before the machine runs. */
int ram_add(struct ram *r, gpa_t base, uint64_t size, bool readonly, struct err *e) MUST_CHECK;

/* Takes the next `size` bytes of the backing without showing them anywhere; *offset: the first.
 * -ENOSPC: exhausted. Only before the machine runs. */
int ram_take(struct ram *r, uint64_t size, uint64_t *offset, struct err *e) MUST_CHECK;
/* A region that shows bytes of the backing that were taken. Errors as ram_add. Only before the
 * machine runs. */
int ram_map(struct ram *r, gpa_t base, uint64_t size, uint64_t offset, enum ram_mode mode,
            struct err *e) MUST_CHECK;
/* Changes what the region that begins at `base` shows. Any thread; readers see the old or the new.
 * The caller tells the engine afterwards (engine_ops.remap), which goes by the old until then. What
 * else was written to the backing meanwhile is announced with ram_written after that. */
void ram_remap(struct ram *r, gpa_t base, uint64_t offset, enum ram_mode mode);

/* A region of bytes of the backing that were taken which has no place at first, for memory on a PCI
 * device. ram_move puts it somewhere, writable: RAM_NOWHERE, or where it would overlap another
 * region, takes it away again. Before the machine runs, and as ram_remap. */
#define RAM_NOWHERE UINT64_MAX
int ram_map_movable(struct ram *r, uint64_t size, uint64_t offset, struct err *e) MUST_CHECK;
void ram_move(struct ram *r, uint64_t offset, gpa_t base);

/* The regions at this moment, absent ones included; returns how many. Their number and order are
 * always the same, and those that cannot move are sorted by base. */
unsigned ram_regions(const struct ram *r, struct ram_region out[RAM_MAX_REGIONS]);
int ram_fd(const struct ram *r);         /* the memfd, or -1 for anonymous memory */
uint64_t ram_total(const struct ram *r); /* bytes of the backing, and where it is */
uint8_t *ram_backing(const struct ram *r);

/* The region that shows memory at gpa; false: there is none. No lock. */
bool ram_find(const struct ram *r, gpa_t gpa, struct ram_region *out);

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
