/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Raw images: regular files and block devices.
 *
 * Locks are open-file-description locks on the whole file: exclusive for a writer, shared for a
 * reader, so that two machines never write one disk and nobody reads a disk that changes. File
 * systems that have no locks get none.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "block/block_internal.h"

static int check_type(const char *path, const struct stat *st, struct err *e)
{
    if (S_ISDIR(st->st_mode))
        return err_set(e, EISDIR, "disk '%s' is a directory; give an image file", path);
    if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))
        return err_set(e, EINVAL, "disk '%s' is neither a file nor a block device", path);
    return 0;
}

static int open_error(const char *path, bool write, int error, struct err *e)
{
    bool readable =
        write && (error == EACCES || error == EROFS || error == EPERM) && access(path, R_OK) == 0;
    return err_set(e, error, "cannot open disk '%s'%s: %s%s", path, write ? " for writing" : "",
                   strerror(error), readable ? "; it can be used with readonly or snapshot" : "");
}

static int open_image(struct block_backend *b, bool write, struct err *e)
{
    struct stat st;
    /* Looked at before it is opened: opening a FIFO or a terminal has effects. */
    if (stat(b->path, &st) < 0)
        return open_error(b->path, false, errno, e);
    int r = check_type(b->path, &st, e);
    if (r < 0)
        return r;
    b->fd = open(b->path, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (b->fd < 0)
        return open_error(b->path, write, errno, e);
    return 0;
}

static int lock_image(const struct block_backend *b, bool write, struct err *e)
{
    struct flock l = {.l_type = write ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};
    if (fcntl(b->fd, F_OFD_SETLK, &l) == 0)
        return 0;
    if (errno == EAGAIN || errno == EACCES)
        return err_set(e, EBUSY, "disk '%s' is in use by another process%s", b->path,
                       write ? "; stop it, or use readonly or snapshot if it only reads" : "");
    log_info("disk '%s' cannot be locked: %s", b->path, strerror(errno));
    return 0;
}

static unsigned clamp_block(uint64_t size)
{
    unsigned p = BLOCK_SECTOR;
    while (p < size && p < 65536)
        p *= 2;
    return p;
}

static int measure(struct block_backend *b, struct err *e)
{
    struct stat st;
    unsigned physical = 0;
    uint64_t size = 0;
    if (fstat(b->fd, &st) < 0)
        return err_set(e, errno, "cannot examine disk '%s': %s", b->path, strerror(errno));
    int r = check_type(b->path, &st, e);
    if (r < 0)
        return r;
    if (S_ISREG(st.st_mode)) {
        size = (uint64_t)st.st_size;
        physical = (unsigned)st.st_blksize;
    } else if (ioctl(b->fd, BLKGETSIZE64, &size) < 0 || ioctl(b->fd, BLKPBSZGET, &physical) < 0) {
        return err_set(e, errno, "cannot read the size of disk '%s': %s", b->path, strerror(errno));
    }
    if (size < BLOCK_SECTOR)
        return err_set(e, EINVAL,
                       "disk '%s' has %llu bytes, a disk needs at least %u; give another image or "
                       "make this one larger with truncate",
                       b->path, (unsigned long long)size, BLOCK_SECTOR);
    b->size = (size + BLOCK_SECTOR - 1) / BLOCK_SECTOR * BLOCK_SECTOR;
    b->physical = clamp_block(physical);
    return 0;
}

static int prepare(struct block_backend *b, const struct block_options *o, struct err *e)
{
    bool write = !o->readonly && !o->snapshot;
    b->path = strdup(o->path);
    if (b->path == NULL)
        return err_set(e, ENOMEM, "no memory for disk '%s'", o->path);
    int r = open_image(b, write, e);
    if (r == 0)
        r = lock_image(b, write, e);
    if (r == 0)
        r = measure(b, e);
    if (r == 0 && o->snapshot && !o->readonly)
        r = block_overlay_create(b->size, &b->overlay, e);
    if (r == 0 && block_pool_create(b, &b->pool) < 0)
        r = err_set(e, ENOMEM, "no memory for disk '%s'", o->path);
    return r;
}

int block_open(const struct block_options *o, struct block_backend **out, struct err *e)
{
    struct block_backend *b = calloc(1, sizeof(*b));
    if (b == NULL)
        return err_set(e, ENOMEM, "no memory for disk '%s'", o->path);
    b->fd = -1;
    b->readonly = o->readonly;
    b->aio = o->aio;
    int r = prepare(b, o, e);
    if (r < 0) {
        block_close(b);
        return r;
    }
    *out = b;
    return 0;
}

void block_close(struct block_backend *b)
{
    if (b == NULL)
        return;
    block_pool_destroy(b->pool);
    block_overlay_destroy(b->overlay);
    if (b->fd >= 0)
        close(b->fd);
    free(b->path);
    free(b);
}

uint64_t block_size(const struct block_backend *b)
{
    return b->size;
}

bool block_readonly(const struct block_backend *b)
{
    return b->readonly;
}

unsigned block_physical_size(const struct block_backend *b)
{
    return b->physical;
}

const char *block_path(const struct block_backend *b)
{
    return b->path;
}
