/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Work on whole images, with nobody else using them. */
#ifndef DOPPEL_BLOCK_COPY_H
#define DOPPEL_BLOCK_COPY_H

#include "block/image.h"

struct block_progress {
    void (*tell)(void *opaque, uint64_t done,
                 uint64_t total); /* bytes; now and then; may be NULL */
    void *opaque;
};

/* All content of `from`, which is not larger than `to`. `fresh`: `to` has only zeros. Runs of zeros
 * take no space. */
int block_copy(struct block_image *from, struct block_image *to, bool fresh,
               const struct block_progress *p) MUST_CHECK;
/* What an image has itself, not its backing image, into its backing image `below`. */
int block_commit(struct block_image *im, struct block_image *below,
                 const struct block_progress *p) MUST_CHECK;
/* What `im` shows of its backing image and `other`, which may be NULL, does not: into `im`. */
int block_pull(struct block_image *im, struct block_image *other,
               const struct block_progress *p) MUST_CHECK;

#endif
