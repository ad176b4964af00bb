/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the 82077AA share. `fifo` holds the command until its result replaces it. */
#ifndef DOPPEL_DEV_CHIP_I82077_INTERNAL_H
#define DOPPEL_DEV_CHIP_I82077_INTERNAL_H

#include <errno.h>

#include "dev/chip/i82077.h"

/* i82077.c: `bytes` of `fifo` are the result. */
void fdc_result(struct fdc *f, unsigned bytes, bool interrupt);
/* The drive that a parameter or status selects, or NULL. */
struct fdc_drive *fdc_drive_of(struct fdc *f, uint8_t select);

/* i82077_transfer.c: commands whose bytes are all there. */
void fdc_start_read(struct fdc *f);  /* and verify */
void fdc_start_write(struct fdc *f); /* and scan */
void fdc_start_format(struct fdc *f);
void fdc_read_id(struct fdc *f);

/* Bytes of `data` went to the host, or came from it. */
void fdc_moved(struct fdc *f, const uint8_t *from_host, uint32_t bytes, bool end);
bool fdc_by_dma(const struct fdc *f);
bool fdc_transfer_valid(const struct fdc *f);

#endif
