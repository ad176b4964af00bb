/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The NVMe controller in the generic suite, with a driver that has commands in its queues. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dev/nvme/nvme.h"
#include "nvme_driver.h"
#include "suite.h"
#include "temp_disk.h"

#define DEVFN PCI_DEVFN(3, 0)
#define BARS_SIZE 0x100000u
#define DISK_SIZE (256 << 10)

static int create(struct suite_env *env, struct device *dev)
{
    env->extra = temp_disk(DISK_SIZE);
    return nvme_create(&(struct nvme_config){.bus = suite_pci(env),
                                             .devfn = DEVFN,
                                             .ram = env->ram,
                                             .backend = env->extra,
                                             .loop = env->loop},
                       dev, NULL);
}

static void finish(struct suite_env *env)
{
    block_close(env->extra);
}

/* All that is here before the loop runs: the controller takes it in order. */
static void busy(struct suite_env *env, struct device *dev)
{
    struct nvd d;

    nvd_find(&d, env, DEVFN, true);
    nvd_enable(&d);
    nvd_submit(&d, 0, nvd_create_cq(1));
    nvd_submit(&d, 0, nvd_create_sq(1));
    nvd_submit(&d, 0, (struct nvd_command){.opcode = 0x0c, .cid = 9});
    for (unsigned i = 0; i < 6; i++)
        nvd_submit(&d, 1, nvd_rw(1 + i % 2, i * 8, 8, 0x100000 + i * 0x1000, 0));
}

const struct suite_class suite_nvme = {
    .name = "nvme",
    .create = create,
    .finish = finish,
    .busy = busy,
    .ranges = {{false, 0xcf8, 8},
               {true, SUITE_WINDOW, BARS_SIZE},
               {true, SUITE_WINDOW, 0x40},
               {true, SUITE_WINDOW + 0x1000, 0x20},
               {true, SUITE_ECAM + (DEVFN << 12), 4096}},
};
