/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices that a machine has only if it is asked to. */
#include "dev/sound/ac97.h"
#include "machine/machine_internal.h"

enum { SLOT_SOUND = 30 };

int machine_add_sound(struct machine *m, const struct sound_out *out, struct err *e)
{
    const struct ac97_config cfg = {.bus = m->pci,
                                    .devfn = PCI_DEVFN(SLOT_SOUND, 0),
                                    .ram = m->ram,
                                    .loop = m->cfg.loop,
                                    .clock = m->clock,
                                    .out = *out};
    struct device d;
    int rc = ac97_create(&cfg, &d, e);

    return rc == 0 ? machine_own(m, d, e) : rc;
}
