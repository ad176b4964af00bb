/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DOPPEL_TESTS_DEVICE_TEMP_DISK_H
#define DOPPEL_TESTS_DEVICE_TEMP_DISK_H

#include "block/block.h"

/* An empty disk whose file has no name any more. */
struct block_backend *temp_disk(uint64_t size);

/* What an adapter of the generic suite has: a disk and a medium of that size. */
struct temp_drives {
    struct block_backend *disk, *cd;
};
struct temp_drives *temp_drives(uint64_t size);
void temp_drives_close(struct temp_drives *d);

#endif
