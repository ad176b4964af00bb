/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What firmware needs of the board, in the generic suite: host bridges and flash. */
#include <stdlib.h>

#include "dev/host_bridge.h"
#include "dev/pflash.h"
#include "suite.h"

#define FLASH_BASE 0xffc00000u
#define FLASH_SIZE 0x10000u

static void on_pam(void *opaque, const uint8_t attributes[HOST_BRIDGE_SEGMENTS])
{
    suite_activity(opaque);
}

static void on_ecam(void *opaque, uint64_t base, unsigned buses)
{
    suite_activity(opaque);
}

static int create_host_bridge(struct suite_env *env, struct device *dev)
{
    return host_bridge_create(&(struct host_bridge_config){.bus = suite_pci(env),
                                                           .kind = HOST_BRIDGE_Q35,
                                                           .pam = on_pam,
                                                           .ecam = on_ecam,
                                                           .opaque = env},
                              dev, NULL);
}

static void busy_host_bridge(struct suite_env *env, struct device *dev)
{
    host_bridge_program(dev, 0xb0000000);
}

const struct suite_class suite_host_bridge = {
    .name = "host_bridge",
    .create = create_host_bridge,
    .busy = busy_host_bridge,
    .ranges = {{false, 0xcf8, 8}},
};

static void on_array(void *opaque, bool on, uint32_t from, uint32_t to)
{
    suite_activity(opaque);
}

static int create_pflash(struct suite_env *env, struct device *dev)
{
    struct pflash_config cfg = {
        .loop = env->loop, .size = FLASH_SIZE, .fd = -1, .array = on_array, .opaque = env};
    struct pflash *p;
    int rc;

    env->extra = cfg.data = calloc(1, FLASH_SIZE);
    if (cfg.data == NULL)
        abort();
    rc = pflash_create(&cfg, &p);
    if (rc < 0)
        return rc;
    *dev = pflash_device(p);
    return pflash_map(p, env->mmio, FLASH_BASE);
}

static void finish_pflash(struct suite_env *env)
{
    free(env->extra);
}

static void busy_pflash(struct suite_env *env, struct device *dev)
{
    bus_write(env->mmio, FLASH_BASE + 3, 0xe8, 1);
    bus_write(env->mmio, FLASH_BASE + 3, 7, 1);
    bus_write(env->mmio, FLASH_BASE + 3, 0x12, 1);
}

const struct suite_class suite_pflash = {
    .name = "pflash",
    .create = create_pflash,
    .finish = finish_pflash,
    .busy = busy_pflash,
    .ranges = {{true, FLASH_BASE, FLASH_SIZE}},
    .battery = true,
};
