/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files that a person named: see file.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "machine/file.h"

int file_open(struct file *f, const char *option, const char *path, struct err *e)
{
    struct stat st;

    *f = (struct file){.fd = -1, .option = option, .path = path};
    /* O_NONBLOCK: a FIFO without a writer must not hang the open. */
    f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (f->fd < 0)
        return err_set(e, errno, "%s: cannot open %s: %s", option, path, strerror(errno));
    if (fstat(f->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        int rc = err_set(e, EINVAL, "%s: %s is %s, a regular file is needed", option, path,
                         S_ISDIR(st.st_mode) ? "a directory" : "not a regular file");
        file_close(f);
        return rc;
    }
    f->size = (uint64_t)st.st_size;
    return 0;
}

void file_close(struct file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

int file_read(const struct file *f, uint64_t offset, void *buf, uint64_t len, struct err *e)
{
    char *p = buf;

    while (len > 0) {
        ssize_t n = pread(f->fd, p, len, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(e, errno, "%s: cannot read %s: %s", f->option, f->path, strerror(errno));
        if (n == 0)
            return err_set(e, EIO, "%s: %s became shorter while it was read", f->option, f->path);
        p += n;
        offset += (uint64_t)n;
        len -= (uint64_t)n;
    }
    return 0;
}

int file_read_all(const struct file *f, uint8_t **data, struct err *e)
{
    int rc;

    *data = malloc(f->size + 1); /* an empty one, too */
    if (*data == NULL)
        return err_set(e, ENOMEM, "out of memory");
    rc = file_read(f, 0, *data, f->size, e);
    if (rc < 0) {
        free(*data);
        *data = NULL;
    }
    return rc;
}
