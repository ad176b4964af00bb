/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the lines of --trace go. */
#ifndef DOPPEL_CMD_TRACE_H
#define DOPPEL_CMD_TRACE_H

#include "engine/engine.h"

struct trace {
    int fd; /* -1: standard error */
};

/* Takes CATEGORY[,CATEGORY]...[:FILE] apart, with the engine's categories or "all", and opens the
 * file. `t` outlives the machine. */
int trace_open(struct trace *t, const char *option, char *value, const struct engine_ops *engine,
               struct engine_trace *out, struct err *e) MUST_CHECK;
void trace_close(struct trace *t);

#endif
