/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What image.c and the formats share. */
#ifndef DOPPEL_BLOCK_IMAGE_INTERNAL_H
#define DOPPEL_BLOCK_IMAGE_INTERNAL_H

#include "block/image.h"

#define BLOCK_CHAIN_MAX 64 /* images */

/* The images above the one that is opened, nearest first. */
struct block_chain {
    const struct block_image *image;
    const struct block_chain *above;
};

/* Opens the backing file `name` that `im` names, of `format`, which is not NULL. */
int block_image_open_backing(struct block_image *im, const char *name, const char *format,
                             const struct block_chain *above, struct err *e) MUST_CHECK;

/* They take the file over: *out is the image, with path and file of their own copy of `base`; on an
 * error the caller closes the file. */
int block_raw_open(const struct block_image *base, struct block_image **out,
                   struct err *e) MUST_CHECK;
int block_qcow2_open(const struct block_image *base, unsigned flags,
                     const struct block_chain *above, struct block_image **out,
                     struct err *e) MUST_CHECK;

#endif
