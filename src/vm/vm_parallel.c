/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parallel port's other end: what is printed goes to a character back end. */
#include "vm/vm_internal.h"

static void on_print(void *opaque, const uint8_t *buf, size_t len)
{
    struct vm *vm = opaque;

    chardev_write(vm->parallel, buf, len);
}

int vm_attach_parallel(struct vm *vm, struct err *e)
{
    const struct machine_printer printer = {.print = on_print, .opaque = vm};
    const struct chardev_config cfg = {.loop = vm->loop, .option = "--parallel"};
    int rc;

    if (vm->cfg.parallel.kind == CHARDEV_NONE)
        return 0;
    rc = chardev_create(&vm->cfg.parallel, &cfg, &vm->parallel, e);
    return rc == 0 ? machine_add_parallel(vm->machine, &printer, e) : rc;
}

const char *vm_parallel_where(const struct vm *vm)
{
    return vm->parallel != NULL ? chardev_where(vm->parallel) : NULL;
}
