/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Command line arguments by table: see args.h. */
#include "args.h"

#include <stdio.h>
#include <string.h>

static const struct arg_option *find_long(const struct arg_command *c, const char *name, size_t len)
{
    for (const struct arg_option *o = c->options; o->name != NULL; o++)
        if (strlen(o->name) == len && strncmp(o->name, name, len) == 0)
            return o;
    return NULL;
}

static const struct arg_option *find_short(const struct arg_command *c, char letter)
{
    for (const struct arg_option *o = c->options; o->name != NULL; o++)
        if (o->letter == letter)
            return o;
    return NULL;
}

static int unknown(const struct arg_command *c, const char *word, struct err *e)
{
    return err_usage(e, "%s: the option %s is unknown; 'doppel %s --help' lists them all", c->name,
                     word, c->name);
}

/* Handles argv[*at]; `value` is what hangs on the same word, or NULL. */
static int take(const struct arg_command *c, const struct arg_option *o, int argc, char **argv,
                int *at, char *value, void *opaque, struct err *e)
{
    char option[40];

    snprintf(option, sizeof(option), "--%s", o->name);
    if (o->value == NULL && value != NULL)
        return err_usage(e, "%s: it takes no value, remove '%s'", option, value);
    if (o->value != NULL && value == NULL) {
        if (*at + 1 >= argc)
            return err_usage(e, "%s: its value is missing; write %s %s", option, option, o->value);
        value = argv[++*at];
    }
    if (o->set != NULL)
        return o->set(opaque, option, value, e);
    *(bool *)((char *)opaque + o->flag) = true;
    return 0;
}

static int take_word(const struct arg_command *c, int argc, char **argv, int *at, void *opaque,
                     struct err *e)
{
    char *word = argv[*at];
    const struct arg_option *o;

    if (word[1] == '-') {
        char *equals = strchr(word, '=');
        size_t len = equals != NULL ? (size_t)(equals - word) : strlen(word);

        o = find_long(c, word + 2, len - 2);
        if (o == NULL)
            return unknown(c, word, e);
        return take(c, o, argc, argv, at, equals != NULL ? equals + 1 : NULL, opaque, e);
    }
    o = find_short(c, word[1]);
    if (o == NULL)
        return unknown(c, word, e);
    return take(c, o, argc, argv, at, word[2] != '\0' ? word + 2 : NULL, opaque, e);
}

enum args_result args_parse(const struct arg_command *c, int argc, char **argv, void *opaque,
                            struct err *e)
{
    bool options = true;

    for (int i = 0; i < argc; i++) {
        char *word = argv[i];
        int rc;

        if (options && strcmp(word, "--") == 0) {
            options = false;
            continue;
        }
        if (options && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0))
            return ARGS_HELP;
        if (options && word[0] == '-' && word[1] != '\0')
            rc = take_word(c, argc, argv, &i, opaque, e);
        else if (c->operand != NULL)
            rc = c->operand(opaque, word, e);
        else
            rc = err_usage(e, "%s: unexpected word '%s'; 'doppel %s --help' shows the usage",
                           c->name, word, c->name);
        if (rc < 0)
            return ARGS_ERROR;
    }
    return ARGS_OK;
}

static void option_help(const struct arg_option *o, FILE *out)
{
    char head[80];

    snprintf(head, sizeof(head), "  %c%c%s --%s%s%s", o->letter ? '-' : ' ',
             o->letter ? o->letter : ' ', o->letter ? "," : " ", o->name, o->value ? " " : "",
             o->value ? o->value : "");
    if (strlen(head) < 30)
        fprintf(out, "%-30s%s\n", head, o->help);
    else
        fprintf(out, "%s\n%-30s%s\n", head, "", o->help);
}

void args_help(const struct arg_command *c, FILE *out)
{
    fprintf(out, "Usage: doppel %s %s\n\n%s.\n\nOptions:\n", c->name, c->usage, c->summary);
    for (const struct arg_option *o = c->options; o->name != NULL; o++)
        if (o->help != NULL)
            option_help(o, out);
    fprintf(out, "  -h, --help                  show this\n");
    if (c->notes != NULL)
        fprintf(out, "\n%s", c->notes);
}
