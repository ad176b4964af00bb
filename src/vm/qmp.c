/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A session of the control protocol: see qmp.h. */
#include "vm/qmp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

/* Messages are JSON objects one after the other, with nothing or white space between them. Where
 * one ends is known by its brackets; what is no object is an error up to the end of its line. */
enum { BETWEEN, INSIDE, GARBAGE };

struct qmp_session {
    struct qmp_config cfg;
    bool ready; /* qmp_capabilities came */
    uint8_t state;
    bool string, escaped;
    unsigned depth;
    size_t len;
    char buf[QMP_MAX];
};

/* --- output --- */

/* Takes the message. */
static void send_message(struct qmp_session *s, json_t *message)
{
    char *text = message != NULL ? json_dumps(message, JSON_COMPACT) : NULL;

    json_decref(message);
    if (text == NULL)
        return;
    s->cfg.send(s->cfg.opaque, text, strlen(text));
    s->cfg.send(s->cfg.opaque, "\r\n", 2);
    free(text);
}

static void add_id(json_t *message, json_t *id)
{
    if (id != NULL)
        json_object_set(message, "id", id);
}

static void send_error(struct qmp_session *s, json_t *id, const char *class, const char *text)
{
    json_t *m = json_pack("{s:{s:s,s:s}}", "error", "class", class, "desc", text);

    add_id(m, id);
    send_message(s, m);
}

/* Takes `ret`, which may be NULL. */
static void send_return(struct qmp_session *s, json_t *id, json_t *ret)
{
    json_t *m = json_pack("{s:o}", "return", ret != NULL ? ret : json_object());

    add_id(m, id);
    send_message(s, m);
}

void qmp_session_event(struct qmp_session *s, const char *name, json_t *data)
{
    struct timeval now;
    json_t *m;

    if (!s->ready)
        return;
    gettimeofday(&now, NULL);
    m = json_pack("{s:s,s:{s:I,s:I}}", "event", name, "timestamp", "seconds",
                  (json_int_t)now.tv_sec, "microseconds", (json_int_t)now.tv_usec);
    if (data != NULL)
        json_object_set(m, "data", data);
    send_message(s, m);
}

/* "0.1.0" as three numbers, in the place where tools look for them. */
static json_t *version(void)
{
    int major = 0, minor = 0, micro = 0;

    (void)sscanf(DOPPEL_VERSION, "%d.%d.%d", &major, &minor, &micro);
    return json_pack("{s:{s:i,s:i,s:i},s:s}", "qemu", "major", major, "minor", minor, "micro",
                     micro, "package", "doppel " DOPPEL_VERSION);
}

/* --- commands that are the session's own --- */

