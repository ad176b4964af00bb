/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DOPPEL_TESTS_DEVICE_TEMP_DISK_H
#define DOPPEL_TESTS_DEVICE_TEMP_DISK_H

#include "block/block.h"

/* An empty disk whose file has no name any more. */
struct block_backend *temp_disk(uint64_t size);

#endif
