/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands about the media of CD-ROM and floppy drives. */
#include <errno.h>
#include <string.h>

#include "vm/qmp.h"
#include "vm/vm_internal.h"

/* `id` is QMP's newer word for `device`; without either it is the first drive. */
static int find_drive(struct vm *vm, json_t *args, unsigned *out, struct err *e)
{
    const json_t *id = json_object_get(args, "id"), *device = json_object_get(args, "device");
    const char *name =
        id == NULL && device == NULL ? "cd0" : json_string_value(id != NULL ? id : device);
    int rc;

    if (name == NULL)
        return err_set(e, EINVAL, "Parameter 'device' is not a string");
    rc = vm_find_disk(vm, name, out, e);
    if (rc == 0 && !vm_disk_removable(vm, *out))
        rc = err_set(e, EINVAL, "Device '%s' is not removable", name);
    return rc;
}

static bool truth(json_t *args, const char *name)
{
    return json_is_true(json_object_get(args, name));
}

static int eject(struct vm *vm, json_t *args, json_t **ret, struct err *e)
{
    static const char *const names[] = {"device", "id", "force", NULL};
    unsigned i = 0;
    int rc = qmp_args_only(args, names, e);

    if (rc == 0)
        rc = find_drive(vm, args, &i, e);
    return rc == 0 ? vm_change_medium(vm, i, NULL, truth(args, "force"), e) : rc;
}

static int change_medium(struct vm *vm, json_t *args, json_t **ret, struct err *e)
{
    static const char *const names[] = {"device",         "id", "filename", "format", "force",
                                        "read-only-mode", NULL};
    const char *file = NULL, *format = json_string_value(json_object_get(args, "format"));
    unsigned i = 0;
    int rc = qmp_args_only(args, names, e);

    if (rc == 0)
        rc = qmp_arg_string(args, "filename", &file, e);
    if (rc == 0 && format != NULL && strcmp(format, "raw") != 0)
        rc = err_set(e, ENOTSUP,
                     "The format '%s' is none of a CD-ROM's or a floppy disk's; it is raw", format);
    if (rc == 0)
        rc = find_drive(vm, args, &i, e);
    return rc == 0 ? vm_change_medium(vm, i, file, truth(args, "force"), e) : rc;
}

const struct qmp_command qmp_medium_commands[] = {
    {"eject", eject},
    {"blockdev-change-medium", change_medium},
    {NULL},
};