static void query_commands(struct qmp_session *s, json_t *id)
{
    static const char *const own[] = {"qmp_capabilities", "query-commands", "query-version"};
    json_t *list = json_array();

    for (unsigned i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        json_array_append_new(list, json_pack("{s:s}", "name", own[i]));
    for (unsigned t = 0; s->cfg.tables[t] != NULL; t++)
        for (const struct qmp_command *c = s->cfg.tables[t]; c->name != NULL; c++)
            json_array_append_new(list, json_pack("{s:s}", "name", c->name));
    send_return(s, id, list);
}

/* No capability is offered, so none may be enabled. */
static void capabilities(struct qmp_session *s, json_t *id, json_t *args)
{
    const json_t *enable = json_object_get(args, "enable");

    if (s->ready) {
        send_error(s, id, "CommandNotFound",
                   "Capabilities negotiation is already complete, command ignored");
    } else if (enable != NULL && json_array_size(enable) > 0) {
        send_error(s, id, "GenericError", "No capability is offered");
    } else {
        s->ready = true;
        send_return(s, id, NULL);
    }
}

/* --- dispatch --- */

static const struct qmp_command *find(const struct qmp_session *s, const char *name)
{
    for (unsigned t = 0; s->cfg.tables[t] != NULL; t++)
        for (const struct qmp_command *c = s->cfg.tables[t]; c->name != NULL; c++)
            if (strcmp(c->name, name) == 0)
                return c;
    return NULL;
}

static void execute(struct qmp_session *s, json_t *id, const char *name, json_t *args)
{
    const struct qmp_command *c = find(s, name);
    struct err e = {0};
    json_t *ret = NULL;
    char text[160];

    if (strcmp(name, "qmp_capabilities") == 0) {
        capabilities(s, id, args);
    } else if (!s->ready) {
        send_error(s, id, "CommandNotFound",
                   "Expecting capabilities negotiation with 'qmp_capabilities'");
    } else if (strcmp(name, "query-commands") == 0) {
        query_commands(s, id);
    } else if (strcmp(name, "query-version") == 0) {
        send_return(s, id, version());
    } else if (c == NULL) {
        snprintf(text, sizeof(text), "The command %.100s has not been found", name);
        send_error(s, id, "CommandNotFound", text);
    } else if (c->run(s->cfg.vm, args, &ret, &e) < 0) {
        json_decref(ret);
        send_error(s, id, "GenericError", e.text);
    } else {
        send_return(s, id, ret);
    }
}

/* Only the members that are known, each of its type. */
static const char *mistake(const json_t *m)
{
    const char *key;
    const json_t *value;

    if (!json_is_object(m))
        return "QMP input must be a JSON object";
    json_object_foreach((json_t *)m, key, value)
    {
        if (strcmp(key, "execute") == 0) {
            if (!json_is_string(value))
                return "QMP input member 'execute' must be a string";
        } else if (strcmp(key, "arguments") == 0) {
            if (!json_is_object(value))
                return "QMP input member 'arguments' must be an object";
        } else if (strcmp(key, "id") != 0) {
            return "QMP input has a member that is not execute, arguments or id";
        }
    }
    return json_object_get(m, "execute") == NULL ? "QMP input lacks member 'execute'" : NULL;
}

static void message(struct qmp_session *s)
{
    json_error_t why;
    json_t *m = json_loadb(s->buf, s->len, JSON_REJECT_DUPLICATES, &why), *args, *none;
    const char *wrong;

    if (m == NULL) {
        send_error(s, NULL, "GenericError", "JSON parse error");
        return;
    }
    wrong = mistake(m);
    if (wrong != NULL) {
        send_error(s, json_object_get(m, "id"), "GenericError", wrong);
        json_decref(m);
        return;
    }
    none = json_object();
    args = json_object_get(m, "arguments");
    execute(s, json_object_get(m, "id"), json_string_value(json_object_get(m, "execute")),
            args != NULL ? args : none);
    json_decref(none);
    json_decref(m);
}

/* --- input --- */

/* One byte of a message. true: it was the last. */
static bool inside(struct qmp_session *s, char c)
{
    if (s->string) {
        if (s->escaped)
            s->escaped = false;
        else if (c == '\\')
            s->escaped = true;
        else if (c == '"')
            s->string = false;
        return false;
    }
    switch (c) {
    case '"':
        s->string = true;
        return false;
    case '{':
    case '[':
        s->depth++;
        return false;
    case '}':
    case ']':
        return --s->depth == 0;
    default:
        return false;
    }
}

static void between(struct qmp_session *s, char c)
{
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
        return;
    s->len = 0;
    s->depth = 0;
    s->string = s->escaped = false;
    s->state = c == '{' || c == '[' ? INSIDE : GARBAGE;
}

static bool put(struct qmp_session *s, char c)
{
    if (s->state == BETWEEN)
        between(s, c);
    if (s->state == GARBAGE && c == '\n') {
        s->state = BETWEEN;
        send_error(s, NULL, "GenericError", "JSON parse error");
    }
    if (s->state != INSIDE)
        return true;
    if (s->len == sizeof(s->buf))
        return false;
    s->buf[s->len++] = c;
    if (inside(s, c)) {
        s->state = BETWEEN;
        message(s);
    }
    return true;
}

bool qmp_session_input(struct qmp_session *s, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!put(s, (char)bytes[i]))
            return false;
    return true;
}

/* --- life --- */

int qmp_session_create(const struct qmp_config *cfg, struct qmp_session **out)
{
    struct qmp_session *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return -ENOMEM;
    s->cfg = *cfg;
    send_message(s, json_pack("{s:{s:o,s:[]}}", "QMP", "version", version(), "capabilities"));
    *out = s;
    return 0;
}

void qmp_session_destroy(struct qmp_session *s)
{
    free(s);
}

/* --- arguments --- */

int qmp_args_only(json_t *args, const char *const *names, struct err *e)
{
    const char *key;
    const json_t *value;

    json_object_foreach(args, key, value)
    {
        unsigned i = 0;

        while (names[i] != NULL && strcmp(names[i], key) != 0)
            i++;
        if (names[i] == NULL)
            return err_set(e, EINVAL, "Parameter '%s' is unexpected", key);
    }
    return 0;
}

int qmp_arg_string(json_t *args, const char *name, const char **out, struct err *e)
{
    const json_t *value = json_object_get(args, name);

    if (value == NULL)
        return err_set(e, EINVAL, "Parameter '%s' is missing", name);
    if (!json_is_string(value))
        return err_set(e, EINVAL, "Invalid parameter type for '%s', expected: string", name);
    *out = json_string_value(value);
    return 0;
}
