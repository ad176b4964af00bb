/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A flash chip in memory, with its contents in a part of the RAM backing that the board shows as a
 * readonly region while the chip is in read-array mode and as absent otherwise. What changes can be
 * kept in a file.
 */
#ifndef DOPPEL_DEV_PFLASH_H
#define DOPPEL_DEV_PFLASH_H

#include "bus/bus.h"
#include "dev/device.h"
#include "loop/loop.h"

struct pflash_config {
    struct loop *loop; /* the thread that writes the file */
    uint8_t *data;     /* the contents */
    uint32_t size;
    bool readonly;
    int fd; /* the file, opened for writing, of `size` bytes; -1: none. The pflash's from now on. */
    /* The chip goes into or out of read-array mode. Then [from, to) of the contents may have
     * changed since it was in that mode. With no lock held. */
    void (*array)(void *opaque, bool on, uint32_t from, uint32_t to);
    void *opaque;
};

struct pflash;

int pflash_create(const struct pflash_config *cfg, struct pflash **out) MUST_CHECK;
struct device pflash_device(struct pflash *p);
int pflash_map(struct pflash *p, struct bus *mmio, uint64_t base) MUST_CHECK;

#endif
