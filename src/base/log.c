/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Log lines and their rate limit; the contract is in log.h. */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024
#define LINES_PER_SECOND 10

enum log_level log_threshold = LOG_WARN;
static _Atomic int log_fd = STDERR_FILENO;

int log_open(const char *path, struct err *e)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int old;

    if (fd < 0)
        return err_set(e, errno, "cannot open the log file '%s': %s", path, strerror(errno));
    /* Another thread may be about to write to the old descriptor: dup3 keeps the number valid. */
    old = atomic_load(&log_fd);
    if (old == STDERR_FILENO) {
        atomic_store(&log_fd, fd);
    } else {
        dup3(fd, old, O_CLOEXEC);
        close(fd);
    }
    return 0;
}

static void write_all(int fd, const char *p, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* nowhere to report it */
        p += n;
        len -= (size_t)n;
    }
}

static const char *level_prefix(enum log_level level)
{
    switch (level) {
    case LOG_ERROR:
        return "error: ";
    case LOG_WARN:
        return "warning: ";
    default:
        return "";
    }
}

void log_write(enum log_level level, const char *fmt, ...)
{
    char line[LINE_MAX_BYTES];
    int saved_errno = errno;
    size_t len = (size_t)snprintf(line, sizeof(line), "doppel: %s", level_prefix(level));
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(line + len, sizeof(line) - len, fmt, args);
    va_end(args);
    if (n > 0)
        len += (size_t)n;
    if (len > sizeof(line) - 2)
        len = sizeof(line) - 2;
    line[len++] = '\n';
    write_all(atomic_load_explicit(&log_fd, memory_order_relaxed), line, len);
    errno = saved_errno;
}

/* The second that starts a new window also reports what the old one dropped. Two threads that meet
 * here may let one line too many through; that is fine for a limit. */
bool log_limit_pass(struct log_limit *l)
{
    struct timespec ts;
    uint64_t now, window;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    now = (uint64_t)ts.tv_sec + 1; /* 0 is the zero-initialised window */
    window = atomic_load(&l->window);
    if (window != now && atomic_compare_exchange_strong(&l->window, &window, now)) {
        uint32_t seen = atomic_exchange(&l->count, 1);

        if (seen > LINES_PER_SECOND)
            log_write(LOG_DEBUG, "%u more lines like the following were dropped",
                      seen - LINES_PER_SECOND);
        return true;
    }
    return atomic_fetch_add(&l->count, 1) < LINES_PER_SECOND;
}
