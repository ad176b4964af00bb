/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands of keyboard and pointer: send-key and input-send-event of QEMU, and whole texts. */
#include <errno.h>
#include <string.h>

#include "display/keys.h"
#include "vm/qmp.h"
#include "vm/vm_internal.h"

enum {
    HOLD_MS = 100,
    HOLD_MAX_MS = 10000,
    KEYS_MAX = 16,
    TYPE_MS = 8, /* from one event of a text to the next */
    KEY_NUMBERS = 256,
};

/* {"type": "qcode", "data": "a"} */
static int key_of(const json_t *value, unsigned *out, struct err *e)
{
    const char *type = json_string_value(json_object_get(value, "type"));
    const json_t *data = json_object_get(value, "data");

    if (type != NULL && strcmp(type, "qcode") == 0 && json_is_string(data)) {
        *out = key_by_name(json_string_value(data));
        return *out != 0
                   ? 0
                   : err_set(e, EINVAL, "The key '%.40s' is unknown", json_string_value(data));
    }
    return err_set(e, EINVAL, "A key is {\"type\": \"qcode\", \"data\": NAME}");
}

static int integer_arg(json_t *args, const char *name, json_int_t most, json_int_t *out,
                       struct err *e)
{
    const json_t *value = json_object_get(args, name);

    if (value == NULL)
        return 0;
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > most)
        return err_set(e, EINVAL, "Parameter '%s' expects a number from 0 to %lld", name,
                       (long long)most);
    *out = json_integer_value(value);
    return 0;
}

/* All of them down, and after a while up in the opposite order. */
static int send_key(struct vm *vm, json_t *args, json_t **ret, struct err *e)
{
    static const char *const names[] = {"keys", "hold-time", NULL};
    const json_t *keys = json_object_get(args, "keys");
    unsigned key[KEYS_MAX], n = (unsigned)json_array_size(keys);
    json_int_t hold = HOLD_MS;
    int rc = qmp_args_only(args, names, e);

    if (rc == 0 && (n == 0 || n > KEYS_MAX))
        rc = err_set(e, EINVAL, "Parameter 'keys' expects an array of 1 to %d keys", KEYS_MAX);
    for (unsigned i = 0; i < n && rc == 0; i++)
        rc = key_of(json_array_get(keys, i), &key[i], e);
    if (rc == 0)
        rc = integer_arg(args, "hold-time", HOLD_MAX_MS, &hold, e);
    for (unsigned i = 0; i < n && rc == 0; i++)
        rc = vm_input_key(vm, key[i], true, TYPE_MS, e);
    for (unsigned i = n; i-- > 0 && rc == 0;)
        rc = vm_input_key(vm, key[i], false, i == n - 1 ? (unsigned)hold : 0, e);
    return rc;
}

static int type_char(struct vm *vm, char c, struct err *e)
{
    bool shift;
    unsigned key = key_by_char(c, &shift), left = key_by_name("shift");
    int rc = 0;

    if (shift)
        rc = vm_input_key(vm, left, true, TYPE_MS, e);
    if (rc == 0)
        rc = vm_input_key(vm, key, true, TYPE_MS, e);
    if (rc == 0)
        rc = vm_input_key(vm, key, false, TYPE_MS, e);
    return rc == 0 && shift ? vm_input_key(vm, left, false, TYPE_MS, e) : rc;
}

static int type_text(struct vm *vm, json_t *args, json_t **ret, struct err *e)
{
    static const char *const names[] = {"text", NULL};
    const char *text;
    bool shift;
    int rc = qmp_args_only(args, names, e);

    if (rc == 0)
        rc = qmp_arg_string(args, "text", &text, e);
    if (rc < 0)
        return rc;
    for (const char *c = text; *c != '\0'; c++)
        if (key_by_char(*c, &shift) == 0)
            return err_set(e, EINVAL, "A US keyboard has no key for what follows '%.*s'",
                           (int)(c - text < 40 ? c - text : 40), text);
    for (const char *c = text; *c != '\0' && rc == 0; c++)
        rc = type_char(vm, *c, e);
    return rc;
}

