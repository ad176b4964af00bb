/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands about devices that come and go, and about their images and networks. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vm/qmp.h"
#include "vm/vm_internal.h"

/* A string that may be left out: NULL. */
static int optional(json_t *args, const char *name, const char **out, struct err *e)
{
    *out = NULL;
    return json_object_get(args, name) != NULL ? qmp_arg_string(args, name, out, e) : 0;
}

static int flag(json_t *args, const char *name, bool *out, struct err *e)
{
    const json_t *value = json_object_get(args, name);

    if (value != NULL && !json_is_boolean(value))
        return err_set(e, EINVAL, "Invalid parameter type for '%s', expected: boolean", name);
    *out = json_is_true(value);
    return 0;
}

/* --- images --- */

static int file_of(json_t *args, const char **path, struct err *e)
{
    static const char *const names[] = {"driver", "filename", NULL};
    json_t *file = json_object_get(args, "file");
    const char *driver;
    int rc = 0;

    if (!json_is_object(file))
        return err_set(e, EINVAL, "Parameter 'file' is missing, or no object with a filename");
    rc = qmp_args_only(file, names, e);
    if (rc == 0)
        rc = optional(file, "driver", &driver, e);
    if (rc == 0 && driver != NULL && strcmp(driver, "file") != 0 &&
        strcmp(driver, "host_device") != 0)
        rc = err_set(e, EINVAL, "Driver '%s' is unknown; use file or host_device", driver);
    return rc == 0 ? qmp_arg_string(file, "filename", path, e) : rc;
}

static int blockdev_add(struct vm *vm, json_t *args, json_t **ret, struct err *e)
{
    static const char *const names[] = {"driver", "node-name", "read-only", "file", NULL};
    struct block_options o = {0};
    const char *name = NULL;
    int rc = qmp_args_only(args, names, e);

    if (rc == 0)
        rc = qmp_arg_string(args, "node-name", &name, e);
    if (rc == 0)
        rc = qmp_arg_string(args, "driver", &o.format, e);
    if (rc == 0 && strcmp(o.format, "raw") != 0 && strcmp(o.format, "qcow2") != 0)
        rc = err_set(e, EINVAL, "Driver '%s' is unknown; use raw or qcow2", o.format);
    if (rc == 0)
        rc = flag(args, "read-only", &o.readonly, e);
    if (rc == 0)
        rc = file_of(args, &o.path, e);
    return rc == 0 ? vm_plug_image(vm, name, &o, e) : rc;
}

static int blockdev_del(struct vm *vm, json_t *args, json_t **ret, struct err *e)
{
    static const char *const names[] = {"node-name", NULL};
    const char *name = NULL;
    int rc = qmp_args_only(args, names, e);

    if (rc == 0)
        rc = qmp_arg_string(args, "node-name", &name, e);
    return rc == 0 ? vm_unplug_image(vm, name, e) : rc;
}

/* --- networks --- */

/* As --net has it, which checks the values. */
static int net_text(json_t *args, char *text, size_t size, struct err *e)
{
    static const char *const keys[] = {"ifname", "bridge"};
    const char *type = NULL, *value;
    int rc = qmp_arg_string(args, "type", &type, e);
    size_t n;

    if (rc == 0 && strcmp(type, "user") != 0 && strcmp(type, "tap") != 0)
        rc = err_set(e, EINVAL, "Parameter 'type' is not user or tap");
    if (rc < 0)
        return rc;
    n = (size_t)snprintf(text, size, "%s", type);
    for (unsigned i = 0; i < 2 && rc == 0; i++) {
        rc = optional(args, keys[i], &value, e);
        if (rc == 0 && value != NULL && n < size)
            n += (size_t)snprintf(text + n, size - n, ",%s=%s", keys[i], value);
    }
    return rc == 0 && n >= size ? err_set(e, EINVAL, "Parameter 'ifname' is too long") : rc;
}

static int netdev_add(struct vm *vm, json_t *args, json_t **ret, struct err *e)
{
    static const char *const names[] = {"type", "id", "ifname", "bridge", NULL};
    struct net_options o;
    const char *id = NULL;
    char text[128];
    int rc = qmp_args_only(args, names, e);

    if (rc == 0)
        rc = qmp_arg_string(args, "id", &id, e);
    if (rc == 0)
        rc = net_text(args, text, sizeof(text), e);
    if (rc == 0)
        rc = net_options_parse(&o, text, e);
    return rc == 0 ? vm_plug_net(vm, id, &o, e) : rc;
}

static int netdev_del(struct vm *vm, json_t *args, json_t **ret, struct err *e)
{
    static const char *const names[] = {"id", NULL};
    const char *id = NULL;
    int rc = qmp_args_only(args, names, e);

    if (rc == 0)
        rc = qmp_arg_string(args, "id", &id, e);
    return rc == 0 ? vm_unplug_net(vm, id, e) : rc;
}

/* --- devices --- */

static int address(json_t *args, uint8_t mac[6], struct err *e)
{
    struct net_options o;
    const char *text;
    char option[64];
    int rc = optional(args, "mac", &text, e);

    if (rc < 0 || text == NULL)
        return rc;
    snprintf(option, sizeof(option), "user,mac=%.40s", text);
    rc = net_options_parse(&o, option, e);
    memcpy(mac, o.mac, sizeof(o.mac));
    return rc;
}

static int device_add(struct vm *vm, json_t *args, json_t **ret, struct err *e)
{
    static const char *const names[] = {"driver", "id", "drive", "netdev", "bus", "mac", NULL};
    struct vm_device d = {0};
    int rc = qmp_args_only(args, names, e);

    if (rc == 0)
        rc = qmp_arg_string(args, "driver", &d.driver, e);
    if (rc == 0)
        rc = qmp_arg_string(args, "id", &d.id, e);
    if (rc == 0)
        rc = optional(args, "drive", &d.drive, e);
    if (rc == 0)
        rc = optional(args, "netdev", &d.netdev, e);
    if (rc == 0)
        rc = optional(args, "bus", &d.bus, e);
    if (rc == 0)
        rc = address(args, d.mac, e);
    return rc == 0 ? vm_plug_device(vm, &d, e) : rc;
}

static int device_del(struct vm *vm, json_t *args, json_t **ret, struct err *e)
{
    static const char *const names[] = {"id", NULL};
    const char *id = NULL;
    int rc = qmp_args_only(args, names, e);

    if (rc == 0)
        rc = qmp_arg_string(args, "id", &id, e);
    return rc == 0 ? vm_unplug_device(vm, id, e) : rc;
}

const struct qmp_command qmp_plug_commands[] = {
    {"blockdev-add", blockdev_add},
    {"blockdev-del", blockdev_del},
    {"netdev_add", netdev_add},
    {"netdev_del", netdev_del},
    {"device_add", device_add},
    {"device_del", device_del},
    {NULL},
};
