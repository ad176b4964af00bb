/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices that a machine has only if it is asked to; in one slot, in the order of creation. */
#include "dev/sound/ac97.h"
#include "dev/watchdog/i6300esb.h"
#include "machine/machine_internal.h"

enum { SLOT_OPTIONAL = 29 };

unsigned board_optional_devfn(struct machine *m)
{
    return PCI_DEVFN(SLOT_OPTIONAL, m->optional++);
}

int machine_add_sound(struct machine *m, const struct sound_out *out, struct err *e)
{
    const struct ac97_config cfg = {.bus = m->pci,
                                    .devfn = board_optional_devfn(m),
                                    .ram = m->ram,
                                    .loop = m->cfg.loop,
                                    .clock = m->clock,
                                    .out = *out};
    struct device d;
    int rc = ac97_create(&cfg, &d, e);

    return rc == 0 ? machine_own(m, d, e) : rc;
}

static void on_watchdog(void *opaque)
{
    struct machine *m = opaque;

    m->cfg.hooks.watchdog(m->cfg.hooks.opaque);
}

int machine_add_watchdog(struct machine *m, struct err *e)
{
    const struct i6300esb_config cfg = {.bus = m->pci,
                                        .devfn = board_optional_devfn(m),
                                        .loop = m->cfg.loop,
                                        .clock = m->clock,
                                        .expired = on_watchdog,
                                        .opaque = m};
    struct device d;
    int rc = i6300esb_create(&cfg, &d, e);

    return rc == 0 ? machine_own(m, d, e) : rc;
}
