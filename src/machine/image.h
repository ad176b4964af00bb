/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a file is that a person gave as an image, told by its content. */
#ifndef DOPPEL_MACHINE_IMAGE_H
#define DOPPEL_MACHINE_IMAGE_H

#include "base/err.h"

enum image_kind {
    IMAGE_KERNEL,  /* bzImage or ELF */
    IMAGE_ISO,     /* ISO 9660 */
    IMAGE_DISK,    /* a disk with a partition table, a file system, or anything else in sectors */
    IMAGE_FOREIGN, /* a disk image in another program's format */
};

/* Regular files and block devices. `format`: what IMAGE_FOREIGN is ("qcow2"), else NULL. */
int image_recognize(const char *option, const char *path, enum image_kind *kind,
                    const char **format, struct err *e) MUST_CHECK;

#endif
