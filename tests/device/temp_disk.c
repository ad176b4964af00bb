/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "temp_disk.h"

#include <stdlib.h>
#include <unistd.h>

struct block_backend *temp_disk(uint64_t size)
{
    char path[] = "/tmp/test-disk-XXXXXX";
    struct block_backend *b;
    int fd = mkstemp(path);

    if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
        abort();
    close(fd);
    if (block_open(&(struct block_options){.path = path}, &b, NULL) < 0)
        abort();
    unlink(path);
    return b;
}

struct temp_drives *temp_drives(uint64_t size)
{
    struct temp_drives *d = malloc(sizeof(*d));

    if (d == NULL)
        abort();
    *d = (struct temp_drives){temp_disk(size), temp_disk(size)};
    return d;
}

void temp_drives_close(struct temp_drives *d)
{
    block_close(d->disk);
    block_close(d->cd);
    free(d);
}
