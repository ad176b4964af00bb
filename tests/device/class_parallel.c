/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parallel port in the generic suite, in the middle of a byte. */
#include "dev/parallel.h"
#include "suite.h"

static void on_print(void *opaque, const uint8_t *buf, size_t len)
{
    suite_activity(opaque);
}

static int create(struct suite_env *env, struct device *dev)
{
    struct parallel_config cfg = {
        .irq = suite_pin(env, PARALLEL_LPT1_IRQ), .print = on_print, .opaque = env};

    return parallel_create(&cfg, env->ports, PARALLEL_LPT1_PORT, dev);
}

static void busy(struct suite_env *env, struct device *dev)
{
    bus_write(env->ports, PARALLEL_LPT1_PORT + 2, 0x1c, 1);
    bus_write(env->ports, PARALLEL_LPT1_PORT, 'x', 1);
    bus_write(env->ports, PARALLEL_LPT1_PORT + 2, 0x1d, 1);
}

const struct suite_class suite_parallel = {
    .name = "parallel",
    .create = create,
    .busy = busy,
    .ranges = {{false, PARALLEL_LPT1_PORT, 3}},
};
