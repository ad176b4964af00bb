/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files that a person named (kernel, initrd): opened, checked and read with errors that name the
 * option and the file. */
#ifndef DOPPEL_MACHINE_FILE_H
#define DOPPEL_MACHINE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct file {
    int fd;
    uint64_t size;
    const char *option, *path; /* the caller's */
};

/* Opens a regular file for reading. */
int file_open(struct file *f, const char *option, const char *path, struct err *e) MUST_CHECK;
void file_close(struct file *f);
/* Reads exactly `len` bytes at `offset`; the caller has checked them against f->size. */
int file_read(const struct file *f, uint64_t offset, void *buf, uint64_t len,
              struct err *e) MUST_CHECK;
/* All of it, malloc'd; NULL after an error. The caller has checked f->size. */
int file_read_all(const struct file *f, uint8_t **data, struct err *e) MUST_CHECK;

#endif
