/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doppel click: a running machine's pointer. */
#include <errno.h>
#include <string.h>

#include "client.h"
#include "commands.h"
#include "vm/options.h"

enum { TABLET_MAX = 32767, SCREEN_MAX = 65535 };

struct click {
    struct target target; /* first */
    uint64_t place[2];    /* x and y */
    unsigned places;
    const char *button;
    bool twice;
};

static int add_word(void *opaque, char *value, struct err *e)
{
    struct click *k = opaque;

    if (target_wanted(&k->target))
        return target_operand(&k->target, value, e);
    if (k->places == 2)
        return err_usage(e, "click: '%s' is too much; a place is X Y", value);
    return option_number("click", value, 0, SCREEN_MAX, &k->place[k->places++], e);
}

static int set_button(void *opaque, const char *option, char *value, struct err *e)
{
    if (strcmp(value, "left") != 0 && strcmp(value, "middle") != 0 && strcmp(value, "right") != 0)
        return err_usage(e, "%s: '%s' is unknown; use left, middle or right", option, value);
    ((struct click *)opaque)->button = value;
    return 0;
}

static const struct arg_option options[] = {
    {"button", 0, "left|middle|right", "which button (default left)", set_button},
    {"double", 0, NULL, "click twice", ARG_FLAG(struct click, twice)},
    {"control", 0, "SOCKET", "the machine's control socket, instead of NAME; comes first",
     target_control},
    {NULL},
};

static json_t *axis_event(const char *axis, uint64_t at, json_int_t size)
{
    json_int_t v = size > 1 ? (json_int_t)at * TABLET_MAX / (size - 1) : 0;

    return json_pack("{s:s,s:{s:s,s:I}}", "type", "abs", "data", "axis", axis, "value", v);
}

static int send_events(struct client *cl, json_t *events, struct err *e)
{
    return client_execute_with(cl, "input-send-event", json_pack("{s:o}", "events", events), NULL,
                               e);
}

static int button(struct client *cl, const char *name, bool down, struct err *e)
{
    return send_events(
        cl, json_pack("[{s:s,s:{s:s,s:b}}]", "type", "btn", "data", "button", name, "down", down),
        e);
}

static int check(void *opaque, struct err *e)
{
    const struct click *k = opaque;

    return k->places == 2 ? 0
                          : err_usage(e, "click: name the place, as in 'doppel click NAME 100 20'");
}

static int click(void *opaque, struct client *cl, struct err *e)
{
    const struct click *k = opaque;
    json_t *screen = NULL;
    json_int_t width = 0, height = 0;
    int rc = client_execute(cl, "query-screen", &screen, e);

    if (rc < 0)
        return rc;
    width = json_integer_value(json_object_get(screen, "width"));
    height = json_integer_value(json_object_get(screen, "height"));
    json_decref(screen);
    if ((json_int_t)k->place[0] >= width || (json_int_t)k->place[1] >= height)
        return err_set(e, ERANGE, "click: the screen has %lld by %lld pixels", (long long)width,
                       (long long)height);
    rc = send_events(cl,
                     json_pack("[o,o]", axis_event("x", k->place[0], width),
                               axis_event("y", k->place[1], height)),
                     e);
    for (unsigned i = 0; i < (k->twice ? 2u : 1u) && rc == 0; i++) {
        rc = button(cl, k->button, true, e);
        if (rc == 0)
            rc = button(cl, k->button, false, e);
    }
    return rc;
}

static int run_click(int argc, char **argv)
{
    static const struct client_command command = {&command_click, check, click};
    struct click k = {.button = "left"};

    return client_run(&command, argc, argv, &k.target);
}

const struct arg_command command_click = {
    .name = "click",
    .summary = "click at a place of a machine's screen",
    .usage = "NAME X Y [option]...",
    .notes = "X and Y count pixels from the upper left corner. The guest needs a driver for the\n"
             "virtio tablet.\n",
    .options = options,
    .operand = add_word,
    .run = run_click,
};
