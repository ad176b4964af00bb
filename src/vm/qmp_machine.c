/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands that change how the machine runs. */
#include <errno.h>

#include "vm/qmp.h"
#include "vm/vm_internal.h"

static const char *const no_args[] = {NULL};

static int do_stop(struct vm *vm, json_t *args, json_t **ret, struct err *e)
{
    int rc = qmp_args_only(args, no_args, e);

    if (rc == 0)
        vm_pause(vm);
    return rc;
}

static int do_cont(struct vm *vm, json_t *args, json_t **ret, struct err *e)
{
    int rc = qmp_args_only(args, no_args, e);

    if (rc == 0)
        vm_resume(vm);
    return rc;
}

static int do_powerdown(struct vm *vm, json_t *args, json_t **ret, struct err *e)
{
    int rc = qmp_args_only(args, no_args, e);

    if (rc == 0)
        vm_power_button(vm);
    return rc;
}

static int do_reset(struct vm *vm, json_t *args, json_t **ret, struct err *e)
{
    int rc = qmp_args_only(args, no_args, e);

    if (rc == 0)
        vm_reset(vm);
    return rc;
}

static int do_wakeup(struct vm *vm, json_t *args, json_t **ret, struct err *e)
{
    int rc = qmp_args_only(args, no_args, e);

    if (rc == 0 && !vm_wake_up(vm))
        rc = err_set(e, EINVAL, "Unable to wake up: guest is not in suspended state");
    return rc;
}

static int do_quit(struct vm *vm, json_t *args, json_t **ret, struct err *e)
{
    int rc = qmp_args_only(args, no_args, e);

    if (rc == 0) {
        vm->quit_by = "host-qmp-quit";
        vm_quit(vm);
    }
    return rc;
}

const struct qmp_command qmp_machine_commands[] = {
    {"stop", do_stop},
    {"cont", do_cont},
    {"system_powerdown", do_powerdown},
    {"system_reset", do_reset},
    {"system_wakeup", do_wakeup},
    {"quit", do_quit},
    {NULL},
};

const struct qmp_command *const qmp_tables[] = {
    qmp_machine_commands, qmp_query_commands,  qmp_block_commands, qmp_display_commands,
    qmp_input_commands,   qmp_medium_commands, qmp_plug_commands,  NULL,
};
