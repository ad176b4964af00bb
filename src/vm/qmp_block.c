/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands about disks. A disk's name is that of the guest's kernel, see vm_disk_name. */
#include <errno.h>

#include "block/qcow2.h"
#include "vm/qmp.h"
#include "vm/vm_internal.h"

static json_t *image(const struct block_image *im)
{
    json_t *j = json_pack("{s:s,s:s,s:I}", "filename", im->path, "format", im->ops->format,
                          "virtual-size", (json_int_t)block_image_size(im));
    struct qcow2_info q;

    if (!qcow2_is(im))
        return j;
    qcow2_info(im, &q);
    json_object_set_new(j, "cluster-size", json_integer((json_int_t)1 << q.cluster_bits));
    json_object_set_new(j, "dirty-flag", json_boolean(q.dirty));
    if (im->backing == NULL)
        return j;
    json_object_set_new(j, "backing-filename", json_string(im->backing->path));
    json_object_set_new(j, "backing-image", image(im->backing));
    return j;
}

static int depth(const struct block_image *im, bool snapshot)
{
    int n = snapshot ? 1 : 0;

    for (; im->backing != NULL; im = im->backing)
        n++;
    return n;
}

static json_t *inserted(const struct block_backend *b, bool snapshot)
{
    const struct block_image *im = block_image_of(b);

    return json_pack("{s:s,s:b,s:s,s:b,s:i,s:s,s:o}", "file", block_path(b), "ro",
                     block_readonly(b), "drv", block_format(b), "encrypted", 0,
                     "backing_file_depth", depth(im, snapshot), "detect_zeroes", "off", "image",
                     image(im));
}

static json_t *disk(struct vm *vm, unsigned i)
{
    bool cdrom = vm->cfg.disks[i].bus == VM_DISK_CDROM;
    char name[VM_DISK_NAME];
    json_t *o;

    vm_disk_name(vm, i, name);
    o = json_pack("{s:s,s:s,s:b,s:b}", "device", name, "type", "unknown", "removable",
                  vm_disk_removable(vm, i), "locked",
                  cdrom && machine_cdrom_locked(vm->machine, vm_drive_number(vm, i)));
    if (vm->disks[i] != NULL)
        json_object_set_new(o, "inserted", inserted(vm->disks[i], vm->cfg.disks[i].snapshot));
    return o;
}

static int query_block(struct vm *vm, json_t *args, json_t **ret, struct err *e)
{
    static const char *const no_args[] = {NULL};

    struct block_backend *b;
    const char *id;

    *ret = json_array();
    for (unsigned i = 0; i < vm->cfg.disk_count; i++)
        json_array_append_new(*ret, disk(vm, i));
    for (unsigned i = 0; vm_plug_disk(vm, i, &id, &b); i++)
        json_array_append_new(*ret, json_pack("{s:s,s:s,s:b,s:b,s:o}", "device", id, "type",
                                              "unknown", "removable", 0, "locked", 0, "inserted",
                                              inserted(b, false)));
    return qmp_args_only(args, no_args, e);
}

/* Of a disk that was there at the start, or came. */
static int find_image(struct vm *vm, const char *device, struct block_backend **out, struct err *e)
{
    unsigned i;
    int rc;

    *out = vm_plug_find_image(vm, device);
    if (*out != NULL)
        return 0;
    rc = vm_find_disk(vm, device, &i, e);
    if (rc < 0)
        return rc;
    *out = vm->disks[i];
    return vm_disk_removable(vm, i) ? err_set(e, EINVAL, "Device '%s' is not a disk", device) : 0;
}

static int block_resize(struct vm *vm, json_t *args, json_t **ret, struct err *e)
{
    static const char *const names[] = {"device", "size", NULL};
    const json_t *size = json_object_get(args, "size");
    const char *device = NULL;
    struct block_backend *b = NULL;
    int rc = qmp_args_only(args, names, e);

    if (rc == 0)
        rc = qmp_arg_string(args, "device", &device, e);
    if (rc == 0 && (!json_is_integer(size) || json_integer_value(size) < 0))
        rc = err_set(e, EINVAL, "Parameter 'size' is missing, or not a number of bytes");
    if (rc == 0)
        rc = find_image(vm, device, &b, e);
    if (rc == 0)
        rc = block_grow(b, (uint64_t)json_integer_value(size), e);
    if (rc == 0)
        machine_disk_resized(vm->machine, b);
    return rc;
}

const struct qmp_command qmp_block_commands[] = {
    {"query-block", query_block},
    {"block_resize", block_resize},
    {NULL},
};
