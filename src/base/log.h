/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Log lines, by audience: ERROR and WARN are for the person who runs the machine, INFO for the
 * person who watches it start, DEBUG for the developer. Lines go to stderr (or the file set by
 * log_open) as "doppel: text", written with one write() so that threads do not mix. Any thread may
 * log; a signal handler may not.
 */
#ifndef DOPPEL_BASE_LOG_H
#define DOPPEL_BASE_LOG_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/err.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

extern enum log_level log_threshold; /* lines above it are dropped; LOG_WARN at start */

/* Sends the lines to the end of the file `path` from now on (created with mode 0600). Called by
 * cmd/ at start, before other threads run. */
int log_open(const char *path, struct err *e) MUST_CHECK;

void log_write(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define log_at(level, ...)                 \
    do {                                   \
        if ((level) <= log_threshold)      \
            log_write(level, __VA_ARGS__); \
    } while (0)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)

/* A limit for lines that a guest can provoke: at most ten a second per call site, then one line
 * that counts the rest. `struct log_limit` is zero-initialised and may be static at the call site
 * (it holds no machine's state). */
struct log_limit {
    _Atomic uint64_t window; /* second of the current window, CLOCK_MONOTONIC */
    _Atomic uint32_t count;
};
bool log_limit_pass(struct log_limit *l);
#define log_guest(...)                                                      \
    do {                                                                    \
        static struct log_limit log_limit_here_;                            \
        if (LOG_DEBUG <= log_threshold && log_limit_pass(&log_limit_here_)) \
            log_write(LOG_DEBUG, __VA_ARGS__);                              \
    } while (0)

#endif