/* --- input-send-event --- */

/* What the events of one command amount to. */
struct sum {
    struct vm_motion m;
    bool any;
};

static int add_motion(const json_t *data, bool absolute, struct sum *s, struct err *e)
{
    const char *axis = json_string_value(json_object_get(data, "axis"));
    const json_t *value = json_object_get(data, "value");
    json_int_t v = json_integer_value(value), least = absolute ? 0 : -10000;

    if (axis == NULL || !json_is_integer(value) || v < least || v > 32767 ||
        (strcmp(axis, "x") != 0 && strcmp(axis, "y") != 0))
        return err_set(e, EINVAL, "A motion has an 'axis', x or y, and a 'value' up to 32767");
    if (absolute != s->m.absolute)
        s->m.x = s->m.y = 0;
    s->m.absolute = absolute;
    *(axis[0] == 'x' ? &s->m.x : &s->m.y) = (int)v;
    s->any = true;
    return 0;
}

static int add_button(const json_t *data, struct sum *s, struct err *e)
{
    static const struct {
        const char *name;
        unsigned bit;
    } button[] = {{"left", INPUT_LEFT}, {"middle", INPUT_MIDDLE}, {"right", INPUT_RIGHT}};
    const char *name = json_string_value(json_object_get(data, "button"));
    bool down = json_is_true(json_object_get(data, "down"));

    for (unsigned i = 0; name != NULL && i < 3; i++)
        if (strcmp(button[i].name, name) == 0) {
            s->m.buttons = down ? s->m.buttons | button[i].bit : s->m.buttons & ~button[i].bit;
            s->any = true;
            return 0;
        }
    if (name == NULL || (strcmp(name, "wheel-up") != 0 && strcmp(name, "wheel-down") != 0))
        return err_set(e, EINVAL, "The button '%.40s' is unknown", name != NULL ? name : "");
    if (down)
        s->m.wheel += name[6] == 'u' ? 1 : -1;
    s->any = true;
    return 0;
}

static int one_event(struct vm *vm, const json_t *event, struct sum *s, struct err *e)
{
    const char *type = json_string_value(json_object_get(event, "type"));
    const json_t *data = json_object_get(event, "data");
    unsigned key;
    int rc;

    if (type != NULL && (strcmp(type, "rel") == 0 || strcmp(type, "abs") == 0))
        return add_motion(data, type[0] == 'a', s, e);
    if (type != NULL && strcmp(type, "btn") == 0)
        return add_button(data, s, e);
    if (type == NULL || strcmp(type, "key") != 0)
        return err_set(e, EINVAL, "An event has a 'type', key, btn, rel or abs");
    rc = key_of(json_object_get(data, "key"), &key, e);
    return rc == 0 ? vm_input_key(vm, key, json_is_true(json_object_get(data, "down")), 0, e) : rc;
}

static int input_send_event(struct vm *vm, json_t *args, json_t **ret, struct err *e)
{
    static const char *const names[] = {"events", "device", "head", NULL};
    const json_t *events = json_object_get(args, "events");
    struct sum s = {.m = vm->script};
    int rc = qmp_args_only(args, names, e);

    if (rc == 0 && !json_is_array(events))
        rc = err_set(e, EINVAL, "Parameter 'events' is missing");
    for (size_t i = 0; i < json_array_size(events) && rc == 0; i++)
        rc = one_event(vm, json_array_get(events, i), &s, e);
    if (rc < 0 || !s.any)
        return rc;
    if (s.m.absolute && !machine_has_tablet(vm->machine))
        return err_set(e, ENODEV, "The guest has no driver for the tablet");
    vm->script = s.m;
    vm->script.wheel = 0;
    if (!s.m.absolute)
        vm->script.x = vm->script.y = 0;
    return vm_input_motion(vm, &s.m, TYPE_MS, e);
}

const struct qmp_command qmp_input_commands[] = {
    {"send-key", send_key},
    {"input-send-event", input_send_event},
    {"type-text", type_text},
    {NULL},
};
