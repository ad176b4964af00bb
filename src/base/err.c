/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Filling a struct err; the contract is in err.h. */
#include "base/err.h"

#include <errno.h>
#include <stdio.h>

static void fill(struct err *e, bool usage, const char *fmt, va_list args)
{
    if (e == NULL)
        return;
    e->usage = usage;
    vsnprintf(e->text, sizeof(e->text), fmt, args);
}

int err_set(struct err *e, int errno_value, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    fill(e, false, fmt, args);
    va_end(args);
    return -errno_value;
}

int err_usage(struct err *e, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    fill(e, true, fmt, args);
    va_end(args);
    return -EINVAL;
}
