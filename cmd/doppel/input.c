/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doppel type, key: a running machine's keyboard. */
#include <string.h>

#include "client.h"
#include "commands.h"

struct input {
    struct target target; /* first */
    json_t *words;        /* what follows the name */
    const char *which;    /* of the commands here */
    const char *command;  /* of the protocol, one for each word */
    json_t *(*args_of)(const char *word);
};

static int add_word(void *opaque, char *value, struct err *e)
{
    struct input *in = opaque;

    if (target_wanted(&in->target))
        return target_operand(&in->target, value, e);
    if (json_array_append_new(in->words, json_string(value)) < 0)
        return err_usage(e, "'%s' is no UTF-8 text", value);
    return 0;
}

static const struct arg_option options[] = {
    {"control", 0, "SOCKET", "the machine's control socket, instead of NAME; comes first",
     target_control},
    {NULL},
};

static int check(void *opaque, struct err *e)
{
    const struct input *in = opaque;

    return json_array_size(in->words) != 0 ? 0 : err_usage(e, "%s: nothing was given", in->which);
}

static int work(void *opaque, struct client *c, struct err *e)
{
    const struct input *in = opaque;
    int rc = 0;

    for (size_t i = 0; i < json_array_size(in->words) && rc == 0; i++)
        rc = client_execute_with(
            c, in->command, in->args_of(json_string_value(json_array_get(in->words, i))), NULL, e);
    return rc;
}

static int run_input(const struct arg_command *c, int argc, char **argv, struct input in)
{
    const struct client_command command = {c, check, work};
    int status;

    in.which = c->name;
    in.words = json_array();
    status = client_run(&command, argc, argv, &in.target);
    json_decref(in.words);
    return status;
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
    return run_input(&command_type, argc, argv,
                     (struct input){.command = "type-text", .args_of = text_args});
}

static int run_key(int argc, char **argv)
{
    return run_input(&command_key, argc, argv,
                     (struct input){.command = "send-key", .args_of = keys_args});
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
    .usage = "NAME KEY[-KEY]... ...",
    .notes = "Keys joined by '-' are pressed together, as in ctrl-alt-del or shift-a. Their names\n"
             "are those of QMP's send-key: letters and digits, ret or enter, spc, esc, tab, up,\n"
             "pgup, f1, kp_1, minus ...\n",
    .options = options,
    .operand = add_word,
    .run = run_key,
};
