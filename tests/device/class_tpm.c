/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The TPM in the generic suite; its back end answers from the loop. */
#include <errno.h>
#include <stdlib.h>

#include "dev/tpm.h"
#include "suite.h"

struct extra {
    struct suite_env *env;
    struct tpm *tpm;
    bool posted;
};

static void on_post(void *opaque)
{
    static const uint8_t answer[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 0, 0, 0xab, 0xcd};
    struct extra *x = opaque;

    x->posted = false;
    tpm_answer(x->tpm, answer, sizeof(answer));
}

static int on_send(void *opaque, const uint8_t *command, size_t len)
{
    struct extra *x = opaque;

    suite_activity(x->env);
    if (x->posted)
        return -EBUSY;
    x->posted = true;
    return loop_post(x->env->loop, on_post, x);
}

static void on_reset(void *opaque)
{
}

static int create(struct suite_env *env, struct device *dev)
{
    struct extra *x = calloc(1, sizeof(*x));
    struct tpm_backend b = {.opaque = x, .send = on_send, .reset = on_reset};

    if (x == NULL || tpm_create(&b, env->mmio, &x->tpm) < 0)
        abort();
    x->env = env;
    env->extra = x;
    *dev = tpm_device(x->tpm);
    return 0;
}

static void finish(struct suite_env *env)
{
    free(env->extra);
}

/* A command on its way. */
static void busy(struct suite_env *env, struct device *dev)
{
    static const uint8_t command[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0};

    bus_write(env->mmio, TPM_BASE, 2, 1);
    bus_write(env->mmio, TPM_BASE + 0x18, 0x40, 1);
    for (unsigned i = 0; i < sizeof(command); i++)
        bus_write(env->mmio, TPM_BASE + 0x24, command[i], 1);
    bus_write(env->mmio, TPM_BASE + 0x18, 0x20, 1);
}

const struct suite_class suite_tpm = {
    .name = "tpm",
    .create = create,
    .finish = finish,
    .busy = busy,
    .ranges = {{true, TPM_BASE, 0x5000}, {true, TPM_BASE, 0x28}, {true, TPM_BASE + 0x1000, 0x28}},
};
