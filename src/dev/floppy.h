/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The floppy disk controller (82077AA) with up to two drives: ports 0x3f0-0x3f5 and 0x3f7, IRQ 6,
 * DMA channel 2. Accesses change registers on the vCPU's thread; sectors and DMA move on the loop.
 */
#ifndef DOPPEL_DEV_FLOPPY_H
#define DOPPEL_DEV_FLOPPY_H

#include "block/block.h"
#include "bus/bus.h"
#include "bus/pin.h"
#include "dev/device.h"
#include "dev/dma.h"
#include "loop/loop.h"

#define FLOPPY_IRQ 6
#define FLOPPY_DMA 2
#define FLOPPY_DRIVES 2u

struct floppy;

struct floppy_config {
    struct pin irq;
    struct dma *dma;
    struct loop *loop;
};

int floppy_create(const struct floppy_config *cfg, struct floppy **out) MUST_CHECK;
struct device floppy_device(struct floppy *f);
int floppy_map(struct floppy *f, struct bus *ports) MUST_CHECK;

/* The next drive, before the machine runs; `b` may be NULL: no disk is inside. *type: of the drive,
 * as CMOS byte 0x10 has it. */
int floppy_add(struct floppy *f, struct block_backend *b, unsigned *type, struct err *e) MUST_CHECK;

/* Is it a floppy disk, by its size? -EINVAL with a sentence: it is none. NULL is fine. */
int floppy_check(struct block_backend *b, struct err *e) MUST_CHECK;
/* Another disk, which was checked, or none; main thread, also while vCPUs run. The old one is not
 * used any more when it returns; after an error the drive is empty. */
int floppy_change(struct floppy *f, unsigned drive, struct block_backend *b) MUST_CHECK;

#endif
