/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest RAM; the contract is in ram.h.
 *
 * The backing is one mapping, aligned to a large page and with inaccessible address space on both
 * sides. Copies work in place while vCPUs write the same bytes; an aligned copy of 1, 2, 4 or 8
 * bytes is a single access, which ring indices rely on.
 */
#include "mem/ram.h"

#include <errno.h>
#include <linux/memfd.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/checked.h"

#define MAX_LISTENERS 8
#define LARGE_PAGE (UINT64_C(2) << 20)

struct listener {
    ram_write_fn *fn;
    void *opaque;
};

/* A region; what it shows is one word, so that readers see no mixture. */
struct place {
    _Atomic gpa_t base;
    uint64_t size;
    gpa_t home;             /* of one that may move, where it is when it is nowhere; else 0 */
    _Atomic uint64_t shown; /* offset in the backing | enum ram_mode */
};

struct ram {
    struct place region[RAM_MAX_REGIONS]; /* sorted by base */
    unsigned regions;
    uint8_t *reserved; /* the address space, guards included */
    size_t reserved_len;
    uint8_t *host;
    uint64_t total, used;
    int fd;
    struct listener listener[MAX_LISTENERS];
    unsigned listeners;
};

static const struct {
    uint64_t size; /* 0: the pages of the processor */
    unsigned flags;
    const char *pool;
} page_kind[] = {
    [RAM_PAGES_2M] = {UINT64_C(2) << 20, MFD_HUGETLB | MFD_HUGE_2MB, "hugepages-2048kB"},
    [RAM_PAGES_1G] = {UINT64_C(1) << 30, MFD_HUGETLB | MFD_HUGE_1GB, "hugepages-1048576kB"},
};

/* A memfd of the right size, or -1 where the host refuses memfds (old kernel, system call filter).
 */
