/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files of the host that hold images: see file.h. */
#include "block/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

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

static int lock_file(const struct block_file *f, const char *path, bool write, struct err *e)
{
    struct flock l = {.l_type = write ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};
    if (fcntl(f->fd, F_OFD_SETLK, &l) == 0)
        return 0;
    if (errno == EAGAIN || errno == EACCES)
        return err_set(e, EBUSY, "disk '%s' is in use by another process%s", path,
                       write ? "; stop it, or use readonly or snapshot if it only reads" : "");
    log_info("disk '%s' cannot be locked: %s", path, strerror(errno));
    return 0;
}

static unsigned clamp_block(uint64_t size)
{
    unsigned p = 512;
    while (p < size && p < 65536)
        p *= 2;
    return p;
}

static int examine(struct block_file *f, const char *path, struct err *e)
{
    struct stat st;
    unsigned physical = 0;
    if (fstat(f->fd, &st) < 0)
        return err_set(e, errno, "cannot examine disk '%s': %s", path, strerror(errno));
    int r = check_type(path, &st, e);
    if (r < 0)
        return r;
    f->regular = S_ISREG(st.st_mode);
    f->dev = st.st_dev;
    f->ino = st.st_ino;
    if (f->regular)
        physical = (unsigned)st.st_blksize;
    else if (ioctl(f->fd, BLKPBSZGET, &physical) < 0)
        return err_set(e, errno, "cannot read the block size of disk '%s': %s", path,
                       strerror(errno));
    f->physical = clamp_block(physical);
    return 0;
}

int block_file_open(struct block_file *f, const char *path, bool write, struct err *e)
{
    struct stat st;
    *f = (struct block_file){.fd = -1};
    /* Looked at before it is opened: opening a FIFO or a terminal has effects. */
    if (stat(path, &st) < 0)
        return open_error(path, false, errno, e);
    int r = check_type(path, &st, e);
    if (r < 0)
        return r;
    f->fd = open(path, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (f->fd < 0)
        return open_error(path, write, errno, e);
    r = lock_file(f, path, write, e);
    if (r == 0)
        r = examine(f, path, e);
    if (r < 0)
        block_file_close(f);
    return r;
}

int block_file_create(struct block_file *f, const char *path, bool replace, struct err *e)
{
    *f = (struct block_file){.fd = -1};
    f->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | (replace ? 0 : O_EXCL), 0644);
    if (f->fd < 0)
        return err_set(e, errno, "cannot create image '%s': %s%s", path, strerror(errno),
                       errno == EEXIST ? "; remove it, or use --force to replace it" : "");
    int r = lock_file(f, path, true, e);
    if (r == 0)
        r = examine(f, path, e);
    if (r == 0 && f->regular && ftruncate(f->fd, 0) < 0)
        r = err_set(e, errno, "cannot empty image '%s': %s", path, strerror(errno));
    if (r < 0)
        block_file_close(f);
    return r;
}

void block_file_close(struct block_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

int block_file_size(const struct block_file *f, uint64_t *out)
{
    struct stat st;
    if (!f->regular)
        return ioctl(f->fd, BLKGETSIZE64, out) < 0 ? -errno : 0;
    if (fstat(f->fd, &st) < 0)
        return -errno;
    *out = (uint64_t)st.st_size;
    return 0;
}

int block_file_readv(struct block_file *f, struct block_cursor *c, uint64_t bytes, uint64_t offset)
{
    struct iovec v[BLOCK_SLICE];
    uint64_t want;
    while (bytes != 0) {
        int n = (int)block_cursor_slice(c, bytes, v, &want);
        ssize_t got = preadv(f->fd, v, n, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            block_cursor_zero(c, (uint64_t)(got = (ssize_t)want));
        else
            block_cursor_advance(c, (uint64_t)got);
        offset += (uint64_t)got;
        bytes -= (uint64_t)got;
    }
    return 0;
}

int block_file_writev(struct block_file *f, struct block_cursor *c, uint64_t bytes, uint64_t offset,
                      int flags)
{
    struct iovec v[BLOCK_SLICE];
    uint64_t want;
    while (bytes != 0) {
        int n = (int)block_cursor_slice(c, bytes, v, &want);
        ssize_t got = pwritev2(f->fd, v, n, (off_t)offset, flags);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -ENOSPC;
        block_cursor_advance(c, (uint64_t)got);
        offset += (uint64_t)got;
        bytes -= (uint64_t)got;
    }
    return 0;
}

int block_file_read(struct block_file *f, void *buf, size_t bytes, uint64_t offset)
{
    struct iovec v = {buf, bytes};
    return block_file_readv(f, &(struct block_cursor){&v, 1, 0}, bytes, offset);
}

int block_file_write(struct block_file *f, const void *buf, size_t bytes, uint64_t offset)
{
    struct iovec v = {(void *)(uintptr_t)buf, bytes};
    return block_file_writev(f, &(struct block_cursor){&v, 1, 0}, bytes, offset, 0);
}

int block_file_sync(struct block_file *f)
{
    return fdatasync(f->fd) < 0 ? -errno : 0;
}

int block_file_truncate(struct block_file *f, uint64_t size)
{
    return ftruncate(f->fd, (off_t)size) < 0 ? -errno : 0;
}

/* fallocate, remembering that the file system does not know the mode: -EOPNOTSUPP then. */
static int allocate(struct block_file *f, int mode, _Atomic bool *unable, uint64_t offset,
                    uint64_t bytes)
{
    int r;
    if (atomic_load_explicit(unable, memory_order_relaxed))
        return -EOPNOTSUPP;
    do
        r = fallocate(f->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)bytes);
    while (r < 0 && errno == EINTR);
    if (r == 0)
        return 0;
    if (errno != EOPNOTSUPP && errno != ENOSYS && errno != ENODEV && errno != EINVAL)
        return -errno;
    atomic_store_explicit(unable, true, memory_order_relaxed);
    return -EOPNOTSUPP;
}

int block_file_punch(struct block_file *f, uint64_t offset, uint64_t bytes)
{
    return allocate(f, FALLOC_FL_PUNCH_HOLE, &f->no_punch, offset, bytes);
}

static int write_zeros(struct block_file *f, uint64_t offset, uint64_t bytes)
{
    static const uint8_t zeros[4096];
    struct iovec v[BLOCK_SLICE];
    int result = 0;
    for (unsigned i = 0; i < BLOCK_SLICE; i++)
        v[i] = (struct iovec){(void *)(uintptr_t)zeros, sizeof(zeros)};
    while (bytes != 0 && result == 0) {
        struct block_cursor c = {v, BLOCK_SLICE, 0};
        uint64_t n = bytes < sizeof(zeros) * BLOCK_SLICE ? bytes : sizeof(zeros) * BLOCK_SLICE;
        result = block_file_writev(f, &c, n, offset, 0);
        offset += n;
        bytes -= n;
    }
    return result;
}

int block_file_zero(struct block_file *f, uint64_t offset, uint64_t bytes, bool unmap)
{
    int r = unmap ? block_file_punch(f, offset, bytes) : -EOPNOTSUPP;
    if (r == -EOPNOTSUPP)
        r = allocate(f, FALLOC_FL_ZERO_RANGE, &f->no_zero_range, offset, bytes);
    return r == -EOPNOTSUPP ? write_zeros(f, offset, bytes) : r;
}
