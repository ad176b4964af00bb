/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Errors that a person reads.
 *
 * Inside the product a function returns 0 or a negative errno. At the boundaries where a person
 * configured something (command line, configuration, image, restore) it also fills a struct err
 * with one sentence that names the option or file, the reason and what to do. Return or report,
 * never both: only cmd/ prints a struct err.
 */
#ifndef DOPPEL_BASE_ERR_H
#define DOPPEL_BASE_ERR_H

#include <stdarg.h>
#include <stdbool.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

struct err {
    bool usage;     /* the caller's words are wrong: exit status 2, else 1 */
    char text[512]; /* one sentence without a trailing newline; "" when nothing is set */
};

/* Puts a sentence into `e` (NULL is allowed: nothing is kept) and returns -errno_value, so that a
 * caller can write `return err_set(e, EINVAL, "...")`. errno_value is positive. A text that is too
 * long is cut. */
int err_set(struct err *e, int errno_value, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The same for a usage error; returns -EINVAL. */
int err_usage(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
