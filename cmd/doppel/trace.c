/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the lines of --trace go: see trace.h. */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "terminal.h"

/* A line at a time: what the file holds is whole even if the machine ends badly. */
static void to_file(void *opaque, const char *text, size_t len)
{
    const struct trace *t = opaque;

    while (len > 0) {
        ssize_t n = write(t->fd, text, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* nowhere to report it */
        text += n;
        len -= (size_t)n;
    }
}

static void to_stderr(void *opaque, const char *text, size_t len)
{
    terminal_print(text, len);
}

static void list(const struct engine_ops *engine, char *to, size_t size)
{
    size_t at = 0;

    to[0] = '\0';
    for (const struct engine_trace_kind *k = engine->trace_kinds; k->name != NULL; k++)
        if (at < size)
            at += (size_t)snprintf(to + at, size - at, "%s, ", k->name);
}

static uint64_t find(const struct engine_ops *engine, const char *word)
{
    uint64_t all = 0;

    for (unsigned i = 0; engine->trace_kinds[i].name != NULL; i++) {
        if (strcmp(engine->trace_kinds[i].name, word) == 0)
            return UINT64_C(1) << i;
        all |= UINT64_C(1) << i;
    }
    return strcmp(word, "all") == 0 ? all : 0;
}

static int take_kinds(const char *option, char *words, const struct engine_ops *engine,
                      struct engine_trace *out, struct err *e)
{
    char known[200], *word;

    while ((word = strsep(&words, ",")) != NULL) {
        uint64_t kind = find(engine, word);

        if (kind == 0) {
            list(engine, known, sizeof(known));
            return err_usage(e, "%s: the category '%s' is unknown; use some of %sor all", option,
                             word, known);
        }
        out->kinds |= kind;
    }
    return 0;
}

int trace_open(struct trace *t, const char *option, char *value, const struct engine_ops *engine,
               struct engine_trace *out, struct err *e)
{
    char *file = strchr(value, ':');
    int rc;

    if (engine->trace_kinds == NULL)
        return err_set(e, ENOTSUP, "%s: the engine %s reports no events", option, engine->name);
    if (file != NULL)
        *file++ = '\0';
    rc = take_kinds(option, value, engine, out, e);
    if (rc < 0)
        return rc;
    if (file != NULL && file[0] == '\0')
        return err_usage(e, "%s: the path behind ':' is missing", option);
    out->line = file != NULL ? to_file : to_stderr;
    out->opaque = t;
    if (file == NULL)
        return 0;
    t->fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
    if (t->fd < 0)
        return err_set(e, errno, "%s: cannot write to %s: %s", option, file, strerror(errno));
    return 0;
}

void trace_close(struct trace *t)
{
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
}
