/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sound in the generic suite, with buffers that play and record. */
#include <stdlib.h>

#include "base/bits.h"
#include "dev/sound/ac97.h"
#include "suite.h"

#define DEVFN PCI_DEVFN(3, 0)
#define MIXER 0x1000u
#define MASTER 0x1400u
#define LIST 0x10000u

static void on_play(void *opaque, const int16_t *samples, unsigned frames)
{
    suite_activity(opaque);
}

static int create(struct suite_env *env, struct device *dev)
{
    struct ac97_config cfg = {.devfn = DEVFN,
                              .bus = suite_pci(env),
                              .ram = env->ram,
                              .loop = env->loop,
                              .clock = env->clock,
                              .out = {on_play, env}};

    return ac97_create(&cfg, dev, NULL);
}

/* 32 buffers of 2 ms each, with an interrupt for each. */
static void busy(struct suite_env *env, struct device *dev)
{
    pci_config_write(env->pci, 0, DEVFN, 0x10, 4, MIXER);
    pci_config_write(env->pci, 0, DEVFN, 0x14, 4, MASTER);
    pci_config_write(env->pci, 0, DEVFN, PCI_REG_COMMAND, 2, PCI_CMD_IO | PCI_CMD_MASTER);
    for (unsigned i = 0; i < 32; i++) {
        uint8_t raw[8];

        st_le32(raw, 0x20000 + 0x400 * i);
        st_le32(raw + 4, 192 | 0x80000000);
        if (ram_write(env->ram, LIST + 8 * (uint64_t)i, raw, sizeof(raw)) < 0)
            abort();
    }
    bus_write(env->ports, MASTER + 0x2c, 2, 4);
    for (unsigned channel = 0; channel < 2; channel++) {
        bus_write(env->ports, MASTER + 16 * channel, LIST, 4);
        bus_write(env->ports, MASTER + 16 * channel + 5, 31, 1);
        bus_write(env->ports, MASTER + 16 * channel + 0xb, 0x1d, 1);
    }
}

const struct suite_class suite_ac97 = {
    .name = "ac97",
    .create = create,
    .busy = busy,
    .ranges = {{false, 0xcf8, 8}, {false, MIXER, 0x100}, {false, MASTER, 0x40}},
};
