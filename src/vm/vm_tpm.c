/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The machine's TPM and the software TPM behind it. */
#include "base/log.h"
#include "vm/swtpm.h"
#include "vm/vm_internal.h"

static int on_send(void *opaque, const uint8_t *command, size_t len)
{
    struct vm *vm = opaque;

    return swtpm_send(vm->tpm, command, len);
}

static void on_reset(void *opaque)
{
    struct vm *vm = opaque;

    if (swtpm_reset(vm->tpm) < 0)
        log_warn("swtpm could not be reset");
}

static void on_answer(void *opaque, const uint8_t *buf, size_t len)
{
    struct vm *vm = opaque;

    machine_tpm_answer(vm->machine, buf, len);
}

int vm_attach_tpm(struct vm *vm, struct err *e)
{
    const struct tpm_backend b = {.opaque = vm, .send = on_send, .reset = on_reset};
    int rc;

    if (vm->cfg.tpm == NULL)
        return 0;
    rc = swtpm_create("--tpm", vm->cfg.tpm, vm->loop, &vm->tpm, e);
    if (rc < 0)
        return rc;
    swtpm_attach(vm->tpm, on_answer, vm);
    return machine_add_tpm(vm->machine, &b, e);
}
