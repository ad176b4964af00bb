/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The overlay of a snapshot: a sparse temporary file as large as the image, and one bit for each
 * sector that says which of the two holds its data.
 *
 * A bit for each sector, and not for larger clusters, because then no write has to be completed
 * with old data: a write goes to the overlay and its bits are set when it is there. Writes need no
 * order among each other beyond what the guest asks for, and no lock. The bits of a 1 TB disk are
 * 256 MB of address space, of which only what is touched costs memory (4 KB for 16 MB of disk).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "block/block_internal.h"

struct block_overlay {
    struct block_file file;
    uint64_t words;
    _Atomic uint64_t *bits;
};

/* A file without a name in `dir`. */
static int unnamed_file(const char *dir)
{
    char name[4096];
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    if (snprintf(name, sizeof(name), "%s/doppel-XXXXXX", dir) >= (int)sizeof(name))
        return -1;
    fd = mkostemp(name, O_CLOEXEC);
    if (fd >= 0)
        unlink(name);
    return fd;
}

/* /var/tmp rather than /tmp: the latter is memory on many systems. */
static int temporary(uint64_t size, struct err *e)
{
    const char *dir = getenv("TMPDIR");
    int fd = dir != NULL && dir[0] == '/' ? unnamed_file(dir) : -1;
    if (fd < 0)
        fd = unnamed_file("/var/tmp");
    if (fd < 0)
        fd = unnamed_file("/tmp");
    if (fd < 0)
        return err_set(e, errno,
                       "cannot create a temporary file for the snapshot: %s; set TMPDIR to a "
                       "directory that can be written",
                       strerror(errno));
    if (ftruncate(fd, (off_t)size) < 0) {
        int r = err_set(e, errno, "the temporary file for the snapshot cannot have %llu bytes: %s",
                        (unsigned long long)size, strerror(errno));
        close(fd);
        return r;
    }
    return fd;
}

int block_overlay_create(uint64_t size, struct block_overlay **out, struct err *e)
{
    struct block_overlay *o = calloc(1, sizeof(*o));
    if (o == NULL)
        return err_set(e, ENOMEM, "no memory for the snapshot");
    o->file.fd = temporary(size, e);
    if (o->file.fd < 0) {
        int r = o->file.fd;
        free(o);
        return r;
    }
    o->words = (size / BLOCK_SECTOR + 63) / 64;
    void *bits = mmap(NULL, o->words * 8, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (bits == MAP_FAILED) {
        close(o->file.fd);
        free(o);
        return err_set(e, ENOMEM, "no memory for the snapshot of %llu bytes",
                       (unsigned long long)size);
    }
    o->bits = bits;
    *out = o;
    return 0;
}

void block_overlay_destroy(struct block_overlay *o)
{
    if (o == NULL)
        return;
    munmap((void *)o->bits, o->words * 8);
    close(o->file.fd);
    free(o);
}

struct block_file *block_overlay_file(struct block_overlay *o)
{
    return &o->file;
}

uint64_t block_overlay_run(const struct block_overlay *o, uint64_t offset, uint64_t bytes,
                           bool *inside)
{
    uint64_t at = offset / BLOCK_SECTOR, end = at + bytes / BLOCK_SECTOR;
    uint64_t word = atomic_load_explicit(&o->bits[at / 64], memory_order_acquire);
    *inside = (word >> (at % 64) & 1) != 0;
    while (at < end) {
        /* Bits that differ from the first sector's, from `at` on. */
        uint64_t differ = (*inside ? ~word : word) >> (at % 64);
        if (differ != 0) {
            at += (unsigned)__builtin_ctzll(differ);
            break;
        }
        at = (at / 64 + 1) * 64;
        if (at < end)
            word = atomic_load_explicit(&o->bits[at / 64], memory_order_acquire);
    }
    return ((at < end ? at : end) - offset / BLOCK_SECTOR) * BLOCK_SECTOR;
}

void block_overlay_mark(struct block_overlay *o, uint64_t offset, uint64_t bytes)
{
    uint64_t at = offset / BLOCK_SECTOR, end = at + bytes / BLOCK_SECTOR;
    while (at < end) {
        uint64_t n = 64 - at % 64;
        n = n < end - at ? n : end - at;
        uint64_t mask = (n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1) << (at % 64);
        atomic_fetch_or_explicit(&o->bits[at / 64], mask, memory_order_release);
        at += n;
    }
}
