/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands of 'doppel image': their arguments, and what they do. */
#ifndef DOPPEL_CMD_IMAGE_H
#define DOPPEL_CMD_IMAGE_H

#include "args.h"
#include "block/copy.h"

#define IMAGE_WORDS 3

struct image_args {
    const char *words[IMAGE_WORDS];
    unsigned word_count;
    const char *format, *to_format; /* NULL: not given */
    const char *backing, *backing_format;
    uint64_t cluster;
    unsigned version;
    bool lazy, force, shrink, unsafe, keep, json;
    bool repair_leaks, repair_all;
    struct block_progress progress;
    int percent; /* shown last */
    int status;  /* of the process, if nothing failed */
};

extern const struct arg_command image_args_create, image_args_info, image_args_convert,
    image_args_resize, image_args_check, image_args_rebase, image_args_commit, image_args_snapshot;

/* How many words the command `name` takes; `what` they are, for a person. */
int image_words(const struct image_args *a, const char *name, unsigned min, unsigned max,
                const char *what, struct err *e) MUST_CHECK;
/* Closes an image that was changed, with the result `rc` so far; the result of it all. */
int image_close_changed(struct block_image *im, int rc, struct err *e) MUST_CHECK;

/* -errno with a sentence. */
int image_create(struct image_args *a, struct err *e) MUST_CHECK;
int image_info(struct image_args *a, struct err *e) MUST_CHECK;
int image_convert(struct image_args *a, struct err *e) MUST_CHECK;
int image_resize(struct image_args *a, struct err *e) MUST_CHECK;
int image_check(struct image_args *a, struct err *e) MUST_CHECK;
int image_rebase(struct image_args *a, struct err *e) MUST_CHECK;
int image_commit(struct image_args *a, struct err *e) MUST_CHECK;
int image_snapshot(struct image_args *a, struct err *e) MUST_CHECK;

#endif
