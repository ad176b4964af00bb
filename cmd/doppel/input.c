/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doppel type, key: a running machine's keyboard. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "commands.h"

struct input {
    struct target target;
    json_t *words; /* what follows the name */
};

/* With --control there is no name. */
static int add_word(void *opaque, char *value, struct err *e)
{
    struct input *in = opaque;

    if (in->target.name == NULL && in->target.control == NULL)
        return target_operand(&in->target, value, e);
    if (json_array_append_new(in->words, json_string(value)) < 0)
        return err_usage(e, "'%s' is no UTF-8 text", value);
    return 0;
}

static int set_control(void *opaque, const char *option, char *value, struct err *e)
{
    return target_control(&((struct input *)opaque)->target, option, value, e);
}

static const struct arg_option options[] = {
    {"control", 0, "SOCKET", "the machine's control socket, instead of NAME; comes first",
     set_control},
    {NULL},
};

/* Arguments, connection, one command of the protocol for each word. */
static int run_input(const struct arg_command *c, int argc, char **argv, const char *command,
                     json_t *(*args_of)(const char *word))
{
    struct input in = {.words = json_array()};
    struct client *cl = calloc(1, sizeof(*cl));
    struct err e = {0};
    enum args_result parsed = args_parse(c, argc, argv, &in, &e);
    int rc = parsed == ARGS_ERROR ? -EINVAL : 0;

    if (parsed == ARGS_HELP) {
        args_help(c, stdout);
    } else if (rc == 0 && (cl == NULL || in.words == NULL)) {
        rc = err_set(&e, ENOMEM, "out of memory");
    } else if (rc == 0) {
        cl->fd = -1;
        if (json_array_size(in.words) == 0)
            rc = err_usage(&e, "%s: nothing was given", c->name);
        if (rc == 0)
            rc = client_open(cl, &in.target, &e);
        for (size_t i = 0; i < json_array_size(in.words) && rc == 0; i++)
            rc = client_execute_with(
                cl, command, args_of(json_string_value(json_array_get(in.words, i))), NULL, &e);
        client_close(cl);
    }
    free(cl);
    json_decref(in.words);
    return rc < 0 ? report(&e) : 0;
}

static json_t *text_args(const char *word)
{
    return json_pack("{s:s}", "text", word);
}

/* "ctrl-alt-del" */
static json_t *keys_args(const char *word)
{
    json_t *keys = json_array();

    while (*word != '\0') {
        size_t n = strcspn(word, "-");

        json_array_append_new(
            keys, json_pack("{s:s,s:o}", "type", "qcode", "data", json_stringn(word, n)));
        word += n + (word[n] == '-' ? 1 : 0);
    }
    return json_pack("{s:o}", "keys", keys);
}

static int run_type(int argc, char **argv)
{
    return run_input(&command_type, argc, argv, "type-text", text_args);
}

static int run_key(int argc, char **argv)
{
    return run_input(&command_key, argc, argv, "send-key", keys_args);
}

const struct arg_command command_type = {
    .name = "type",
    .summary = "type a text on a machine's keyboard",
    .usage = "NAME TEXT...",
    .notes = "The keyboard is a US one. The texts follow each other; a newline is the enter key.\n",
    .options = options,
    .operand = add_word,
    .run = run_type,
};

const struct arg_command command_key = {
    .name = "key",
    .summary = "press keys of a machine's keyboard",
    .usage = "NAME KEY[-KEY]...",
    .notes = "Keys joined by '-' are pressed together, as in ctrl-alt-del or shift-a. Their names\n"
             "are those of QMP's send-key: letters and digits, ret or enter, spc, esc, tab, up,\n"
             "pgup, f1, kp_1, minus ...\n",
    .options = options,
    .operand = add_word,
    .run = run_key,
};
