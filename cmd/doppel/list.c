/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doppel list: the machines that run under a name. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "commands.h"
#include "vm/rundir.h"

#define SUFFIX ".control"

struct list {
    bool json;
};

static int set_format(void *opaque, const char *option, char *value, struct err *e)
{
    struct list *l = opaque;

    l->json = strcmp(value, "json") == 0;
    if (!l->json && strcmp(value, "table") != 0)
        return err_usage(e, "%s: '%s' is unknown; use table or json", option, value);
    return 0;
}

static const struct arg_option options[] = {
    {"format", 0, "table|json", "how to print (default table)", set_format},
    {NULL},
};

/* {"name", "status", "pid"}; NULL: it does not run, or does not answer. */
static json_t *ask(struct client *c, const char *name, const char *path)
{
    json_t *status = NULL, *entry = NULL;
    struct err e;

    if (client_open_path(c, name, path, &e) == 0 &&
        client_execute(c, "query-status", &status, &e) == 0)
        entry = json_pack("{s:s,s:O,s:i}", "name", name, "status",
                          json_object_get(status, "status"), "pid", (int)c->pid);
    json_decref(status);
    client_close(c);
    return entry;
}

static int is_control(const struct dirent *d)
{
    size_t n = strlen(d->d_name), k = strlen(SUFFIX);

    return n > k && strcmp(d->d_name + n - k, SUFFIX) == 0;
}

static int collect(json_t *to, struct err *e)
{
    char folder[RUNDIR_PATH], path[RUNDIR_PATH];
    struct client *c = calloc(1, sizeof(*c));
    int rc = c != NULL ? rundir_open(folder, e) : err_set(e, ENOMEM, "out of memory"), n = 0;
    struct dirent **found = NULL;

    if (rc == 0 && (n = scandir(folder, &found, is_control, alphasort)) < 0)
        rc = err_set(e, errno, "cannot read %s: %s", folder, strerror(errno));
    for (int i = 0; i < n; i++) {
        char *name = found[i]->d_name;
        json_t *entry = NULL;

        name[strlen(name) - strlen(SUFFIX)] = '\0';
        if (rundir_socket(name, "control", path, e) == 0)
            entry = ask(c, name, path);
        if (entry != NULL)
            json_array_append_new(to, entry);
        free(found[i]);
    }
    free(found);
    free(c);
    return rc;
}

static void print_table(const json_t *all)
{
    size_t i;
    const json_t *m;

    printf("%-20s %-10s %s\n", "NAME", "STATUS", "PID");
    json_array_foreach((json_t *)all, i, m)
    {
        printf("%-20s %-10s %d\n", json_string_value(json_object_get(m, "name")),
               json_string_value(json_object_get(m, "status")),
               (int)json_integer_value(json_object_get(m, "pid")));
    }
}

static int run(int argc, char **argv)
{
    struct list l = {0};
    struct err e = {0};
    json_t *all;
    int rc;

    if (!command_args(&command_list, argc, argv, &l, &rc))
        return rc;
    all = json_array();
    rc = collect(all, &e);
    if (rc == 0 && l.json) {
        json_dumpf(all, stdout, JSON_INDENT(2));
        puts("");
    } else if (rc == 0) {
        print_table(all);
    }
    json_decref(all);
    return rc < 0 ? report(&e) : 0;
}

const struct arg_command command_list = {
    .name = "list",
    .summary = "show the machines that run under a name",
    .usage = "[option]...",
    .options = options,
    .run = run,
};
