/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands that only ask. */
#include <stdio.h>
#include <string.h>

#include "vm/qmp.h"
#include "vm/vm_internal.h"

static const char *const no_args[] = {NULL};

static int query_status(struct vm *vm, json_t *args, json_t **ret, struct err *e)
{
    static const char *const name[] = {
        [VM_STATUS_PRELAUNCH] = "prelaunch", [VM_STATUS_RUNNING] = "running",
        [VM_STATUS_PAUSED] = "paused",       [VM_STATUS_DEBUG] = "debug",
        [VM_STATUS_SUSPENDED] = "suspended", [VM_STATUS_ENDED] = "shutdown"};
    enum vm_status status = vm_status(vm);

    *ret = json_pack("{s:s,s:b,s:b}", "status", name[status], "singlestep", 0, "running",
                     status == VM_STATUS_RUNNING);
    return qmp_args_only(args, no_args, e);
}

static int query_name(struct vm *vm, json_t *args, json_t **ret, struct err *e)
{
    *ret = vm->cfg.name != NULL ? json_pack("{s:s}", "name", vm->cfg.name) : json_object();
    return qmp_args_only(args, no_args, e);
}

static int query_kvm(struct vm *vm, json_t *args, json_t **ret, struct err *e)
{
    bool kvm = strcmp(vm->cfg.engine->name, "kvm") == 0;

    *ret = json_pack("{s:b,s:b}", "enabled", kvm, "present", engine_find("kvm") != NULL);
    return qmp_args_only(args, no_args, e);
}

static int query_cpus(struct vm *vm, json_t *args, json_t **ret, struct err *e)
{
    char path[48];

    *ret = json_array();
    for (unsigned i = 0; i < vm->cfg.cpus; i++) {
        snprintf(path, sizeof(path), "/machine/cpu[%u]", i);
        json_array_append_new(*ret, json_pack("{s:i,s:s,s:i,s:s,s:{s:i}}", "cpu-index", (int)i,
                                              "qom-path", path, "thread-id",
                                              (int)atomic_load(&vm->vcpu[i].tid), "target",
                                              "x86_64", "props", "core-id", (int)i));
    }
    return qmp_args_only(args, no_args, e);
}

static void add_chardev(json_t *list, const char *label, const struct chardev_options *o,
                        const char *where)
{
    static const char *const kind[] = {[CHARDEV_NONE] = "null",
                                       [CHARDEV_STDIO] = "stdio",
                                       [CHARDEV_FILE] = "file",
                                       [CHARDEV_UNIX] = "unix",
                                       [CHARDEV_PTY] = "pty"};
    char filename[256];

    if (o->kind == CHARDEV_NONE)
        return;
    if (o->path != NULL || where != NULL)
        snprintf(filename, sizeof(filename), "%s:%s", kind[o->kind],
                 o->path != NULL ? o->path : where);
    else
        snprintf(filename, sizeof(filename), "%s", kind[o->kind]);
    json_array_append_new(
        list, json_pack("{s:s,s:s,s:b}", "label", label, "filename", filename, "frontend-open", 1));
}

static int query_chardev(struct vm *vm, json_t *args, json_t **ret, struct err *e)
{
    *ret = json_array();
    add_chardev(*ret, "serial0", &vm->cfg.serial, vm_serial_where(vm));
    add_chardev(*ret, "parallel0", &vm->cfg.parallel, vm_parallel_where(vm));
    add_chardev(*ret, "console0", &vm->cfg.console, vm_console_where(vm));
    return qmp_args_only(args, no_args, e);
}

const struct qmp_command qmp_query_commands[] = {
    {"query-status", query_status},  {"query-name", query_name},       {"query-kvm", query_kvm},
    {"query-cpus-fast", query_cpus}, {"query-chardev", query_chardev}, {NULL},
};