static int backing_fd(uint64_t total, unsigned flags)
{
    int fd = memfd_create("doppel-ram", MFD_CLOEXEC | flags);

    if (fd >= 0 && ftruncate(fd, (off_t)total) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* Huge pages are taken from the pool at once: too few show here, not in the middle of a write. */
static int map_at(struct ram *r, uint8_t *at, uint64_t len, enum ram_pages pages)
{
    const bool huge = page_kind[pages].size != 0;
    int flags = MAP_FIXED | (huge ? 0 : MAP_NORESERVE);

    r->fd = pages == RAM_PAGES_LARGE ? -1 : backing_fd(len, page_kind[pages].flags);
    if (r->fd < 0 && huge)
        return -ENOMEM;
    flags |= r->fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
    return mmap(at, len, PROT_READ | PROT_WRITE, flags, r->fd, 0) == MAP_FAILED ? -errno : 0;
}

static int map_backing(struct ram *r, uint64_t total, enum ram_pages pages)
{
    const uint64_t align = page_kind[pages].size > LARGE_PAGE ? page_kind[pages].size : LARGE_PAGE;
    uint64_t len = page_kind[pages].size != 0 ? align_down(total + align - 1, align) : total;
    uint8_t *at;
    int rc;

    r->reserved_len = len + 3 * align;
    r->reserved =
        mmap(NULL, r->reserved_len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (r->reserved == MAP_FAILED) {
        r->reserved = NULL;
        return -errno;
    }
    /* At least one large page of guard before; the rest of the slack is guard behind. */
    at = (uint8_t *)align_down((uintptr_t)r->reserved + 2 * align, align);
    rc = map_at(r, at, len, pages);
    if (rc < 0)
        return rc;
    r->host = at;
    r->total = total;
    /* Advice only; kernels without the feature say no. */
    madvise(at, len, MADV_HUGEPAGE);
    madvise(at, len, MADV_DONTDUMP);
    return 0;
}

static int refused(uint64_t total, enum ram_pages pages, int rc, struct err *e)
{
    const uint64_t size = page_kind[pages].size;

    if (size == 0)
        return err_set(e, -rc, "cannot reserve %llu MiB of guest memory: %s; use less memory",
                       (unsigned long long)(total >> 20), strerror(-rc));
    return err_set(e, -rc,
                   "cannot take %llu huge pages of %llu MiB for the guest's memory: %s; as root, "
                   "write how many there shall be to /sys/kernel/mm/hugepages/%s/nr_hugepages",
                   (unsigned long long)((total + size - 1) / size),
                   (unsigned long long)(size >> 20), strerror(-rc), page_kind[pages].pool);
}

int ram_create_of(struct ram **out, uint64_t total, enum ram_pages pages, struct err *e)
{
    struct ram *r;
    int rc;

    if (total == 0 || !is_aligned(total, RAM_PAGE_SIZE) || total > INT64_MAX - (UINT64_C(8) << 30))
        return err_set(e, EINVAL, "impossible memory size of %llu bytes",
                       (unsigned long long)total);
    r = calloc(1, sizeof(*r));
    if (r == NULL)
        return err_set(e, ENOMEM, "out of memory");
    r->fd = -1;
    rc = map_backing(r, total, pages);
    if (rc < 0) {
        ram_destroy(r);
        return refused(total, pages, rc, e);
    }
    *out = r;
    return 0;
}

int ram_create(struct ram **out, uint64_t total, struct err *e)
{
    return ram_create_of(out, total, RAM_PAGES_SMALL, e);
}

void ram_destroy(struct ram *r)
{
    if (r == NULL)
        return;
    if (r->reserved != NULL)
        munmap(r->reserved, r->reserved_len);
    if (r->fd >= 0)
        close(r->fd);
    free(r);
}

static int check_region(const struct ram *r, gpa_t base, uint64_t size, struct err *e)
{
    uint64_t end;

    if (size == 0 || !is_aligned(base | size, RAM_PAGE_SIZE) || !checked_add(base, size, &end))
        return err_set(e, EINVAL, "memory region %#llx, size %#llx is not made of whole pages",
                       (unsigned long long)base, (unsigned long long)size);
    if (r->regions == RAM_MAX_REGIONS)
        return err_set(e, ENOSPC, "no room for the memory region at %#llx",
                       (unsigned long long)base);
    for (unsigned i = 0; i < r->regions; i++) {
        if (range_overlap(base, size, r->region[i].base, r->region[i].size))
            return err_set(e, EEXIST, "memory region %#llx, size %#llx overlaps another",
                           (unsigned long long)base, (unsigned long long)size);
    }
    return 0;
}

int ram_take(struct ram *r, uint64_t size, uint64_t *offset, struct err *e)
{
    if (!is_aligned(size, RAM_PAGE_SIZE) || size > r->total - r->used)
        return err_set(e, ENOSPC, "no memory left for %#llx bytes", (unsigned long long)size);
    *offset = r->used;
    r->used += size;
    return 0;
}

static void put(struct place *p, const struct place *from)
{
    atomic_store(&p->base, atomic_load(&from->base));
    p->size = from->size;
    p->home = from->home;
    atomic_store(&p->shown, atomic_load(&from->shown));
}

int ram_map(struct ram *r, gpa_t base, uint64_t size, uint64_t offset, enum ram_mode mode,
            struct err *e)
{
    int rc = check_region(r, base, size, e);
    struct place new = {.base = base, .size = size, .shown = offset | mode};
    unsigned i = r->regions;

    if (rc < 0)
        return rc;
    if (!is_aligned(offset, RAM_PAGE_SIZE) || !range_inside(offset, size, 0, r->used))
        return err_set(e, EINVAL, "memory region %#llx shows what was not taken",
                       (unsigned long long)base);
    for (; i > 0 && r->region[i - 1].base > base; i--)
        put(&r->region[i], &r->region[i - 1]);
    put(&r->region[i], &new);
    r->regions++;
    return 0;
}

/* The end of the address space stands for nowhere: nothing else is there. */
int ram_map_movable(struct ram *r, uint64_t size, uint64_t offset, struct err *e)
{
    gpa_t base = -(size + RAM_PAGE_SIZE);
    int rc;

    for (unsigned i = 0; i < r->regions; i++)
        if (r->region[i].home != 0)
            base -= r->region[i].size;
    rc = ram_map(r, base, size, offset, RAM_ABSENT, e);
    for (unsigned i = 0; i < r->regions && rc == 0; i++)
        if (r->region[i].base == base)
            r->region[i].home = base;
    return rc;
}

static bool is_free(const struct ram *r, gpa_t base, uint64_t size, const struct place *but)
{
    uint64_t end;

    if (base == RAM_NOWHERE || !is_aligned(base, RAM_PAGE_SIZE) || !checked_add(base, size, &end))
        return false;
    for (unsigned i = 0; i < r->regions; i++)
        if (&r->region[i] != but && range_overlap(base, size, r->region[i].base, r->region[i].size))
            return false;
    return true;
}

void ram_move(struct ram *r, uint64_t offset, gpa_t base)
{
    for (unsigned i = 0; i < r->regions; i++) {
        struct place *p = &r->region[i];

        if (p->home == 0 || (atomic_load(&p->shown) & ~(uint64_t)(RAM_PAGE_SIZE - 1)) != offset)
            continue;
        atomic_store(&p->shown, offset | RAM_ABSENT); /* nobody finds it on its way */
        if (is_free(r, base, p->size, p)) {
            atomic_store(&p->base, base);
            atomic_store(&p->shown, offset | RAM_WRITABLE);
        } else {
            atomic_store(&p->base, p->home);
        }
    }
}

int ram_add(struct ram *r, gpa_t base, uint64_t size, bool readonly, struct err *e)
{
    uint64_t offset = 0;
    int rc = check_region(r, base, size, e);

    if (rc == 0)
        rc = ram_take(r, size, &offset, e);
    return rc == 0 ? ram_map(r, base, size, offset, readonly ? RAM_READONLY : RAM_WRITABLE, e) : rc;
}

void ram_remap(struct ram *r, gpa_t base, uint64_t offset, enum ram_mode mode)
{
    for (unsigned i = 0; i < r->regions; i++) {
        struct place *p = &r->region[i];

        if (p->base == base && is_aligned(offset, RAM_PAGE_SIZE) &&
            range_inside(offset, p->size, 0, r->used))
            atomic_store(&p->shown, offset | mode);
    }
}

static struct ram_region look(const struct ram *r, const struct place *p)
{
    uint64_t shown = atomic_load(&p->shown), mode = shown & (RAM_PAGE_SIZE - 1);
    uint64_t offset = shown - mode;

    return (struct ram_region){
        .base = p->base,
        .size = p->size,
        .host = r->host + offset,
        .offset = offset,
        .readonly = mode == RAM_READONLY,
        .absent = mode == RAM_ABSENT,
    };
}

unsigned ram_regions(const struct ram *r, struct ram_region out[RAM_MAX_REGIONS])
{
    for (unsigned i = 0; i < r->regions; i++)
        out[i] = look(r, &r->region[i]);
    return r->regions;
}

int ram_fd(const struct ram *r)
{
    return r->fd;
}

uint64_t ram_total(const struct ram *r)
{
    return r->total;
}

uint8_t *ram_backing(const struct ram *r)
{
    return r->host;
}

static const struct place *place_of(const struct ram *r, gpa_t gpa)
{
    for (unsigned i = 0; i < r->regions; i++) {
        if (gpa - r->region[i].base < r->region[i].size)
            return &r->region[i];
    }
    return NULL;
}

bool ram_find(const struct ram *r, gpa_t gpa, struct ram_region *out)
{
    const struct place *p = place_of(r, gpa);

    if (p == NULL)
        return false;
    *out = look(r, p);
    return !out->absent && gpa - out->base < out->size; /* it may just move */
}

/* Is every byte of the range backed (and writable)? Neighbouring regions count as one. */
static bool range_ok(const struct ram *r, gpa_t gpa, uint64_t len, bool write)
{
    while (len > 0) {
        struct ram_region reg;
        uint64_t rest;

        if (!ram_find(r, gpa, &reg) || (write && reg.readonly))
            return false;
        rest = reg.size - (gpa - reg.base);
        if (len <= rest)
            return true;
        gpa += rest; /* 0 after the last byte of the address space */
        len -= rest;
        if (gpa == 0)
            return false;
    }
    return true;
}

/* One access for what one access can carry, so that the other side never sees half an index. */
static void copy(void *dst, const void *src, size_t len)
{
    uintptr_t both = (uintptr_t)dst | (uintptr_t)src;

    if (len == 8 && (both & 7) == 0)
        *(volatile uint64_t *)dst = *(const volatile uint64_t *)src;
    else if (len == 4 && (both & 3) == 0)
        *(volatile uint32_t *)dst = *(const volatile uint32_t *)src;
    else if (len == 2 && (both & 1) == 0)
        *(volatile uint16_t *)dst = *(const volatile uint16_t *)src;
    else
        memcpy(dst, src, len);
}

enum direction { FROM_GUEST, TO_GUEST };

/* The range was checked by range_ok. A region that was switched since then still has memory. */
static void transfer(const struct ram *r, gpa_t gpa, uint8_t *buf, uint64_t len, enum direction d)
{
    while (len > 0) {
        const struct place *p = place_of(r, gpa);
        struct ram_region reg;
        uint64_t rest, n;
        uint8_t *host;

        if (p == NULL)
            return;
        reg = look(r, p);
        if (gpa - reg.base >= reg.size)
            return;
        rest = reg.size - (gpa - reg.base);
        n = len < rest ? len : rest;
        host = reg.host + (gpa - reg.base);

        if (d == FROM_GUEST)
            copy(buf, host, n);
        else
            copy(host, buf, n);
        gpa += n;
        buf += n;
        len -= n;
    }
}

int ram_read(const struct ram *r, gpa_t gpa, void *buf, uint64_t len)
{
    if (!range_ok(r, gpa, len, false))
        return -EFAULT;
    transfer(r, gpa, buf, len, FROM_GUEST);
    return 0;
}

static int store(struct ram *r, gpa_t gpa, const void *buf, uint64_t len, bool rom_too)
{
    if (!range_ok(r, gpa, len, !rom_too))
        return -EFAULT;
    transfer(r, gpa, (uint8_t *)(uintptr_t)buf, len, TO_GUEST);
    ram_written(r, gpa, len);
    return 0;
}

int ram_write(struct ram *r, gpa_t gpa, const void *buf, uint64_t len)
{
    return store(r, gpa, buf, len, false);
}

int ram_load(struct ram *r, gpa_t gpa, const void *buf, uint64_t len)
{
    return store(r, gpa, buf, len, true);
}

void *ram_ptr(const struct ram *r, gpa_t gpa, uint64_t len, bool write)
{
    struct ram_region reg;

    if (!ram_find(r, gpa, &reg) || (write && reg.readonly) ||
        !range_inside(gpa, len, reg.base, reg.size))
        return NULL;
    return reg.host + (gpa - reg.base);
}

void ram_written(struct ram *r, gpa_t gpa, uint64_t len)
{
    if (len == 0)
        return;
    for (unsigned i = 0; i < r->listeners; i++)
        r->listener[i].fn(r->listener[i].opaque, gpa, len);
}

int ram_listen(struct ram *r, ram_write_fn *fn, void *opaque)
{
    if (r->listeners == MAX_LISTENERS)
        return -ENOSPC;
    r->listener[r->listeners++] = (struct listener){.fn = fn, .opaque = opaque};
    return 0;
}
